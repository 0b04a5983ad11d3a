"""The cells of a segment: which rows lie near each other, and how they are found."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import kernels
from index.dense.vectors import Vectors, padded
from index.views import read_only

_CELLS_PER_ROOT = 2.0
_MOST_CELLS = 4_096
_ROWS_PER_CELL = 40
"""So many rows per cell are enough to find the means."""
_ROUNDS = 6
_NEAR = 16
"""So many other cells' medoids are asked for each cell."""
_WIDENING = 1.4
"""The upper end of the scores, which is what matters, is wider than that of a normal distribution. With this factor the
recall on embeddings of multilingual-e5-small was about the same under filters of every kind; too many rows, rather
than too few, are expected to be missing."""
_SEED = 20261121


@dataclass(frozen=True, slots=True)
class Cells:
    """Cell j has the rows from ends[j - 1] (0 for the first) up to, but without, ends[j]; at least one.

    codes: int8[c, w], scales: float32[c]: its mean is the vectors' center + scales[j] * codes[j]. ends: int32[c].
    medoids: int32[c], the row nearest to the mean. deviations: float32[c], of the scores of a cell's rows around that
    of its mean, for a query of length 1. Read-only.
    """

    codes: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    ends: npt.NDArray[np.int32]
    medoids: npt.NDArray[np.int32]
    deviations: npt.NDArray[np.float32]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "cells.codes": self.codes,
            "cells.scales": self.scales,
            "cells.ends": self.ends,
            "cells.medoids": self.medoids,
            "cells.deviations": self.deviations,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Cells:
        """Raises KeyError for a missing array."""
        return cls(*(arrays[f"cells.{name}"] for name in ("codes", "scales", "ends", "medoids", "deviations")))


def find_cells(vectors: Vectors, threads: int = 1) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """int32[n]: the rows (at least one), cell by cell; and int32[c]: where each cell ends in them.

    Lloyd's algorithm on a sample, then every row goes to the nearest mean. Depends on the vectors only, not on the
    threads. Cost: 15 us a row at 320,000 rows, on one thread.
    """
    rows = vectors.rows
    count = min(_MOST_CELLS, rows, max(1, round(_CELLS_PER_ROOT * math.sqrt(rows))))
    rng = np.random.default_rng(_SEED)
    sample = np.sort(rng.choice(rows, min(rows, _ROWS_PER_CELL * count), replace=False)).astype(np.int32)
    around = vectors.decoded(sample.astype(np.int64)) - vectors.center
    means = around[rng.choice(len(sample), count, replace=False)]
    with ThreadPoolExecutor(threads, thread_name_prefix="index-cells") as pool:
        for _ in range(_ROUNDS):
            assigned = _assigned(vectors, sample, means, pool, threads)
            order, sizes = _by_cell(assigned, len(means))
            filled = np.flatnonzero(sizes)
            firsts = (np.cumsum(sizes) - sizes)[filled]
            means = np.add.reduceat(around[order], firsts, axis=0) / sizes[filled, None].astype(np.float32)
        order, sizes = _by_cell(_assigned(vectors, np.arange(rows, dtype=np.int32), means, pool, threads), len(means))
    return order.astype(np.int32), np.cumsum(sizes[sizes > 0]).astype(np.int32)


def describe_cells(vectors: Vectors, ends: npt.NDArray[np.int32]) -> Cells:
    """The cells of vectors that are stored in their order. Cost: 2.4 us a row of 384 components, at 320,000."""
    codes = np.empty((len(ends), padded(vectors.dimension)), np.int8)
    scales = np.empty(len(ends), np.float32)
    medoids, means = np.empty(len(ends), np.int32), np.empty((len(ends), vectors.dimension), np.float32)
    bounds = [0, *ends.tolist()]
    for cell, (first, end) in enumerate(itertools.pairwise(bounds)):
        rows = vectors.decoded(np.arange(first, end)) - vectors.center
        means[cell] = rows.mean(axis=0)
        medoids[cell] = first + np.square(rows - means[cell]).sum(axis=1).argmin()
    kernels.quantize(read_only(means), codes, scales)
    deviations = _deviations(vectors, bounds, means, medoids)
    return Cells(read_only(codes), read_only(scales), read_only(ends), read_only(medoids), read_only(deviations))


def _deviations(
    vectors: Vectors, bounds: Sequence[int], means: npt.NDArray[np.float32], medoids: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    """float32[c]: of the scores of each cell's rows for queries nearby: the medoids of the nearest other cells.

    Products are einsum's: those of `@` would be computed by a thread of the BLAS library on every core.
    """
    queries = vectors.decoded(medoids.astype(np.int64))
    deviations = np.zeros(len(means), np.float32)
    for cell, (first, end) in enumerate(itertools.pairwise(bounds)):
        near = np.argsort(-np.einsum("ij,j->i", queries, means[cell]))[: _NEAR + 1]
        asked = queries[near[near != cell]]
        if len(asked):
            rows = vectors.decoded(np.arange(first, end)) - vectors.center - means[cell]
            deviations[cell] = _WIDENING * np.einsum("ij,kj->ik", rows, asked).std()
    return deviations


def _assigned(
    vectors: Vectors,
    rows: npt.NDArray[np.int32],
    means: npt.NDArray[np.float32],
    pool: ThreadPoolExecutor,
    threads: int,
) -> npt.NDArray[np.int32]:
    """int32[m]: of each row the nearest mean, which are given around the vectors' center."""
    codes = np.empty((len(means), padded(vectors.dimension)), np.int8)
    scales = np.empty(len(means), np.float32)
    kernels.quantize(read_only(np.ascontiguousarray(means, np.float32)), codes, scales)
    halves = (0.5 * np.einsum("ij,ij->i", means, means)).astype(np.float32)
    cells = np.empty(len(rows), np.int32)

    def assign(start: int, end: int) -> None:
        kernels.assign_cells(vectors.digits, vectors.scales, rows[start:end], codes, scales, halves, cells[start:end])

    bounds = np.linspace(0, len(rows), threads + 1).astype(int).tolist()
    list(pool.map(assign, bounds[:-1], bounds[1:]))
    return cells


def _by_cell(assigned: npt.NDArray[np.int32], count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return np.argsort(assigned, kind="stable"), np.bincount(assigned, minlength=count)
