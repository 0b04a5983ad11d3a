"""Pinakes' dense side alone, as one segment has it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from index.dense.side import DenseSide

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_FILE = "vectors"
_REFINED_PER_RESULT = 8


def prepare() -> None:
    """Imports, and kernels compiled or read from their cache."""
    import kernels

    importlib.import_module("index")
    kernels.warm_up()


class PinakesDense:
    """A VectorIndex: `index.dense` with its planner, with a graph however few rows there are."""

    def __init__(self, side: DenseSide, order: Rows) -> None:
        """order: the number of each stored row."""
        from index.planner import PlannerThresholds

        self._side = side
        self._order = order
        self._thresholds = PlannerThresholds()
        rows = side.vectors.rows
        every = np.zeros(-(-rows // 64) * 8, np.uint8)
        every[: -(-rows // 8)] = np.packbits(np.ones(rows, np.bool_), bitorder="little")
        self._all: Words = every.view(np.uint64)

    @staticmethod
    def configuration() -> dict[str, str | int]:
        return {
            "vectors": "digits of 4 bits, refined by codes of 8",
            "graph and planner": "the defaults",
            "refined per result": f"{_REFINED_PER_RESULT}, as many as the effort at most",
        }

    @classmethod
    def build(cls, vectors: Floats, threads: int) -> PinakesDense:
        from index.dense.graph import GraphOptions
        from index.dense.side import DenseSide, join
        from index.dense.vectors import center_of, encoded

        stored = encoded(vectors, center_of(vectors))
        side, order = join([(DenseSide(stored), np.arange(len(vectors)))], 1, GraphOptions(), threads)
        return cls(side, np.arange(len(vectors)) if order is None else order)

    @classmethod
    def open(cls, folder: Path) -> PinakesDense:
        from index.dense.side import DenseSide
        from index.storage import read_arrays

        arrays = read_arrays(folder / _FILE)
        return cls(DenseSide.from_arrays(arrays), arrays["order"])

    def save(self, folder: Path) -> None:
        from index.storage import write_arrays

        write_arrays(folder / _FILE, {**self._side.arrays(), "order": self._order})

    def search(self, query: Floats, k: int, effort: int) -> Rows:
        return self.search_filtered(query, k, effort, self._all)

    def search_many(self, queries: Floats, k: int, effort: int) -> Rows:
        found = np.full((len(queries), k), -1, np.int64)
        for line, query in zip(found, queries, strict=True):
            rows = self.search(query, k, effort)
            line[: len(rows)] = rows
        return found

    def filter(self, allowed: Words) -> Words:
        """Segments store rows in an order of their own."""
        bits = np.unpackbits(allowed.view(np.uint8), bitorder="little")
        own = np.zeros(len(allowed) * 64, np.uint8)
        own[: len(self._order)] = bits[self._order]
        return np.packbits(own, bitorder="little").view(np.uint64)

    def search_filtered(self, query: Floats, k: int, effort: int, allowed: Words) -> Rows:
        """Counting the allowed rows is part of it."""
        import kernels
        from index.dense.side import DenseQuery, Effort

        refined = min(_REFINED_PER_RESULT * k, max(k, effort))
        found = self._side.search(
            DenseQuery.of(query), allowed, kernels.count(allowed), k, Effort(effort, refined), self._thresholds
        )
        return self._order[found.rows]
