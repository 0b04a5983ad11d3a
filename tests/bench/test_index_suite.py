"""The suite `index` from end to end at toy size, on synthetic vectors and without peers."""

from __future__ import annotations

from pathlib import Path

from bench.catalogue import SUITES
from bench.record import from_json, to_json
from bench.running import run_suite
from bench.suites.base import Table, load_workload

INDEX = SUITES["index"]
ROWS = 2_000
PARTS = ("unfiltered", "filters", "memory", "hybrid", "upserts", "deletions")
"""Without sealing, opening and fusion, which use the same processes in the same way: each costs seconds."""


def toy_workload() -> Table:
    """The real one, quick, made smaller still."""
    table = load_workload("index", quick=True)
    changes: dict[str, Table] = {
        "collection": {"synthetic_passages": ROWS, "synthetic_queries": 40},
        "unfiltered": {"queries": 20, "rounds": 2, "efforts": [16, 64, 256]},
        "filters": {"kinds": ["random", "far"], "shares": [0.5, 0.01], "masks": 20},
        "memory": {"queries": 50},
        "hybrid": {"stores": ["Pinakes"], "rows": [500], "calls_per_caller": 4},
        "upserts": {
            "rows": 500,
            "rates_per_s": [500.0],
            "seconds": 1.0,
            "searches_per_s": 100.0,
            "commit_every_s": 0.2,
        },
        "deletions": {"rows": 800, "queries": 20},
    }
    for key, values in changes.items():
        part = table[key]
        assert isinstance(part, dict)
        table[key] = {**part, **values}
    return {**table, "contenders": ["Pinakes"]}


async def test_parts_are_measured(tmp_path: Path) -> None:
    record = await run_suite(INDEX, workload=toy_workload(), cache=tmp_path, only=PARTS)
    named = {row.name: row for row in record.summary}
    assert len(named) == len(record.summary)
    for name in (
        "unfiltered at recall 0.95: Pinakes",
        "unfiltered at recall 0.95, in batches: Pinakes",
        "filter random 50 % and random 20 %: recall@10",
        "filter far 1 % / unfiltered",
        "resident per vector: Pinakes",
        "hybrid Pinakes at all passages: open to first answer",
        "hybrid Pinakes at all passages: p99",
        "search while upserting 500/s: p99 / idle",
    ):
        assert named[name].value, name
    for name in ("filters, worst: recall@10", "deletions, worst: recall@10"):
        assert (named[name].value or 0) >= 0.95, name
    assert named["filters, worst: recall@10"].met
    assert named["hybrid Pinakes at all passages: failures"].value == 0
    assert {series.name: series.failures() for series in record.series} == {
        "hybrid Pinakes at 500": 0,
        "search while idle": 0,
        "search while upserting 500/s": 0,
    }
    assert from_json(to_json(record)) == record
    assert INDEX.summarize(record.findings, record.workload, record.seed) == record.summary
    remarks = INDEX.remarks(record.findings)
    assert [remark for remark in remarks if "synthetic" in remark]
    assert not [remark for remark in remarks if "failed" in remark]
    assert "opening" not in record.facts
