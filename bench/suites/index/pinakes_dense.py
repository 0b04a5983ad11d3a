"""Pinakes' dense side alone, as one segment has it."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_FILE = "vectors"
_RESCORED_PER_RESULT = 2


def prepare() -> None:
    """Imports, and kernels compiled or read from their cache."""
    import kernels

    importlib.import_module("index")
    kernels.warm_up()


class PinakesDense:
    """A VectorIndex over `index.dense`."""

    def __init__(self, vectors: object, rows: int) -> None:
        from index.dense.vectors import Vectors

        assert isinstance(vectors, Vectors)
        self._vectors = vectors
        every = np.zeros(-(-rows // 64) * 8, np.uint8)
        every[: -(-rows // 8)] = np.packbits(np.ones(rows, np.bool_), bitorder="little")
        self._all = every.view(np.uint64)

    @staticmethod
    def configuration() -> dict[str, str | int]:
        return {"vectors": "int8 codes, rescored with float32", "plan": "flat"}

    @classmethod
    def build(cls, vectors: Floats, threads: int) -> PinakesDense:
        from index.dense.vectors import quantized

        return cls(quantized(vectors), len(vectors))

    @classmethod
    def open(cls, folder: Path) -> PinakesDense:
        from index.dense.vectors import Vectors
        from index.storage import read_arrays

        vectors = Vectors.from_arrays(read_arrays(folder / _FILE))
        return cls(vectors, len(vectors.scales))

    def save(self, folder: Path) -> None:
        from index.storage import write_arrays

        write_arrays(folder / _FILE, self._vectors.arrays())

    def search(self, query: Floats, k: int, effort: int) -> Rows:
        return self.search_filtered(query, k, effort, self._all)

    def search_many(self, queries: Floats, k: int, effort: int) -> Rows:
        found = np.full((len(queries), k), -1, np.int64)
        for line, query in zip(found, queries, strict=True):
            rows = self.search(query, k, effort)
            line[: len(rows)] = rows
        return found

    def filter(self, allowed: Words) -> Words:
        return allowed

    def search_filtered(self, query: Floats, k: int, effort: int, allowed: Words) -> Rows:
        from index.dense.flat import DenseQuery, search_flat

        nearest = search_flat(self._vectors, DenseQuery.of(query), allowed, k, _RESCORED_PER_RESULT * k)
        return nearest.rows.astype(np.int64)
