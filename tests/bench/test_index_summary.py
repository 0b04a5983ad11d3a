"""The figures of the suite `index`, from findings made by hand."""

from __future__ import annotations

import math

import pytest

from bench.catalogue import SUITES
from bench.record import Findings, Sample, Series, SummaryRow
from bench.suites.base import load_workload
from bench.suites.index.observations import (
    CurvePoint,
    DeletionPoint,
    FilterPoint,
    HybridRun,
    Residence,
    UpsertRun,
    as_facts,
)
from bench.suites.index.ranking import documents_of, ndcg, recall, reciprocal_rank
from bench.suites.index.summary import queries_per_second, summary_rows


def rows(findings: Findings) -> dict[str, SummaryRow]:
    return {row.name: row for row in summary_rows(findings)}


def point(contender: str, effort: int, hits: int, *rates: float) -> CurvePoint:
    return CurvePoint(contender, "one", effort, 1_000, 100, hits, 1_000, tuple(100 / rate for rate in rates))


def under(contender: str, name: str, hits: int, *rates: float) -> FilterPoint:
    return FilterPoint(contender, name, 10, 64, 100, hits, 1_000, tuple(100 / rate for rate in rates))


def series(name: str, *latencies_s: float) -> Series:
    samples = tuple(Sample(number, 0.0, 0.0, latency_s, {}) for number, latency_s in enumerate(latencies_s))
    return Series(name, "concurrent_callers", samples)


def test_rates_are_interpolated_between_the_efforts_around_a_recall() -> None:
    curve = [point("a", 20, 900, 400.0, 800.0), point("a", 40, 1_000, 100.0, 200.0)]
    assert queries_per_second(curve, 0.95) == pytest.approx([200.0, 400.0])
    assert queries_per_second(curve, 0.8) == pytest.approx([400.0, 800.0])
    assert queries_per_second(curve[:1], 0.95) == []


def test_rounds_are_compared_with_each_other() -> None:
    """Everything took twice as long in the second round: the ratio is the same."""
    points = [
        point("Pinakes", 10, 1_000, 600.0, 300.0),
        point("hnswlib", 10, 1_000, 200.0, 100.0),
        point("usearch f32", 10, 1_000, 400.0, 200.0),
    ]
    named = rows(Findings((), {"unfiltered": as_facts(points, CurvePoint)}))
    ratio = named["unfiltered at recall 0.95 / hnswlib"]
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((3, 3, 3))
    assert named["unfiltered at recall 0.99 / best peer"].value == pytest.approx(1.5)


def test_a_peer_that_finds_too_little_under_a_filter_is_no_rival() -> None:
    points = [
        under("Pinakes", "none", 1_000, 100.0),
        under("Pinakes", "far 1 %", 990, 80.0),
        under("hnswlib", "far 1 %", 1_000, 4.0),
        under("faiss HNSW32", "far 1 %", 300, 900.0),
    ]
    findings = Findings((), {"filters": as_facts(points, FilterPoint)})
    named = rows(findings)
    assert named["filters, worst: recall@10"].value == pytest.approx(0.99)
    assert named["filters, worst: / unfiltered"].value == pytest.approx(0.8)
    assert named["filters, worst: / hnswlib's callback"].value == pytest.approx(20)
    assert named["filters, worst: / best peer"].value == pytest.approx(20)
    assert SUITES["index"].remarks(findings) == ["faiss HNSW32 finds 30% under the filter far 1 %"]


def test_stores_are_compared_at_one_size() -> None:
    runs = [
        HybridRun("Pinakes", 10, "own 10", 1.0, 1.0, 1.0, (0, 1), (1.0, 0.5), {}),
        HybridRun("Pinakes", 99, "own 99", 1.0, 1.0, 1.0, (0, 1), (1.0, 0.5), {}),
        HybridRun("Chroma", 10, "chroma", 1.0, 1.0, 1.0, (0, 1), (0.5, 0.5), {}),
        HybridRun("LanceDB", 99, "lance", 1.0, 1.0, 1.0, (1,), (1.0,), {}),
        HybridRun("Milvus Lite", 10, "", 0.0, 0.0, 0.0, (), (), {}, "it broke"),
    ]
    all_series = (series("own 10", 1.0), series("own 99", 2.0), series("chroma", 4.0), series("lance", 4.0))
    findings = Findings(all_series, {"hybrid": as_facts(runs, HybridRun)})
    named = rows(findings)
    assert named["hybrid Pinakes at all passages: p99"].value == pytest.approx(2_000)
    assert named["hybrid p50 / Chroma"].value == pytest.approx(0.25)
    assert named["hybrid p50 / peers, worst"].value == pytest.approx(0.5)
    assert named["hybrid nDCG@10 - peers, worst"].value == pytest.approx(-0.5)
    remarks = SUITES["index"].remarks(findings)
    assert remarks[0] == "Milvus Lite did not load 10 passages: it broke"


def test_the_worst_is_reported() -> None:
    facts = {
        "memory": as_facts([Residence("Pinakes", 10, 5, 45), Residence("hnswlib", 10, 0, 80)], Residence),
        "deletions": as_facts(
            [
                DeletionPoint("after deleting and adding", 10, 1, 9, 10),
                DeletionPoint("after compaction", 10, 1, 8, 10),
            ],
            DeletionPoint,
        ),
        "upserts": as_facts(
            [
                UpsertRun(0, "search while idle", 10, 0, 0, 1.0, 0),
                UpsertRun(2_000, "search while upserting 2000/s", 10, 1_900, 100, 1.0, 2),
            ],
            UpsertRun,
        ),
    }
    both = (series("search while idle", 0.010), series("search while upserting 2000/s", 0.015))
    named = rows(Findings(both, facts))
    assert named["resident per vector / hnswlib"].value == pytest.approx(0.5)
    assert named["deletions, worst: recall@10"].value == pytest.approx(0.8)
    assert named["search while upserting 2000/s: p99 / idle"].value == pytest.approx(1.5)
    assert named["search while upserting 2000/s: upserts"].value == pytest.approx(1_900)


def test_a_target_of_a_part_that_was_not_run_is_left_out() -> None:
    assert SUITES["index"].summarize(Findings(()), load_workload("index", quick=True), 1) == ()


def test_rankings_are_judged_as_trec_eval_does() -> None:
    gains = {"a": 2.0, "b": 1.0}
    assert ndcg(["a", "b"], gains, 10) == 1
    assert ndcg(["x", "b"], gains, 10) == pytest.approx((1 / math.log2(3)) / (2 + 1 / math.log2(3)))
    assert ndcg(["x", "a"], gains, 1) == 0
    assert reciprocal_rank(["x", "b", "a"], gains, 10) == 0.5
    assert reciprocal_rank(["x", "b"], gains, 1) == 0
    assert recall(["x", "b"], gains, 10) == 0.5
    assert recall(["b"], gains, 1) == 1
    assert documents_of(["a", "b", "a", "c"], frozenset({"b"})) == ["a", "c"]
