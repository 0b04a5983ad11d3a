"""usearch, with its defaults: connectivity 16, expansion_add 128."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_FILE = "index.usearch"
_CONNECTIVITY, _EXPANSION_ADD = 16, 128


def prepare() -> None:
    importlib.import_module("usearch.index")


class UsearchIndex:
    """A VectorIndex that keeps its vectors as `dtype`."""

    dtype: ClassVar[str]
    metric: ClassVar[str]

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, vectors: Floats, threads: int) -> Self:
        from usearch.index import Index

        index = Index(
            ndim=vectors.shape[1],
            metric=cls.metric,
            dtype=cls.dtype,
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
        )
        index.add(np.arange(len(vectors)), vectors, threads=threads)
        return cls(index)

    @classmethod
    def open(cls, folder: Path) -> Self:
        from usearch.index import Index

        return cls(Index.restore(str(folder / _FILE)))

    @classmethod
    def open_mapped(cls, folder: Path) -> Self:
        from usearch.index import Index

        return cls(Index.restore(str(folder / _FILE), view=True))

    def save(self, folder: Path) -> None:
        self._index.save(str(folder / _FILE))

    def search(self, query: Floats, k: int, effort: int) -> Rows:
        self._index.expansion_search = effort
        return _rows(self._index.search(query, k, threads=1).keys)

    def search_many(self, queries: Floats, k: int, effort: int) -> Rows:
        self._index.expansion_search = effort
        return _rows(self._index.search(queries, k, threads=1).keys)

    def filter(self, allowed: Words) -> NoReturn:
        raise NotImplementedError("usearch's Python binding searches without filters")

    def search_filtered(self, query: Floats, k: int, effort: int, allowed: Any) -> NoReturn:
        raise NotImplementedError("usearch's Python binding searches without filters")


class FloatIndex(UsearchIndex):
    dtype = "f32"
    metric = "ip"


class ByteIndex(UsearchIndex):
    """Its int8 cast is made for the cosine, which is the inner product of vectors of length 1."""

    dtype = "i8"
    metric = "cos"


def _rows(keys: npt.NDArray[np.uint64]) -> Rows:
    return keys.astype(np.int64)
