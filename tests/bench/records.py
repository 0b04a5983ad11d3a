"""Records with made-up samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.record import Record, Sample, Series, SummaryRow


def sample(number: int, latency_s: float, error: str = "", /, **stages_s: float) -> Sample:
    return Sample(number, number * 0.1, number * 0.1, latency_s, {} if error else stages_s, error)


def series(name: str, latencies_s: Sequence[float], failed: int = 0) -> Series:
    """Half of each latency is the stage `embed`. `failed` more calls fail."""
    samples = [sample(n, latency_s, embed=latency_s / 2) for n, latency_s in enumerate(latencies_s)]
    samples += [sample(len(samples) + n, 9.0, "OVERLOADED") for n in range(failed)]
    return Series(name, "single_caller", tuple(samples))


def record(*all_series: Series, summary: Sequence[SummaryRow] = (), **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "suite": "made up",
        "quick": False,
        "seed": 3,
        "started_at": "2026-11-21T10:00:00+00:00",
        "duration_s": 12.5,
        "workload": {"seed": 3, "targets": {}},
        "environment": {"cpu": "A CPU", "cpu_flags": ["avx2"], "packages": {"numpy": "2.4.6"}, "git_dirty": False},
        "facts": {"found": {"Why?": True}},
    }
    return Record(series=all_series, summary=tuple(summary), **(fields | changes))
