"""What searches by vector here: Pinakes' dense side and the libraries it is measured beside, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.suites.index import peer_faiss, peer_hnswlib, peer_usearch, pinakes_dense
from bench.suites.index.processes import OWN_PYTHON, PEERS_PYTHON

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


class VectorIndex(Protocol):
    """Uses one thread to search. `effort` is what HNSW calls ef."""

    def save(self, folder: Path) -> None:
        """Into an empty folder, from which it can be opened."""

    def search(self, query: Floats, k: int, effort: int) -> Rows:
        """The nearest to float32[d], best first; at most k."""

    def search_many(self, queries: Floats, k: int, effort: int) -> Rows:
        """int64[q, k]: the same for float32[q, d] in one call; -1 where there are fewer."""

    def filter(self, allowed: Words) -> Any:
        """What `search_filtered` takes, from a bitmap of rows: uint64[ceil(n/64)]. Not timed."""

    def search_filtered(self, query: Floats, k: int, effort: int, allowed: Any) -> Rows:
        """As `search`, among the allowed rows."""


@dataclass(frozen=True, slots=True)
class Contender:
    """`build` takes vectors float32[n, d] of length 1 and a number of threads, `open` a folder of `save`. `prepare` is
    done once in a process before anything is timed: imports, compiled kernels. A contender whose library cannot search
    by a filter says why in `no_filter`."""

    name: str
    python: Path
    configuration: Mapping[str, str | int]
    prepare: Callable[[], None]
    build: Callable[[Floats, int], VectorIndex]
    open: Callable[[Path], VectorIndex]
    open_mapped: Callable[[Path], VectorIndex] | None = None
    """Opens by memory map, where that is not what `open` does."""
    no_filter: str = ""
    slow_filter: bool = False
    """The filter calls back into Python for every vector that the search visits: only a few queries are measured."""

    @property
    def present(self) -> bool:
        """Whether its environment is there."""
        return self.python.exists()


PINAKES = "Pinakes"
HNSWLIB = "hnswlib"
_HNSWLIB = peer_hnswlib.HnswlibIndex
_OWN = pinakes_dense.PinakesDense
_USEARCH_FILTER = "none: its Python binding searches without"


def _faiss(name: str, index: type[peer_faiss.FaissIndex]) -> Contender:
    configuration: dict[str, str | int] = {
        "factory": index.factory,
        "metric": "inner product",
        "efConstruction": 40,
        **index.parameters,
    }
    return Contender(name, PEERS_PYTHON, configuration, peer_faiss.prepare, index.build, index.open, index.open_mapped)


def _usearch(name: str, index: type[peer_usearch.UsearchIndex]) -> Contender:
    configuration: dict[str, str | int] = {
        "dtype": index.dtype,
        "metric": index.metric,
        "connectivity": 16,
        "expansion_add": 128,
    }
    return Contender(
        name,
        PEERS_PYTHON,
        configuration,
        peer_usearch.prepare,
        index.build,
        index.open,
        index.open_mapped,
        no_filter=_USEARCH_FILTER,
    )


CONTENDERS: tuple[Contender, ...] = (
    Contender(PINAKES, OWN_PYTHON, _OWN.configuration(), pinakes_dense.prepare, _OWN.build, _OWN.open),
    Contender(
        HNSWLIB,
        PEERS_PYTHON,
        {"space": "ip", "M": 16, "ef_construction": 200},
        peer_hnswlib.prepare,
        _HNSWLIB.build,
        _HNSWLIB.open,
        slow_filter=True,
    ),
    _faiss("faiss HNSW32", peer_faiss.HnswFloat),
    _faiss("faiss HNSW32_SQ8", peer_faiss.HnswQuantized),
    _faiss("faiss HNSW32,SQ8,RFlat", peer_faiss.HnswRefined),
    _usearch("usearch f32", peer_usearch.FloatIndex),
    _usearch("usearch i8", peer_usearch.ByteIndex),
)
