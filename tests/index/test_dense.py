"""The dense side alone: what is stored of vectors, the graph, and each way of searching it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from index.dense.graph import Graph, GraphOptions, build_graph
from index.dense.side import DenseQuery, DenseSide, Effort, join
from index.dense.vectors import Vectors, center_of, encoded, read_only
from index.dense.vectors import join as join_vectors
from index.planner import Plan, PlannerThresholds, choose_plan
from index.row_sets import all_rows

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]

ROWS, DIMENSION, K = 4_000, 48, 10
EFFORT = Effort(pool=100, refined=60)


def unit(vectors: npt.NDArray[np.float64]) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def vectors() -> Floats:
    """Clusters in a narrow cone, as embeddings lie; some vectors are there many times."""
    rng = np.random.default_rng(7)
    centers = rng.standard_normal((60, DIMENSION))
    points = (
        3 * rng.standard_normal(DIMENSION)
        + centers[rng.integers(0, 60, ROWS)]
        + 0.7 * rng.standard_normal((ROWS, DIMENSION))
    )
    points[100:140] = points[99]
    return unit(points)


@pytest.fixture(scope="module")
def side(vectors: Floats) -> DenseSide:
    stored = encoded(vectors, center_of(vectors))
    return DenseSide(stored, build_graph(stored, GraphOptions(degree=24, effort=80)))


@pytest.fixture(scope="module")
def queries(vectors: Floats) -> Floats:
    rng = np.random.default_rng(8)
    return unit(vectors[rng.integers(0, ROWS, 60)] + 0.1 * rng.standard_normal((60, DIMENSION)))


def words_of(fits: npt.NDArray[np.bool_]) -> Words:
    bits = np.zeros(-(-len(fits) // 64) * 64, np.bool_)
    bits[: len(fits)] = fits
    return np.packbits(bits, bitorder="little").view(np.uint64)


def recall(side: DenseSide, vectors: Floats, queries: Floats, fits: npt.NDArray[np.bool_], plan: Plan) -> float:
    """Share of the true 10 nearest allowed; a row as near as the tenth counts as it does."""
    shares = []
    for query in queries:
        scores = np.where(fits, vectors @ query, -np.inf)
        last = np.sort(scores)[-K] - 1e-4
        found = side.search(DenseQuery.of(query), words_of(fits), plan, K, EFFORT)
        assert fits[found.rows].all()
        assert len(set(found.rows.tolist())) == len(found.rows) == K
        np.testing.assert_allclose(found.scores, scores[found.rows], atol=2e-4)
        assert (np.diff(found.scores) <= 0).all()
        shares.append(float((scores[found.rows] >= last).mean()))
    return float(np.mean(shares))


@pytest.mark.parametrize("plan", [Plan.FLAT, Plan.WALK, Plan.FILTERED_WALK])
def test_every_plan_finds_the_nearest(side: DenseSide, vectors: Floats, queries: Floats, plan: Plan) -> None:
    assert recall(side, vectors, queries, np.ones(ROWS, np.bool_), plan) >= (0.995 if plan is Plan.FLAT else 0.95)


@pytest.mark.parametrize("share", [0.5, 0.2, 0.05, 0.01])
@pytest.mark.parametrize("kind", ["random", "near", "far"])
def test_recall_under_filters(side: DenseSide, vectors: Floats, queries: Floats, share: float, kind: str) -> None:
    """Random rows, those nearest to the queries, and those farthest from them."""
    likeness = vectors @ queries.mean(axis=0)
    order = {"random": np.random.default_rng(9).random(ROWS), "near": -likeness, "far": likeness}[kind]
    fits = np.zeros(ROWS, np.bool_)
    fits[np.argsort(order)[: int(share * ROWS)]] = True
    assert recall(side, vectors, queries, fits, Plan.FLAT) >= 0.995
    if share >= 0.05:
        assert recall(side, vectors, queries, fits, Plan.FILTERED_WALK) >= 0.95


def test_a_walk_looks_at_few_rows(side: DenseSide, queries: Floats) -> None:
    every = all_rows(ROWS)
    for query in queries:
        flat = side.search(DenseQuery.of(query), every, Plan.FLAT, K, EFFORT)
        walk = side.search(DenseQuery.of(query), every, Plan.WALK, K, EFFORT)
        assert flat.distances == ROWS + EFFORT.refined
        assert walk.distances < ROWS / 2
        assert EFFORT.pool <= walk.visited < ROWS / 10
        assert flat.visited == 0


@pytest.mark.parametrize("allowed", [0, 1, 3])
@pytest.mark.parametrize("plan", [Plan.FLAT, Plan.WALK, Plan.FILTERED_WALK])
def test_fewer_than_k_allowed(side: DenseSide, queries: Floats, allowed: int, plan: Plan) -> None:
    fits = np.zeros(ROWS, np.bool_)
    fits[:allowed] = True
    found = side.search(DenseQuery.of(queries[0]), words_of(fits), plan, K, EFFORT)
    assert sorted(found.rows.tolist()) == list(range(allowed))


def test_a_walk_among_forbidden_rows_goes_on(side: DenseSide, vectors: Floats, queries: Floats) -> None:
    """All that a walk has in view is forbidden: the allowed rows are found nevertheless."""
    for query in queries[:10]:
        fits = np.ones(ROWS, np.bool_)
        fits[np.argsort(-(vectors @ query))[:300]] = False
        found = side.search(DenseQuery.of(query), words_of(fits), Plan.WALK, K, EFFORT)
        flat = side.search(DenseQuery.of(query), words_of(fits), Plan.FLAT, K, EFFORT)
        assert len(found.rows) == K
        assert fits[found.rows].all()
        assert len(set(found.rows.tolist()) & set(flat.rows.tolist())) >= K // 2


def reachable(graph: Graph) -> int:
    seen = set(graph.starts.tolist())
    ahead = list(seen)
    while ahead:
        new = {row for row in graph.links[ahead.pop()].tolist() if row >= 0} - seen
        seen |= new
        ahead += new
    return len(seen)


def test_every_row_can_be_reached(side: DenseSide) -> None:
    assert side.graph is not None
    assert reachable(side.graph) == ROWS


def test_threads_do_not_change_the_graph(side: DenseSide) -> None:
    graph = build_graph(side.vectors, GraphOptions(degree=24, effort=80), threads=3)
    assert graph is not None
    assert side.graph is not None
    np.testing.assert_array_equal(graph.links, side.graph.links)
    np.testing.assert_array_equal(graph.starts, side.graph.starts)


@pytest.mark.parametrize("rows", [1, 2, 20])
def test_small_graphs(vectors: Floats, rows: int) -> None:
    few = encoded(vectors[:rows], center_of(vectors[:rows]))
    graph = build_graph(few, GraphOptions())
    found = DenseSide(few, graph).search(DenseQuery.of(vectors[0]), all_rows(rows), Plan.WALK, K, EFFORT)
    flat = DenseSide(few).search(DenseQuery.of(vectors[0]), all_rows(rows), Plan.FLAT, K, EFFORT)
    assert found.rows.tolist() == flat.rows.tolist()
    assert len(found.rows) == min(rows, K)


@pytest.mark.parametrize("options", [{"degree": 0}, {"effort": 0}, {"alpha": 0.0}])
def test_impossible_graphs_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="graph"):
        GraphOptions(**options)  # type: ignore[arg-type]


def test_links_to_rows_that_are_not_there_do_no_harm(side: DenseSide, queries: Floats) -> None:
    """As a damaged file has them, before its checksum is looked at."""
    assert side.graph is not None
    links = side.graph.links.copy()
    links[::3, 0] = 2**30
    links[1::3, 1] = -(2**30)
    starts = np.array([-5, 2**30, 7], np.int32)
    damaged = DenseSide(side.vectors, Graph(read_only(links), read_only(starts)))
    for plan in (Plan.WALK, Plan.FILTERED_WALK):
        assert len(damaged.search(DenseQuery.of(queries[0]), all_rows(ROWS), plan, K, EFFORT).rows) == K


def test_joining_keeps_vectors_through_many_merges(vectors: Floats) -> None:
    """Whatever the centers of the sources: a merge of merges is as near to the floats as 12 bits are."""
    parts = [encoded(some, center_of(some[:1])) for some in np.split(vectors, 8)]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [join_vectors([(each, np.arange(each.rows)) for each in pair]) for pair in pairs]
    np.testing.assert_allclose(parts[0].decoded(np.arange(ROWS)), vectors, atol=5e-4)


def test_a_join_has_a_graph_when_it_is_large(vectors: Floats) -> None:
    half = DenseSide(encoded(vectors[:600], center_of(vectors)))
    other = DenseSide(encoded(vectors[600:1_200], center_of(vectors)))
    rows = np.arange(0, 600, 2)
    sources = [(half, rows), (other, rows)]
    assert join(sources, 601, GraphOptions(), 1).graph is None
    joined = join(sources, 600, GraphOptions(), 1)
    assert joined.graph is not None
    assert joined.vectors.rows == 600
    again = DenseSide.from_arrays(joined.arrays())
    assert again.graph is not None
    np.testing.assert_array_equal(again.graph.links, joined.graph.links)
    assert isinstance(again.vectors, Vectors)
    assert DenseSide.from_arrays(half.arrays()).graph is None


def test_a_side_without_a_graph_refuses_to_walk(vectors: Floats) -> None:
    flat = DenseSide(encoded(vectors, center_of(vectors)))
    with pytest.raises(ValueError, match="graph"):
        flat.search(DenseQuery.of(vectors[0]), all_rows(ROWS), Plan.WALK, K, EFFORT)


def test_plans() -> None:
    thresholds = PlannerThresholds(flat_rows=1_000, walk_share=0.8)
    rows = 100_000
    for has_graph in (True, False):
        assert choose_plan(rows, 0, has_graph, thresholds) is Plan.SKIP
        assert choose_plan(rows, 1_000, has_graph, thresholds) is Plan.FLAT
    assert choose_plan(rows, rows, False, thresholds) is Plan.FLAT
    assert choose_plan(rows, 1_001, True, thresholds) is Plan.FILTERED_WALK
    assert choose_plan(rows, 79_999, True, thresholds) is Plan.FILTERED_WALK
    assert choose_plan(rows, 80_000, True, thresholds) is Plan.WALK
    assert choose_plan(rows, rows, True, thresholds) is Plan.WALK
