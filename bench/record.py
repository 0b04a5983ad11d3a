"""The artifact of a run: every sample, what was run, and where. Figures and plots are derived from it.

A record is JSON. `FORMAT` names its version; a reader refuses every other one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import JsonValue, TypeAdapter, ValidationError

FORMAT: Final = "pinakes-bench/1"

Mode = Literal["open_loop", "single_caller", "alternating", "concurrent_callers"]
Better = Literal["lower", "higher"]


class UnreadableRecord(Exception):
    """The file is no record of this format."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One call. Times are seconds from the start of its series; `latency_s` counts from the scheduled send to the end
    of the call (or to its failure). `sent_s` is None for a call that was never sent."""

    number: int
    scheduled_s: float
    sent_s: float | None
    latency_s: float
    stages_s: dict[str, float]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Calls of one kind, made in one way."""

    name: str
    mode: Mode
    samples: tuple[Sample, ...]
    rate_per_s: float | None = None
    warm_up: int = 0
    """Calls that were made before and not recorded."""

    def latencies_s(self) -> list[float]:
        """One per call; a failed call is infinitely late, so that failing never makes a figure better."""
        return [sample.latency_s if not sample.error else float("inf") for sample in self.samples]

    def stages_s(self, stage: str) -> list[float]:
        """Of the calls that succeeded and had the stage."""
        return [s.stages_s[stage] for s in self.samples if not s.error and stage in s.stages_s]

    def stage_names(self) -> list[str]:
        """In the order of their first appearance."""
        return list(dict.fromkeys(stage for sample in self.samples for stage in sample.stages_s))

    def failures(self) -> int:
        return sum(1 for sample in self.samples if sample.error)


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """A figure with its 95 % confidence interval (None where there is none) and how many calls or cases it is made of.

    `value` is None when it could not be had: no samples, or a percentile that falls among failed calls. `reach` is the
    bar to clear, `aim` what we would like; `met` says whether `value` clears `reach`, None without a bar.
    """

    name: str
    value: float | None
    unit: str
    better: Better
    low: float | None = None
    high: float | None = None
    count: int = 0
    reach: float | None = None
    aim: float | None = None
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What a suite brings back. `facts` are its observations besides times; what they hold is the suite's matter."""

    series: tuple[Series, ...]
    facts: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    suite: str
    quick: bool
    seed: int
    started_at: str
    duration_s: float
    workload: dict[str, JsonValue]
    environment: dict[str, JsonValue]
    series: tuple[Series, ...]
    facts: dict[str, JsonValue]
    summary: tuple[SummaryRow, ...]
    format: Literal["pinakes-bench/1"] = FORMAT

    @property
    def findings(self) -> Findings:
        """What the summary was made from."""
        return Findings(self.series, self.facts)

    def find(self, name: str) -> Series | None:
        return next((series for series in self.series if series.name == name), None)


_RECORD = TypeAdapter(Record)


def to_json(record: Record) -> bytes:
    return _RECORD.dump_json(record, indent=1)


def from_json(text: bytes) -> Record:
    """Raises UnreadableRecord."""
    try:
        return _RECORD.validate_json(text)
    except ValidationError as exc:
        problem = exc.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UnreadableRecord(f"no record of format {FORMAT}: {where}: {problem['msg']}") from exc


def write(record: Record, path: Path) -> None:
    """Whole or not at all. Creates the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(to_json(record))
    partial.replace(path)


def read(path: Path) -> Record:
    """Raises UnreadableRecord, also when there is no such file."""
    try:
        return from_json(path.read_bytes())
    except OSError as exc:
        raise UnreadableRecord(f"{path}: {exc.strerror}") from exc
