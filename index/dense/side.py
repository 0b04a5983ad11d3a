"""The dense side of a part of the index: its vectors, and how to find the nearest of them."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import kernels
from index.dense import vectors as vector_store
from index.dense.cells import Cells, describe_cells, find_cells
from index.dense.graph import Graph, GraphOptions, build_graph
from index.dense.vectors import Vectors, padded
from index.planner import Plan, PlannerThresholds, choose_plan
from index.views import read_only

_STARTS = 16
"""A walk begins in so many of the cells nearest to the query."""
_SPARE_OF_K = 2
"""A walk must have k/2 more allowed rows in view than the k it finds."""
_LARGEST_POOL = 4
"""The walk's pool grows with what the filter forbids near the query, up to so many times its size."""
_COMPARED_PER_EFFORT = 4
_ALL_MISSING = 50
"""Cells are opened until four times the effort's rows are compared, and 50 by the effort is the share of the best k
that is expected to be missing. At an effort of 200 a tenth of these are: deviations are estimated generously."""


@dataclass(frozen=True, slots=True, eq=False)
class DenseQuery:
    """A vector of length 1, float32[d], which is about step * (codes + fine / 254); codes, fine: int8[w], with zeros up
    to the width of a row."""

    vector: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int8]
    fine: npt.NDArray[np.int8]
    step: float

    @classmethod
    def of(cls, vector: npt.NDArray[np.float32]) -> DenseQuery:
        vector = read_only(np.ascontiguousarray(vector, np.float32))
        width = padded(len(vector))
        codes, fine = np.empty(width, np.int8), np.empty(width, np.int8)
        return cls(vector, codes, fine, kernels.prepare_query(vector, codes, fine))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Rows with the greatest inner products, best first. rows: int32[k]; scores: float32[k]. `plan`: how they were
    found; `distances` counts inner products computed, `visited` rows of the graph whose links were read, or cells that
    were opened."""

    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    plan: Plan
    distances: int
    visited: int


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is looked at. pool: rows that a walk keeps in view; the more, the fewer of the best are missed, also in
    cells. refined: rows that are ranked by all 12 bits."""

    pool: int
    refined: int


@dataclass(frozen=True, slots=True)
class Nearby:
    """Where a search of a graph or of cells begins. means: float32[c], the scores of the cells' means; starts:
    int32[m], a row of each of the nearest cells; share: of their rows that are allowed."""

    means: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int32]
    share: float


@dataclass(frozen=True, slots=True)
class Graphed:
    """What a side has that is large enough: its rows are stored cell by cell, and linked."""

    cells: Cells
    graph: Graph


class _Scratch(threading.local):
    """What searches of one thread write into; grows to the largest part that the thread searched."""

    def __init__(self) -> None:
        self.visited = np.zeros(0, np.uint64)
        self.trail = np.empty(0, np.int32)

    def fit(self, rows: int) -> None:
        if len(self.trail) <= rows:
            self.visited = np.zeros(-(-rows // kernels.WORD_BITS), np.uint64)
            self.trail = np.empty(rows + 1, np.int32)


_scratch = _Scratch()


@dataclass(frozen=True, slots=True)
class DenseSide:
    """Immutable. `graphed` is None where there are too few rows for it to pay."""

    vectors: Vectors
    graphed: Graphed | None = None

    def search(
        self,
        query: DenseQuery,
        allowed: npt.NDArray[np.uint64],
        count: int,
        k: int,
        effort: Effort,
        thresholds: PlannerThresholds,
    ) -> Neighbours:
        """The k best allowed rows, fewer only if fewer are allowed. allowed: uint64[ceil(n/64)], `count` rows. Safe to
        call from many threads; without the GIL."""
        nearby = None
        if self.graphed is not None and count > thresholds.flat_rows:
            nearby = self.survey(query, allowed)
        plan = choose_plan(count, None if nearby is None else nearby.share, thresholds)
        return self.search_by(plan, query, allowed, count, k, effort, nearby)

    def search_by(
        self,
        plan: Plan,
        query: DenseQuery,
        allowed: npt.NDArray[np.uint64],
        count: int,
        k: int,
        effort: Effort,
        nearby: Nearby | None = None,
    ) -> Neighbours:
        """As `search`, by a given plan; `nearby` as `survey` gives it.

        FLAT compares every allowed row, and misses one only where the digits are that misleading: `effort.refined` >= 4
        k finds .999 of them and more. CELLS opens cells until few of the best are expected in the others. WALK finds
        what `effort.pool` pays for; where it has too few allowed rows in view, CELLS takes over.
        """
        if plan is Plan.SKIP:
            return Neighbours(np.empty(0, np.int32), np.empty(0, np.float32), plan, 0, 0)
        refined = max(k, effort.refined)
        if plan is Plan.FLAT:
            return self._compare_all(query, allowed, count, k, refined)
        if self.graphed is None:
            raise ValueError(f"neither cells nor graph to search by {plan.value}")
        if nearby is None:
            nearby = self.survey(query, allowed)
        if plan is Plan.CELLS:
            return self._open_cells(self.graphed.cells, query, allowed, k, refined, effort.pool, nearby)
        fewest = min(count, refined, k + k // _SPARE_OF_K)
        walked = self._walk(self.graphed.graph, query, allowed, fewest, k, refined, effort.pool, nearby)
        if len(walked.rows):
            return walked
        opened = self._open_cells(self.graphed.cells, query, allowed, k, refined, effort.pool, nearby)
        return replace(opened, distances=walked.distances + opened.distances, visited=walked.visited + opened.visited)

    def survey(self, query: DenseQuery, allowed: npt.NDArray[np.uint64]) -> Nearby:
        """Raises ValueError without cells. Cost: 13 us at 1,131 cells."""
        if self.graphed is None:
            raise ValueError("no cells")
        cells = self.graphed.cells
        means = np.empty(len(cells.ends), np.float32)
        starts = np.empty(min(_STARTS, len(cells.ends)), np.int32)
        share = kernels.survey(
            cells.codes, cells.scales, cells.ends, cells.medoids, query.codes, allowed, means, starts
        )
        return Nearby(means, starts, share)

    def _compare_all(
        self, query: DenseQuery, allowed: npt.NDArray[np.uint64], count: int, k: int, refined: int
    ) -> Neighbours:
        candidates = np.empty(count, np.int32)
        kernels.list_rows(allowed, candidates)
        rows, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        kept = kernels.nearest_listed(
            *self._stored, *_prepared(query), candidates, np.empty(refined, np.int64), rows, scores
        )
        return Neighbours(rows[:kept], scores[:kept], Plan.FLAT, count + min(count, refined), 0)

    def _open_cells(
        self,
        cells: Cells,
        query: DenseQuery,
        allowed: npt.NDArray[np.uint64],
        k: int,
        refined: int,
        pool: int,
        nearby: Nearby,
    ) -> Neighbours:
        own = _scratch
        own.fit(self.vectors.rows)
        rows, scores, counts = np.empty(k, np.int32), np.empty(k, np.float32), np.zeros(2, np.int64)
        kept = kernels.nearest_in_cells(
            *self._stored,
            *_prepared(query),
            cells.ends,
            nearby.means,
            cells.deviations,
            allowed,
            _COMPARED_PER_EFFORT * pool,
            min(1.0, _ALL_MISSING / pool),
            own.trail,
            np.empty(refined, np.int64),
            counts,
            rows,
            scores,
        )
        distances, opened = counts.tolist()
        return Neighbours(rows[:kept], scores[:kept], Plan.CELLS, distances + len(cells.ends), opened)

    def _walk(
        self,
        graph: Graph,
        query: DenseQuery,
        allowed: npt.NDArray[np.uint64],
        fewest: int,
        k: int,
        refined: int,
        pool: int,
        nearby: Nearby,
    ) -> Neighbours:
        """No rows if fewer than `fewest` in view are allowed."""
        own = _scratch
        own.fit(self.vectors.rows)
        rows, scores, counts = np.empty(k, np.int32), np.empty(k, np.float32), np.zeros(2, np.int64)
        starts = np.concatenate([nearby.starts, graph.strays]) if len(graph.strays) else nearby.starts
        wider = min(_LARGEST_POOL, 1.0 / math.sqrt(max(nearby.share, 1e-9)))
        kept = kernels.nearest_walked(
            *self._stored,
            *_prepared(query),
            graph.links,
            starts,
            allowed,
            fewest,
            refined,
            own.visited,
            own.trail,
            np.empty(max(refined, round(pool * wider)), np.int64),
            counts,
            rows,
            scores,
        )
        distances, visited = counts.tolist()
        return Neighbours(rows[:kept], scores[:kept], Plan.WALK, distances + len(nearby.means), visited)

    @property
    def _stored(self) -> tuple[Any, Any, Any, Any]:
        vectors = self.vectors
        return vectors.digits, vectors.fine, vectors.scales, vectors.center

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays = self.vectors.arrays()
        if self.graphed is not None:
            arrays |= self.graphed.cells.arrays() | self.graphed.graph.arrays()
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> DenseSide:
        """Raises KeyError for a missing array, and ValueError for cells that are not those of the vectors."""
        vectors = Vectors.from_arrays(arrays)
        if "links" not in arrays:
            return cls(vectors)
        cells = Cells.from_arrays(arrays)
        if not len(cells.ends) or cells.ends[-1] != vectors.rows or (np.diff(cells.ends, prepend=0) <= 0).any():
            raise ValueError("the ends of cells do not fit the rows")
        return cls(vectors, Graphed(cells, Graph.from_arrays(arrays)))


def _prepared(query: DenseQuery) -> tuple[Any, Any, Any, float]:
    return query.vector, query.codes, query.fine, query.step


def join(
    sources: Sequence[tuple[DenseSide, npt.NDArray[np.int64]]], graph_rows: int, options: GraphOptions, threads: int
) -> tuple[DenseSide, npt.NDArray[np.int64] | None]:
    """Some rows of each source. With `graph_rows` of them or more, cells and a graph are made, and the rows are stored
    in another order: the second result, int64[n], has their numbers, counted from one source to the next, cell by
    cell."""
    vectors = vector_store.join([(side.vectors, rows) for side, rows in sources])
    if vectors.rows < graph_rows:
        return DenseSide(vectors), None
    order, ends = find_cells(vectors, threads)
    return with_graph(vectors.taken(order), ends, options, threads), order.astype(np.int64)


def with_graph(vectors: Vectors, ends: npt.NDArray[np.int32], options: GraphOptions, threads: int) -> DenseSide:
    """A side with a graph, from vectors that are stored in the order of their cells, which end at `ends`."""
    cells = describe_cells(vectors, ends)
    return DenseSide(vectors, Graphed(cells, build_graph(vectors, cells.medoids, options, threads)))
