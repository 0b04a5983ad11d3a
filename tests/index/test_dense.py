"""The dense side alone: what is stored of vectors, the graph, and each way of searching it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

import kernels
from index.dense.graph import Graph, GraphOptions
from index.dense.side import DenseQuery, DenseSide, Effort, Graphed, Neighbours, join, with_graph
from index.dense.vectors import Vectors, center_of, encoded
from index.dense.vectors import join as join_vectors
from index.planner import Plan, PlannerThresholds, choose_plan
from index.row_sets import all_rows
from index.views import read_only

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]

ROWS, DIMENSION, K = 4_000, 48, 10
EFFORT = Effort(pool=200, refined=60)
OPTIONS = GraphOptions(degree=24, effort=80)
GRAPHED = [Plan.WALK, Plan.CELLS]


def unit(vectors: npt.NDArray[np.float64]) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def scattered() -> Floats:
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
def joined(scattered: Floats) -> tuple[DenseSide, Floats]:
    """A side, and the vectors in the order in which it has them."""
    side, order = join([(flat_side(scattered), np.arange(ROWS))], 1, OPTIONS, 1)
    assert order is not None
    return side, scattered[order]


@pytest.fixture(scope="module")
def side(joined: tuple[DenseSide, Floats]) -> DenseSide:
    return joined[0]


@pytest.fixture(scope="module")
def vectors(joined: tuple[DenseSide, Floats]) -> Floats:
    return joined[1]


def flat_side(vectors: Floats) -> DenseSide:
    return DenseSide(encoded(vectors, center_of(vectors)))


def found_by(side: DenseSide, plan: Plan, query: Floats, allowed: Words) -> Neighbours:
    return side.search_by(plan, DenseQuery.of(query), allowed, kernels.count(allowed), K, EFFORT)


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
        found = found_by(side, plan, query, words_of(fits))
        assert fits[found.rows].all()
        assert len(set(found.rows.tolist())) == len(found.rows) == K
        np.testing.assert_allclose(found.scores, scores[found.rows], atol=2e-4)
        assert (np.diff(found.scores) <= 0).all()
        shares.append(float((scores[found.rows] >= last).mean()))
    return float(np.mean(shares))


@pytest.mark.parametrize("plan", [Plan.FLAT, *GRAPHED])
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
        assert recall(side, vectors, queries, fits, Plan.CELLS) >= 0.95


def test_a_walk_looks_at_few_rows(side: DenseSide, queries: Floats) -> None:
    every = all_rows(ROWS)
    for query in queries:
        flat = found_by(side, Plan.FLAT, query, every)
        walk = found_by(side, Plan.WALK, query, every)
        assert flat.distances == ROWS + EFFORT.refined
        assert walk.distances < 0.6 * ROWS
        assert EFFORT.pool <= walk.visited < ROWS / 10
        assert flat.visited == 0


def test_the_least_effort_is_enough_for_a_walk(side: DenseSide, queries: Floats) -> None:
    for query in queries[:10]:
        found = side.search_by(Plan.WALK, DenseQuery.of(query), all_rows(ROWS), ROWS, K, Effort(pool=K, refined=1))
        assert (found.plan, len(found.rows)) == (Plan.WALK, K)


@pytest.mark.parametrize("allowed", [0, 1, 3])
@pytest.mark.parametrize("plan", [Plan.FLAT, *GRAPHED])
def test_fewer_than_k_allowed(side: DenseSide, queries: Floats, allowed: int, plan: Plan) -> None:
    fits = np.zeros(ROWS, np.bool_)
    fits[:allowed] = True
    found = found_by(side, plan, queries[0], words_of(fits))
    assert sorted(found.rows.tolist()) == list(range(allowed))


def test_a_walk_among_forbidden_rows_goes_on(side: DenseSide, vectors: Floats, queries: Floats) -> None:
    """All that a walk has in view is forbidden: the allowed rows are found nevertheless."""
    for query in queries[:10]:
        fits = np.ones(ROWS, np.bool_)
        fits[np.argsort(-(vectors @ query))[:300]] = False
        found = found_by(side, Plan.WALK, query, words_of(fits))
        flat = found_by(side, Plan.FLAT, query, words_of(fits))
        assert len(found.rows) == K
        assert fits[found.rows].all()
        assert len(set(found.rows.tolist()) & set(flat.rows.tolist())) >= K // 2


def graphed(side: DenseSide) -> Graphed:
    assert side.graphed is not None
    return side.graphed


def reachable(of: Graphed) -> int:
    seen = {*of.cells.medoids.tolist(), *of.graph.strays.tolist()}
    ahead = list(seen)
    while ahead:
        new = {row for row in of.graph.links[ahead.pop()].tolist() if row >= 0} - seen
        seen |= new
        ahead += new
    return len(seen)


def test_every_row_can_be_reached(side: DenseSide) -> None:
    assert reachable(graphed(side)) == ROWS


def test_threads_change_nothing(scattered: Floats, side: DenseSide) -> None:
    again, _ = join([(flat_side(scattered), np.arange(ROWS))], 1, OPTIONS, 3)
    for name, array in side.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_cells_hold_rows_that_lie_near_each_other(side: DenseSide, vectors: Floats) -> None:
    """Much nearer than rows at random; each cell says where it ends, and which row is its middle."""
    cells = graphed(side).cells
    sizes = np.diff(cells.ends, prepend=0)
    assert cells.ends[-1] == ROWS
    assert sizes.min() >= 1
    assert 60 <= len(sizes) <= 2 * ROWS**0.5 + 1
    means = np.array([rows.mean(axis=0) for rows in np.split(vectors, cells.ends[:-1])])
    apart = np.square(vectors - np.repeat(means, sizes, axis=0)).sum(axis=1).mean()
    assert apart < 0.5 * np.square(vectors - vectors.mean(axis=0)).sum(axis=1).mean()
    stored = side.vectors.center + cells.scales[:, None] * cells.codes[:, :DIMENSION]
    np.testing.assert_allclose(stored, means, atol=0.005)
    nearest = [
        start + np.argmin(np.square(rows - mean).sum(axis=1))
        for start, rows, mean in zip(cells.ends - sizes, np.split(vectors, cells.ends[:-1]), means, strict=True)
    ]
    assert (cells.medoids == nearest).mean() > 0.9


def test_few_cells_are_opened_where_many_rows_are_allowed(side: DenseSide, queries: Floats) -> None:
    """The more effort the more, and never a row that is not allowed."""
    rng = np.random.default_rng(3)
    opened = {}
    for pool in (50, 400):
        effort, total = Effort(pool, 60), 0
        for query in queries:
            allowed = words_of(rng.random(ROWS) < 0.5)
            count = kernels.count(allowed)
            found = side.search_by(Plan.CELLS, DenseQuery.of(query), allowed, count, K, effort)
            assert found.visited <= len(graphed(side).cells.ends)
            total += found.distances
        opened[pool] = total / len(queries)
    assert 4 * 50 <= opened[50] < 0.75 * opened[400]


@pytest.mark.parametrize("rows", [1, 2, 20])
def test_small_graphs(vectors: Floats, rows: int) -> None:
    few = encoded(vectors[:rows], center_of(vectors[:rows]))
    side = with_graph(few, np.arange(1, rows + 1, dtype=np.int32), GraphOptions(), 1)
    for plan in GRAPHED:
        found = found_by(side, plan, vectors[0], all_rows(rows))
        assert found.plan is plan
        assert found.rows.tolist() == found_by(side, Plan.FLAT, vectors[0], all_rows(rows)).rows.tolist()
        assert len(found.rows) == min(rows, K)


@pytest.mark.parametrize("options", [{"degree": 0}, {"effort": 0}, {"alpha": 0.0}])
def test_impossible_graphs_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="graph"):
        GraphOptions(**options)  # type: ignore[arg-type]


def test_links_to_rows_that_are_not_there_do_no_harm(side: DenseSide, queries: Floats) -> None:
    """As a damaged file has them, before its checksum is looked at."""
    own = graphed(side)
    links = own.graph.links.copy()
    links[::3, 0] = 2**30
    links[1::3, 1] = -(2**30)
    strays = np.array([-5, 2**30, 7], np.int32)
    damaged = DenseSide(side.vectors, Graphed(own.cells, Graph(read_only(links), read_only(strays))))
    assert len(found_by(damaged, Plan.WALK, queries[0], all_rows(ROWS)).rows) == K


@pytest.mark.parametrize("change", [lambda ends: ends[:-1], lambda ends: ends + 1, lambda ends: ends[::-1]])
def test_cells_that_do_not_fit_the_rows_are_refused(side: DenseSide, change: Callable[[Rows], Rows]) -> None:
    arrays = side.arrays()
    arrays["cells.ends"] = change(arrays["cells.ends"])
    with pytest.raises(ValueError, match="cells"):
        DenseSide.from_arrays(arrays)


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
    flat, as_they_came = join(sources, 601, GraphOptions(), 1)
    assert (flat.graphed, as_they_came) == (None, None)
    joined, order = join(sources, 600, GraphOptions(), 1)
    assert order is not None
    assert sorted(order.tolist()) == list(range(600))
    np.testing.assert_array_equal(joined.vectors.decoded(np.arange(600)), flat.vectors.decoded(order))
    again = DenseSide.from_arrays(joined.arrays())
    np.testing.assert_array_equal(graphed(again).graph.links, graphed(joined).graph.links)
    assert isinstance(again.vectors, Vectors)
    assert DenseSide.from_arrays(half.arrays()).graphed is None


def test_a_side_without_a_graph_refuses_to_walk(vectors: Floats) -> None:
    flat = flat_side(vectors)
    for plan in GRAPHED:
        with pytest.raises(ValueError, match="graph"):
            found_by(flat, plan, vectors[0], all_rows(ROWS))


def test_plans() -> None:
    thresholds = PlannerThresholds(flat_rows=1_000, walk_share=0.8)
    for near_share in (None, 0.0, 1.0):
        assert choose_plan(0, near_share, thresholds) is Plan.SKIP
        assert choose_plan(1_000, near_share, thresholds) is Plan.FLAT
    assert choose_plan(1_001, None, thresholds) is Plan.FLAT
    assert choose_plan(1_001, 0.0, thresholds) is Plan.CELLS
    assert choose_plan(80_000, 0.79, thresholds) is Plan.CELLS
    assert choose_plan(80_000, 0.8, thresholds) is Plan.WALK


def test_what_is_allowed_near_the_query_decides(side: DenseSide, vectors: Floats, queries: Floats) -> None:
    """Filters of one size: the nearest half is walked to, of the farthest half cells are opened."""
    thresholds = PlannerThresholds(flat_rows=100, walk_share=0.4)
    for query in queries:
        order = np.argsort(-(vectors @ query))
        plans = []
        for rows in (order[: ROWS // 2], order[ROWS // 2 :], order[-100:]):
            fits = np.zeros(ROWS, np.bool_)
            fits[rows] = True
            found = side.search(DenseQuery.of(query), words_of(fits), len(rows), K, EFFORT, thresholds)
            plans.append(found.plan)
        assert plans == [Plan.WALK, Plan.CELLS, Plan.FLAT]
