"""The dense side of a part of the index: its vectors, and the graph through them if there is one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import kernels
from index.dense import vectors as vector_store
from index.dense.graph import Graph, GraphOptions, build_graph
from index.dense.vectors import Vectors, padded
from index.planner import Plan

_STARTS_ALLOWED = 256
"""A walk through allowed rows begins at so many of them."""
_MORE_THOROUGH = {Plan.WALK: Plan.FILTERED_WALK, Plan.FILTERED_WALK: Plan.FLAT}


@dataclass(frozen=True, slots=True, eq=False)
class DenseQuery:
    """A vector of length 1, with zeros up to the width of a row: as floats: float32[w], and as codes: int8[w]."""

    floats: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int8]

    @classmethod
    def of(cls, vector: npt.NDArray[np.float32]) -> DenseQuery:
        width = padded(len(vector))
        floats, codes = np.empty(width, np.float32), np.empty(width, np.int8)
        kernels.prepare_query(np.ascontiguousarray(vector, np.float32), floats, codes)
        return cls(floats, codes)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Rows with the greatest inner products, best first. rows: int32[k]; scores: float32[k]. `distances` counts inner
    products computed, `visited` rows of the graph whose links were read."""

    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    distances: int
    visited: int


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is looked at. pool: rows that a walk keeps in view; refined: rows that are ranked by all 12 bits."""

    pool: int
    refined: int


class _Scratch(threading.local):
    """What walks of one thread write into; grows to the largest part that the thread searched."""

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
    """Immutable. The graph is None where there are too few rows for one to pay."""

    vectors: Vectors
    graph: Graph | None = None

    def search(
        self, query: DenseQuery, allowed: npt.NDArray[np.uint64], plan: Plan, k: int, effort: Effort
    ) -> Neighbours:
        """The k best allowed rows, fewer only if fewer are allowed. allowed: uint64[ceil(n/64)]. Safe to call from many
        threads; without the GIL.

        FLAT compares every allowed row, and misses one only where the digits are that misleading: `effort.refined` >= 4
        k finds .999 of them and more. The walks need a graph, and find what `effort.pool` pays for; where what they
        find is not allowed, or the allowed rows do not hang together, the next more thorough plan takes over.
        """
        refined = max(k, effort.refined)
        rows, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        if plan is Plan.FLAT:
            candidates = np.empty(kernels.count(allowed), np.int32)
            kernels.list_rows(allowed, candidates)
            pool = np.empty(refined, np.int64)
            kept = kernels.nearest_listed(*self._stored, query.floats, query.codes, candidates, pool, rows, scores)
            return Neighbours(rows[:kept], scores[:kept], len(candidates) + min(len(candidates), refined), 0)
        if self.graph is None:
            raise ValueError(f"no graph to {plan.value} through")
        starts = self.graph.starts
        if plan is Plan.FILTERED_WALK:
            starts = np.empty(_STARTS_ALLOWED, np.int32)
            starts = vector_store.read_only(starts[: kernels.spread_rows(allowed, starts)])
        own = _scratch
        own.fit(self.vectors.rows)
        counts = np.zeros(2, np.int64)
        kept = kernels.nearest_walked(
            *self._stored,
            query.floats,
            query.codes,
            self.graph.links,
            starts,
            allowed,
            plan is Plan.FILTERED_WALK,
            refined,
            own.visited,
            own.trail,
            np.empty(max(refined, effort.pool), np.int64),
            counts,
            rows,
            scores,
        )
        distances, visited = counts.tolist()
        if kept < k and kept < kernels.count(allowed):
            thorough = self.search(query, allowed, _MORE_THOROUGH[plan], k, effort)
            return replace(thorough, distances=distances + thorough.distances, visited=visited + thorough.visited)
        return Neighbours(rows[:kept], scores[:kept], distances, visited)

    @property
    def _stored(self) -> tuple[Any, Any, Any, Any]:
        vectors = self.vectors
        return vectors.digits, vectors.fine, vectors.scales, vectors.center

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return self.vectors.arrays() | (self.graph.arrays() if self.graph else {})

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> DenseSide:
        """Raises KeyError for a missing array."""
        return cls(Vectors.from_arrays(arrays), Graph.from_arrays(arrays) if "links" in arrays else None)


def join(
    sources: Sequence[tuple[DenseSide, npt.NDArray[np.int64]]], graph_rows: int, options: GraphOptions, threads: int
) -> DenseSide:
    """Some rows of each source, one source after another; with a graph if there are `graph_rows` of them or more."""
    vectors = vector_store.join([(side.vectors, rows) for side, rows in sources])
    return DenseSide(vectors, build_graph(vectors, options, threads) if vectors.rows >= graph_rows else None)
