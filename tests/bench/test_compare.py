"""Verdicts on synthetic samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.compare import Comparison, compare
from bench.record import Record, SummaryRow
from tests.bench.records import record, series


def latencies(median_s: float, count: int = 200, seed: int = 0) -> list[float]:
    drawn: list[float] = np.random.default_rng(seed).lognormal(np.log(median_s), 0.25, count).tolist()
    return drawn


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {change.name: change.verdict for change in comparison.times}


@pytest.mark.parametrize(
    ("new_s", "verdict", "regressions"),
    [
        (0.060, "slower", ["search", "search: embed"]),
        (0.030, "faster", []),
        (0.040, "no difference shown", []),
    ],
)
def test_times(new_s: float, verdict: str, regressions: list[str]) -> None:
    comparison = compare(record(series("search", latencies(0.040))), record(series("search", latencies(new_s, seed=1))))
    assert verdicts(comparison) == {"search": verdict, "search: embed": verdict}
    assert comparison.regressions(0.1) == regressions


def test_a_regression_counts_only_beyond_the_threshold() -> None:
    comparison = compare(
        record(series("search", latencies(0.040, 3000))), record(series("search", latencies(0.043, 3000, seed=1)))
    )
    assert verdicts(comparison)["search"] == "slower"
    assert comparison.regressions(0.02) == ["search", "search: embed"]
    assert comparison.regressions(0.2) == []


def test_few_samples_show_nothing() -> None:
    comparison = compare(record(series("search", [0.01] * 7)), record(series("search", [0.09] * 200)))
    assert verdicts(comparison)["search"] == "too few samples"
    assert comparison.regressions(0.1) == []


def test_comparing_is_repeatable() -> None:
    old, new = record(series("search", latencies(0.04))), record(series("search", latencies(0.041, seed=1)))
    assert compare(old, new) == compare(old, new)


def test_failing_is_a_regression() -> None:
    old, new = record(series("search", latencies(0.04, 50))), record(series("search", latencies(0.01, 20), failed=30))
    comparison = compare(old, new)
    assert comparison.times[0].new_s == float("inf")
    assert comparison.regressions(0.1) == ["search", "search: failed"]
    few_failures = compare(old, record(series("search", latencies(0.01, 30), failed=20)))
    assert few_failures.regressions(0.1) == ["search: failed"]


@pytest.mark.parametrize(
    ("better", "old", "new", "verdict"),
    [
        ("higher", 0.95, 0.50, "worse"),
        ("higher", 0.50, 0.95, "better"),
        ("lower", 0.10, 0.60, "worse"),
        ("higher", 0.90, 0.87, "no difference shown"),
    ],
)
def test_shares(better: str, old: float, new: float, verdict: str) -> None:
    def right(value: float) -> SummaryRow:
        return SummaryRow("answer: right", value, "share", "higher" if better == "higher" else "lower", count=100)

    comparison = compare(record(summary=[right(old)]), record(summary=[right(new)]))
    (change,) = comparison.shares
    assert change.verdict == verdict
    assert comparison.regressions(0.1) == (["answer: right"] if verdict == "worse" else [])


def test_the_same_calls_are_compared_one_by_one() -> None:
    """Calls differ a hundredfold, and each has become a quarter slower: medians alone cannot show that."""
    rng = np.random.default_rng(8)
    old_s = rng.lognormal(0, 2, 40)
    new_s = old_s * 1.25 * rng.lognormal(0, 0.02, 40)
    old, new = record(series("answer", old_s.tolist())), record(series("answer", new_s.tolist()))
    assert compare(old, new).regressions(0.1) == ["answer", "answer: embed"]
    other = record(series("answer", new_s.tolist()), seed=99)
    assert verdicts(compare(old, other))["answer"] == "no difference shown"


def turns(server_s: float, direct_s: float, seed: int) -> Record:
    jitter = latencies(1.0, 100, seed)
    own = replace(series("server", [server_s * x for x in jitter]), mode="alternating")
    return record(own, replace(series("direct", [direct_s * x for x in jitter]), mode="alternating"))


def test_operations_in_turns_are_judged_against_each_other() -> None:
    """A machine that is half as fast is no regression; an overhead that has grown is one, on any machine."""
    slow_machine = compare(turns(0.008, 0.006, 1), turns(0.016, 0.012, 2))
    assert verdicts(slow_machine)["server"] == "slower"
    assert slow_machine.regressions(0.1) == []
    grown = compare(turns(0.008, 0.006, 1), turns(0.004, 0.002, 2))
    assert verdicts(grown)["server"] == "faster"
    assert grown.regressions(0.1) == ["server / direct"]
    assert grown.relative[0].ratio is not None
    assert grown.relative[0].ratio.value == pytest.approx(1.5)


def test_other_changes_are_told() -> None:
    old = record(series("search", [1.0]), environment={"cpu": "A", "packages": {"numpy": "2.4.6"}, "git_dirty": True})
    new = record(
        series("answer", [1.0]),
        environment={"cpu": "B", "packages": {"numpy": "2.4.7"}, "git_dirty": False},
        workload={"seed": 5},
    )
    comparison = compare(old, new)
    assert comparison.times == ()
    assert set(comparison.warnings) == {
        "cpu: A -> B",
        "packages: numpy 2.4.6 -> 2.4.7",
        "the workloads differ",
        "old run: the run was made on uncommitted changes",
    }
    assert comparison.missing == ("search (only in the old run)", "answer (only in the new run)")
    assert compare(new, new).warnings == ()
