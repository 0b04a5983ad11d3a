"""The proximity graph of a segment, and how it is built."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import kernels
from index.dense.vectors import Vectors
from index.views import read_only

_STARTS = 256
"""While the graph is built, walks begin at so many of its rows."""
_MOST_STRAYS = 64
_SLACK = 16
"""Rows may have so many more links while the graph is built: they are thinned out less often."""
_BATCH_SHARE = 32
_LARGEST_BATCH = 2_048
"""A batch is at most this many rows, and 1/32 of the graph so far: its rows do not see each other."""
_SEED = 20260401


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """degree: links of a row at most. effort: rows that are found, and looked at, before one is linked. alpha: how much
    nearer than the row itself another link must be to make a link superfluous, in squared distance; more than 1 keeps
    more.
    """

    degree: int = 32
    effort: int = 200
    alpha: float = 1.05

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.degree < 1 or self.effort < 1 or not self.alpha > 0:
            raise ValueError(f"a graph needs a degree and an effort of at least 1, and an alpha above 0: {self}")


@dataclass(frozen=True, slots=True)
class Graph:
    """links: int32[n, degree], each row's neighbours, filled up with -1. strays: int32[m], rows that no links lead to:
    every walk begins there too. Read-only."""

    links: npt.NDArray[np.int32]
    strays: npt.NDArray[np.int32]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"links": self.links, "strays": self.strays}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Graph:
        """Raises KeyError for a missing array."""
        return cls(arrays["links"], arrays["strays"])


def build_graph(vectors: Vectors, landmarks: npt.NDArray[np.int32], options: GraphOptions, threads: int = 1) -> Graph:
    """Links all rows (at least one), so that links lead to each from one of the landmarks, rows all over the graph: the
    walks will begin at some of them.

    Depends on the vectors and options only, not on the threads. Memory while building: 590 bytes a row of 384
    components.
    """
    builder = _Builder(vectors, options, threads)
    with ThreadPoolExecutor(threads, thread_name_prefix="index-graph") as pool:
        for batch in builder.batches():
            builder.link(batch, pool)
    return builder.graph(landmarks)


class _Scratch:
    """What one thread needs."""

    def __init__(self, rows: int, options: GraphOptions) -> None:
        self.visited = np.zeros(-(-rows // 64), np.uint64)
        self.trail = np.empty(rows + 1, np.int32)
        self.pool = np.empty(options.effort, np.int64)
        self.ranked = np.empty(max(options.effort, options.degree + _SLACK + 1), np.int64)


class _Builder:
    def __init__(self, vectors: Vectors, options: GraphOptions, threads: int) -> None:
        rows = vectors.rows
        self._vectors = vectors
        self._options = options
        self._links = np.full((rows, options.degree + _SLACK), kernels.NO_ROW, np.int32)
        self._order = np.random.default_rng(_SEED).permutation(rows).astype(np.int32)
        self._linked = 1
        self._scratch = [_Scratch(rows, options) for _ in range(threads)]
        codes = np.empty(vectors.fine.shape, np.int8)
        scales, offsets = np.empty(rows, np.float32), np.empty(rows, np.float32)
        for start in range(0, rows, _LARGEST_BATCH):
            here = slice(start, min(start + _LARGEST_BATCH, rows))
            around = vectors.decoded(np.arange(here.start, here.stop)) - vectors.center
            kernels.quantize(read_only(around), codes[here], scales[here])
            offsets[here] = np.einsum("ij,j->i", around, vectors.center)  # `@` would take a thread on every core
        nearest = 1.0 - float(vectors.center @ vectors.center)
        sums = codes.sum(axis=1, dtype=np.int32)
        self._by = kernels.Linking(codes, scales, offsets, sums, nearest, options.alpha)

    def batches(self) -> list[npt.NDArray[np.int32]]:
        """All rows but the first one, in a random order: neighbours in a document must not come together."""
        rows = len(self._order)
        bounds = [1]
        while bounds[-1] < rows:
            bounds.append(min(rows, bounds[-1] + min(max(1, bounds[-1] // _BATCH_SHARE), _LARGEST_BATCH)))
        return [self._order[start:end] for start, end in itertools.pairwise(bounds)]

    def link(self, batch: npt.NDArray[np.int32], pool: ThreadPoolExecutor) -> None:
        proposals = np.empty((len(batch), self._options.degree), np.int32)
        bounds = np.linspace(0, len(batch), len(self._scratch) + 1).astype(int)
        slices = [slice(start, end) for start, end in itertools.pairwise(bounds)]
        list(pool.map(lambda some, own: self._propose(batch[some], proposals[some], own), slices, self._scratch))
        kernels.connect(self._by, self._links, batch, proposals, self._scratch[0].ranked)
        self._linked += len(batch)

    def _propose(self, batch: npt.NDArray[np.int32], proposals: npt.NDArray[np.int32], own: _Scratch) -> None:
        queries = np.empty((len(batch), self._by.codes.shape[1]), np.int8)
        kernels.quantize(
            read_only(self._vectors.decoded(batch.astype(np.int64))), queries, np.empty(len(batch), np.float32)
        )
        kernels.propose(
            self._vectors.digits,
            self._vectors.scales,
            self._by,
            queries,
            self._links,
            self._order[: min(self._linked, _STARTS)],
            batch,
            own.visited,
            own.trail,
            own.pool,
            own.ranked,
            proposals,
        )

    def graph(self, landmarks: npt.NDArray[np.int32]) -> Graph:
        links = np.empty((len(self._order), self._options.degree), np.int32)
        kernels.trim(self._by, self._links, self._scratch[0].ranked, links)
        strays = _connect(links, landmarks)
        return Graph(read_only(links), read_only(strays))


def _connect(links: npt.NDArray[np.int32], landmarks: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Sees to it that every row can be reached: links rows that no walk comes to from a row that they link to, in the
    place of a missing link. Changes `links`; returns what is left, as far as every walk can afford it."""
    reached = _reached(links, landmarks)
    for row in np.flatnonzero(~reached).tolist():
        ways = [other for other in links[row].tolist() if other != kernels.NO_ROW and reached[other]]
        free = [other for other in ways if links[other, -1] == kernels.NO_ROW]
        if free:
            links[free[0], np.argmax(links[free[0]] == kernels.NO_ROW)] = row
            reached[row] = True
    return np.flatnonzero(~_reached(links, landmarks)).astype(np.int32)[:_MOST_STRAYS]


def _reached(links: npt.NDArray[np.int32], starts: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    reached = np.zeros(len(links), np.bool_)
    frontier = starts
    while len(frontier):
        reached[frontier] = True
        beyond = links[frontier]
        beyond = np.unique(beyond[beyond != kernels.NO_ROW])
        frontier = beyond[~reached[beyond]]
    return reached
