"""The pure parts: planning, fusing; and the one that is nearly pure, exhaustive search."""

from __future__ import annotations

import numpy as np
import pytest

import kernels
from index import (
    AllOf,
    AnyOf,
    ConvexFusion,
    Created,
    DistributionFusion,
    Filter,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    Reader,
    ReciprocalRankFusion,
    SearchRequest,
    Tagged,
)
from index.dense.flat import DenseQuery, search_flat
from index.dense.vectors import quantized
from index.planner import Plan, choose_plan
from index.row_sets import all_rows, no_rows, row_numbers
from tests.index.conftest import Open
from tests.index.model import chunk, query_vector


def test_planning() -> None:
    assert [choose_plan(allowed) for allowed in (0, 1, 10**6)] == [Plan.SKIP, Plan.FLAT, Plan.FLAT]


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, 128, 200])
def test_sets_of_rows(rows: int) -> None:
    assert row_numbers(all_rows(rows)).tolist() == list(range(rows))
    assert kernels.count(all_rows(rows)) == rows
    assert kernels.count(no_rows(rows)) == 0


def test_exhaustive_search_equals_brute_force_on_many_clustered_vectors() -> None:
    rng = np.random.default_rng(5)
    centres = rng.standard_normal((50, 384))
    rows = centres[rng.integers(0, 50, 6_000)] + 0.5 * rng.standard_normal((6_000, 384))
    unit = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
    vectors = quantized(unit)
    found = wanted = 0
    for query in unit[rng.integers(0, 6_000, 60)]:
        nearest = search_flat(vectors, DenseQuery.of(query), all_rows(6_000), k=10, rescored=20)
        assert nearest.distances == 6_020
        best = np.argsort(-(unit @ query), kind="stable")[:10]
        found += len(set(best.tolist()) & set(nearest.rows.tolist()))
        wanted += 10
    assert found / wanted >= 0.99


def test_equal_scores_rank_by_id_wherever_they_lie(open_index: Open) -> None:
    index = open_index()
    for position, chunk_id in enumerate(("c", "a", "d", "b"), start=1):
        index.apply([chunk(position, chunk_id, text="apple", seed=1)])
        if position == 2:
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
    index = open_index()
    for position in range(1, 4):
        added = chunk(position, f"chunk-{position}", text="apple", tags=("red",), groups=("g",), created_unix_s=1)
        index.apply([added])
        index.commit()
    index.compact()
    index.apply([chunk(4, "chunk-1", text="apple", tags=("red",), created_unix_s=1)])
    index.close()
    index = open_index()
    wanted = Filter(
        Reader("t1", "x", frozenset({"g"})),
        AllOf((OfDocuments(("d1",)), Tagged(("red",)), InLanguages(("en",)), Not(Created(5)), AnyOf((OnPages(1),)))),
    )
    for fusion in (ConvexFusion(1), ReciprocalRankFusion(k=60, dense_weight=0), DistributionFusion(1)):
        request = SearchRequest(wanted, 2, vector=query_vector(0), text="apple", fusion=fusion, diversity=1)
        assert len(index.snapshot().search(request).hits) == 2
    assert kernels.compiled_signatures() == before


def test_bad_requests_are_refused(open_index: Open) -> None:
    index = open_index()
    index.apply([chunk(1, "a")])
    wanted = Filter(Reader("t1", "x"))
    with pytest.raises(ValueError, match="limit"):
        index.snapshot().search(SearchRequest(wanted, 0, text="x"))
    with pytest.raises(ValueError, match="vector"):
        index.snapshot().search(SearchRequest(wanted, 1, vector=query_vector(0)[:-1]))
