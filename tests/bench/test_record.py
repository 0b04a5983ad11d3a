"""A record comes back from JSON as it was, and nothing else passes for one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.record import Record, Sample, Series, SummaryRow, UnreadableRecord, from_json, read, to_json, write
from tests.bench.records import record, sample, series

_TIMES = st.floats(0, 1e6)
_NAMES = st.text(max_size=12)
_SAMPLES = st.builds(
    Sample,
    st.integers(0, 1000),
    _TIMES,
    st.none() | _TIMES,
    _TIMES,
    st.dictionaries(_NAMES, _TIMES, max_size=3),
    _NAMES,
)
_SERIES = st.builds(Series, _NAMES, st.just("open_loop"), st.lists(_SAMPLES, max_size=3).map(tuple), st.none() | _TIMES)
_ROWS = st.builds(
    SummaryRow, _NAMES, st.none() | _TIMES, _NAMES, st.sampled_from(["lower", "higher"]), met=st.none() | st.booleans()
)


@given(st.lists(_SERIES, max_size=3), st.lists(_ROWS, max_size=3))
def test_json_round_trip(all_series: list[Series], rows: list[SummaryRow]) -> None:
    original = record(*all_series, summary=rows)
    assert from_json(to_json(original)) == original


def test_summary_rows_are_written_with_the_names_that_others_read() -> None:
    row = SummaryRow("search p50", 12.5, "ms", "lower", reach=60.0, met=True)
    (written,) = json.loads(to_json(record(summary=[row])))["summary"]
    assert {"name", "value", "unit", "reach", "aim", "met"} <= written.keys()
    assert (written["value"], written["reach"], written["aim"], written["met"]) == (12.5, 60.0, None, True)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        to_json(record()).replace(b"pinakes-bench/1", b"pinakes-bench/2"),
        to_json(record(series("search", [1.0]))).replace(b'"latency_s": 1.0', b'"latency_s": "fast"'),
    ],
)
def test_what_is_no_record_is_refused(text: bytes) -> None:
    with pytest.raises(UnreadableRecord, match="pinakes-bench/1"):
        from_json(text)


def test_files(tmp_path: Path) -> None:
    original = record(series("search", [0.25]))
    path = tmp_path / "deep" / "run.json"
    write(original, path)
    write(replace(original, seed=4), path)
    assert read(path) == replace(original, seed=4)
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(UnreadableRecord, match=r"absent\.json"):
        read(tmp_path / "absent.json")


def test_a_failed_call_is_infinitely_late_and_has_no_stages() -> None:
    mixed = Series(
        "s", "open_loop", (sample(0, 1.0, embed=0.5), sample(1, 0.001, "OVERLOADED"), sample(2, 2.0, search=1.0))
    )
    assert mixed.latencies_s() == [1.0, float("inf"), 2.0]
    assert mixed.stages_s("embed") == [0.5]
    assert mixed.stage_names() == ["embed", "search"]
    assert mixed.failures() == 1


def test_a_series_is_found_by_name() -> None:
    made: Record = record(series("a", [1.0]), series("b", [2.0]))
    found = made.find("b")
    assert found is not None
    assert found.samples[0].latency_s == 2.0
    assert made.find("c") is None
