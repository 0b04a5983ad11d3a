"""What searches by vector and words under a filter: Pinakes and the embedded stores it is measured beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bench.suites.index import store_chroma, store_lancedb, store_milvus, store_pinakes, store_qdrant
from bench.suites.index.entries import Ask, Entry
from bench.suites.index.processes import OWN_PYTHON, PEERS_PYTHON

Floats = npt.NDArray[np.float32]


class HybridStore(Protocol):
    """Searches come from many threads."""

    def search(self, ask: Ask, vector: Floats, limit: int) -> list[int]:
        """Numbers of the best entries that the asker may see, best first."""


@dataclass(frozen=True, slots=True)
class StoreKind:
    """load(folder, entries, vectors): fills an empty folder, indexes included. open(folder): what was loaded. `prepare`
    is done once in a process before anything is timed: imports, compiled kernels."""

    name: str
    python: Path
    configuration: Mapping[str, str | int]
    prepare: Callable[[], None]
    load: Callable[[Path, Sequence[Entry], Floats], None]
    open: Callable[[Path], HybridStore]


PINAKES = "Pinakes"

STORES: tuple[StoreKind, ...] = (
    StoreKind(
        PINAKES,
        OWN_PYTHON,
        store_pinakes.CONFIGURATION,
        store_pinakes.prepare,
        store_pinakes.load,
        store_pinakes.ServedPinakesStore,
    ),
    StoreKind(
        "LanceDB",
        PEERS_PYTHON,
        store_lancedb.CONFIGURATION,
        store_lancedb.prepare,
        store_lancedb.load,
        store_lancedb.LanceStore,
    ),
    StoreKind(
        "Milvus Lite",
        PEERS_PYTHON,
        store_milvus.CONFIGURATION,
        store_milvus.prepare,
        store_milvus.load,
        store_milvus.MilvusStore,
    ),
    StoreKind(
        "Chroma",
        PEERS_PYTHON,
        store_chroma.CONFIGURATION,
        store_chroma.prepare,
        store_chroma.load,
        store_chroma.ChromaStore,
    ),
    StoreKind(
        "Qdrant local",
        PEERS_PYTHON,
        store_qdrant.CONFIGURATION,
        store_qdrant.prepare,
        store_qdrant.load,
        store_qdrant.QdrantStore,
    ),
)
