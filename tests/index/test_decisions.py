"""How results are ordered, explained and refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

import kernels
from index import (
    AllOf,
    AnyOf,
    ConvexFusion,
    Created,
    DistributionFusion,
    Filter,
    IndexOptions,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    Reader,
    ReciprocalRankFusion,
    Remove,
    SearchRequest,
    Tagged,
)
from index.planner import PlannerThresholds
from index.row_sets import all_rows, no_rows, row_numbers
from tests.index.conftest import Open
from tests.index.model import chunk, query_vector


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 128, 200])
def test_sets_of_rows(rows: int) -> None:
    assert row_numbers(all_rows(rows)).tolist() == list(range(rows))
    assert kernels.count(all_rows(rows)) == rows
    assert kernels.count(no_rows(rows)) == 0


@pytest.mark.parametrize("sealed", [True, False])
def test_equal_scores_rank_by_id(open_index: Open, sealed: bool) -> None:
    """Of vectors within one part; between parts their scores differ by the rounding of 12 bits."""
    index = open_index()
    index.apply([chunk(position, name, text="apple", seed=1) for position, name in enumerate("cadb", start=1)])
    if sealed:
        index.apply([Remove(5, "none"), chunk(6, "e", tenant="t9"), chunk(7, "e", tenant="t9")])
        index.compact()
    wanted = Filter(Reader("t1", "x"))
    for request in (SearchRequest(wanted, 4, vector=query_vector(2)), SearchRequest(wanted, 4, text="apple")):
        hits = index.snapshot().search(request).hits
        places = [hit.dense or hit.lexical for hit in hits]
        assert [(hit.chunk_id, place and place.rank) for hit, place in zip(hits, places, strict=True)] == [
            ("a", 1),
            ("b", 2),
            ("c", 3),
            ("d", 4),
        ]


def test_results_say_how_they_came_about(open_index: Open) -> None:
    index = open_index()
    index.apply([chunk(position, f"chunk-{position}", text="apple", tenant="t1") for position in range(1, 8)])
    index.compact()
    index.apply([chunk(8, "chunk-8", text="apple", tenant="t2"), chunk(9, "chunk-1", text="pear")])
    wanted = Filter(Reader("t1", "x"))
    result = index.snapshot().search(SearchRequest(wanted, 3, vector=query_vector(0), text="apple"))
    reports = {part.name: (part.plan, part.allowed, part.distances) for part in result.parts}
    assert reports == {"head": ("flat", 1, 2), "segment-00000002": ("flat", 6, 12)}
    assert (result.position, result.lexical_candidates, len(result.hits)) == (9, 6, 3)
    nobody = index.snapshot().search(SearchRequest(Filter(Reader("t3", "x")), 3, vector=query_vector(0), text="apple"))
    assert {part.plan for part in nobody.parts} == {"skip"} and nobody.hits == ()


@pytest.mark.skipif(not kernels.JITTED, reason="nothing is compiled in this run")
def test_nothing_is_compiled_after_warm_up(open_index: Open) -> None:
    kernels.warm_up()
    before = kernels.compiled_signatures()
    walked = IndexOptions(graph_rows=1, planner_thresholds=PlannerThresholds(flat_rows=0), build_threads=2)
    index = open_index(options=walked)
    everyone = Filter(Reader("t1", "x", frozenset({"g"})))
    for position in range(1, 4):
        added = chunk(position, f"chunk-{position}", text="apple", tags=("red",), groups=("g",), created_unix_s=1)
        index.apply([added])
        index.commit()
    index.compact()
    (part,) = index.snapshot().search(SearchRequest(everyone, 2, vector=query_vector(0))).parts
    assert (part.plan, part.visited) == ("walk", 3)
    index.apply([chunk(4, "chunk-1", text="apple", tags=("red",), created_unix_s=1)])
    index.commit()
    index.close()
    index = open_index(options=walked)
    wanted = Filter(
        Reader("t1", "x", frozenset({"g"})),
        AllOf((OfDocuments(("d1",)), Tagged(("red",)), InLanguages(("en",)), Not(Created(5)), AnyOf((OnPages(1),)))),
    )
    for fusion in (ConvexFusion(1), ReciprocalRankFusion(k=60, dense_weight=0), DistributionFusion(1)):
        request = SearchRequest(wanted, 2, vector=query_vector(0), text="apple", fusion=fusion, diversity=1)
        assert len(index.snapshot().search(request).hits) == 2
        plans = {part.plan for part in index.snapshot().search(replace(request, filter=everyone)).parts}
        assert plans == {"flat", "walk"}
    assert kernels.compiled_signatures() == before


def test_bad_requests_are_refused(open_index: Open) -> None:
    index = open_index()
    index.apply([chunk(1, "a")])
    wanted = Filter(Reader("t1", "x"))
    with pytest.raises(ValueError, match="limit"):
        index.snapshot().search(SearchRequest(wanted, 0, text="x"))
    with pytest.raises(ValueError, match="vector"):
        index.snapshot().search(SearchRequest(wanted, 1, vector=query_vector(0)[:-1]))
