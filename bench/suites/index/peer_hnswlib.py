"""hnswlib, with its README's example parameters: M 16, ef_construction 200."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_FILE, _DIMENSION_FILE = "index.bin", "dimension"
_M, _EF_CONSTRUCTION = 16, 200


def prepare() -> None:
    importlib.import_module("hnswlib")


class HnswlibIndex:
    """A VectorIndex. Its filter is a Python function that is asked about every vector met."""

    def __init__(self, index: Any, dimension: int) -> None:
        self._index = index
        self._dimension = dimension
        index.set_num_threads(1)

    @classmethod
    def build(cls, vectors: Floats, threads: int) -> HnswlibIndex:
        import hnswlib

        index = hnswlib.Index("ip", vectors.shape[1])
        index.init_index(len(vectors), M=_M, ef_construction=_EF_CONSTRUCTION)
        index.add_items(vectors, np.arange(len(vectors)), num_threads=threads)
        return cls(index, vectors.shape[1])

    @classmethod
    def open(cls, folder: Path) -> HnswlibIndex:
        import hnswlib

        dimension = int((folder / _DIMENSION_FILE).read_text())
        index = hnswlib.Index("ip", dimension)
        index.load_index(str(folder / _FILE))
        return cls(index, dimension)

    def save(self, folder: Path) -> None:
        (folder / _DIMENSION_FILE).write_text(str(self._dimension))
        self._index.save_index(str(folder / _FILE))

    def search(self, query: Floats, k: int, effort: int) -> Rows:
        self._index.set_ef(max(effort, k))
        return _rows(self._index.knn_query(query, k, num_threads=1)[0][0])

    def search_many(self, queries: Floats, k: int, effort: int) -> Rows:
        self._index.set_ef(max(effort, k))
        return _rows(self._index.knn_query(queries, k, num_threads=1)[0])

    def filter(self, allowed: Words) -> Callable[[int], bool]:
        # Asking a list is the fastest function there is to call.
        bits: list[bool] = np.unpackbits(allowed.view(np.uint8), bitorder="little").astype(np.bool_).tolist()
        return bits.__getitem__

    def search_filtered(self, query: Floats, k: int, effort: int, allowed: Callable[[int], bool]) -> Rows:
        self._index.set_ef(max(effort, k))
        for wanted in range(k, 0, -1):
            try:
                return _rows(self._index.knn_query(query, wanted, num_threads=1, filter=allowed)[0][0])
            except RuntimeError:  # it found fewer than were wanted, and does not say how many
                continue
        return np.zeros(0, np.int64)


def _rows(labels: npt.NDArray[np.uint64]) -> Rows:
    return labels.astype(np.int64)
