"""faiss (CPU), by its index factory with its defaults: M 32, efConstruction 40."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_FILE = "index.faiss"


def prepare() -> None:
    import faiss

    faiss.omp_set_num_threads(1)


class FaissIndex:
    """A VectorIndex of `factory`. Its filter is an IDSelectorBitmap."""

    factory: ClassVar[str]
    parameters: ClassVar[dict[str, str | int]] = {}

    def __init__(self, index: Any) -> None:
        self._index = index
        self._parameters: dict[int, Any] = {}

    @classmethod
    def build(cls, vectors: Floats, threads: int) -> Self:
        import faiss

        index = faiss.index_factory(vectors.shape[1], cls.factory, faiss.METRIC_INNER_PRODUCT)
        faiss.omp_set_num_threads(threads)
        index.train(vectors)
        index.add(vectors)
        faiss.omp_set_num_threads(1)
        return cls(index)

    @classmethod
    def open(cls, folder: Path) -> Self:
        import faiss

        return cls(faiss.read_index(str(folder / _FILE)))

    @classmethod
    def open_mapped(cls, folder: Path) -> Self:
        import faiss

        return cls(faiss.read_index(str(folder / _FILE), faiss.IO_FLAG_MMAP_IFC))

    def save(self, folder: Path) -> None:
        import faiss

        faiss.write_index(self._index, str(folder / _FILE))

    def search(self, query: Floats, k: int, effort: int) -> Rows:
        rows: Rows = self._index.search(query[None, :], k, params=self._unfiltered(effort))[1][0]
        return rows

    def search_many(self, queries: Floats, k: int, effort: int) -> Rows:
        rows: Rows = self._index.search(queries, k, params=self._unfiltered(effort))[1]
        return rows

    def filter(self, allowed: Words) -> Any:
        import faiss

        return faiss.IDSelectorBitmap(allowed.view(np.uint8))

    def search_filtered(self, query: Floats, k: int, effort: int, allowed: Any) -> Rows:
        import faiss

        parameters = self._wrapped(faiss.SearchParametersHNSW(efSearch=effort, sel=allowed))
        rows: Rows = self._index.search(query[None, :], k, params=parameters)[1][0]
        return rows[rows >= 0]

    def _unfiltered(self, effort: int) -> Any:
        import faiss

        if effort not in self._parameters:
            self._parameters[effort] = self._wrapped(faiss.SearchParametersHNSW(efSearch=effort))
        return self._parameters[effort]

    def _wrapped(self, parameters: Any) -> Any:
        return parameters


class HnswFloat(FaissIndex):
    factory = "HNSW32"


class HnswQuantized(FaissIndex):
    factory = "HNSW32_SQ8"


class HnswRefined(FaissIndex):
    factory = "HNSW32,SQ8,RFlat"
    parameters: ClassVar[dict[str, str | int]] = {"k_factor": 4}

    def _wrapped(self, parameters: Any) -> Any:
        import faiss

        k_factor = float(self.parameters["k_factor"])
        return faiss.IndexRefineSearchParameters(k_factor=k_factor, base_index_params=parameters)
