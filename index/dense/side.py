"""The dense side of a part of the index: its vectors, and the graph through them if there is one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, eq=False)
class DenseQuery:
    """vector: float32[dimension], of length 1; floats: the same, with zeros up to a row's width; codes: int8, too."""

    vector: npt.NDArray[np.float32]
    floats: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int8]

    @classmethod
    def of(cls, vector: npt.NDArray[np.float32]) -> DenseQuery:
        width = padded(len(vector))
        floats, codes = np.zeros((1, width), np.float32), np.empty((1, width), np.int8)
        floats[0, : len(vector)] = vector
        kernels.quantize(vector_store.read_only(floats), codes, np.empty(1, np.float32))
        return cls(floats[0, : len(vector)], floats[0], codes[0])


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
        self.counts = np.zeros(2, np.int64)

    def fit(self, rows: int) -> None:
        if len(self.trail) <= rows:
            self.trail = np.empty(rows + 1, np.int32)
            self.visited = np.zeros(-(-rows // kernels.WORD_BITS), np.uint64)


_scratch = _Scratch()


@dataclass(frozen=True, slots=True)
class DenseSide:
    """Immutable. The graph is None where there are too few rows for one to pay."""

    vectors: Vectors
    graph: Graph | None = None

    def search(
        self, query: DenseQuery, allowed: npt.NDArray[np.uint64], plan: Plan, k: int, effort: Effort
    ) -> Neighbours:
        """The k best allowed rows. allowed: uint64[ceil(n/64)]. Safe to call from many threads; without the GIL.

        FLAT compares every allowed row, and misses one only where the digits are that misleading: `effort.refined` >= 4
        k finds .999 of them and more. The walks need a graph, and find what `effort.pool` pays for.
        """
        pool = np.empty(max(k, effort.refined), np.int64)
        if plan is Plan.FLAT:
            candidates = np.empty(kernels.count(allowed), np.int32)
            kernels.list_rows(allowed, candidates)
            found = kernels.scan_digits(self.vectors.digits, self.vectors.scales, query.codes, candidates, pool)
            distances, visited = len(candidates) + found, 0
        else:
            pool = np.empty(max(k, effort.refined, effort.pool), np.int64)
            found, distances, visited = self._walk(query, allowed, plan, pool, max(k, effort.refined))
        best = np.empty(min(k, found), np.int64)
        bias = float(query.vector @ self.vectors.center)
        vectors = self.vectors
        kernels.refine(vectors.digits, vectors.fine, vectors.scales, bias, query.floats, pool, found, best)
        rows, scores = np.empty(len(best), np.int32), np.empty(len(best), np.float32)
        kernels.unpack(best, rows, scores)
        return Neighbours(rows, scores, distances, visited)

    def _walk(
        self,
        query: DenseQuery,
        allowed: npt.NDArray[np.uint64],
        plan: Plan,
        pool: npt.NDArray[np.int64],
        limit: int,
    ) -> tuple[int, int, int]:
        """How many entries of the pool count, distances computed, rows visited."""
        if self.graph is None:
            raise ValueError(f"no graph to {plan.value} through")
        own = _scratch
        own.fit(self.vectors.rows)
        own.counts[:] = 0
        digits, scales, links = self.vectors.digits, self.vectors.scales, self.graph.links
        if plan is Plan.WALK:
            size = kernels.walk(
                digits, scales, links, self.graph.starts, query.codes, own.visited, own.trail, pool, own.counts
            )
        else:
            starts = np.empty(_STARTS_ALLOWED, np.int32)
            starts = starts[: kernels.spread_rows(allowed, starts)]
            size = kernels.walk_allowed(
                digits, scales, links, starts, query.codes, allowed, own.visited, own.trail, pool, own.counts
            )
        found = kernels.keep_allowed(pool, size, allowed, limit)
        return found, int(own.counts[0]) + found, int(own.counts[1])

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
