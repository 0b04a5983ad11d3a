"""Pinakes' hybrid index as a library, with its default options."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bench.suites.index.entries import EVERYONE, Ask, Entry

if TYPE_CHECKING:
    from index import HybridIndex, Upsert

CONFIGURATION: dict[str, str | int] = {
    "fusion": "the default",
    "options": "the defaults",
    "searches": "one per core at a time, as in the server; the others wait in line",
}

_BATCH = 2_000
_FINGERPRINT = "bench"
_NOBODY = "nobody"
"""Owns every document and asks nothing."""


def prepare() -> None:
    import kernels

    importlib.import_module("index")
    kernels.warm_up()


def load(folder: Path, entries: Sequence[Entry], vectors: npt.NDArray[np.float32]) -> None:
    with open_index(folder, vectors.shape[1]) as index:
        for start in range(0, len(entries), _BATCH):
            index.apply(
                [upsert(each, vectors[each.number], each.number + 1) for each in entries[start : start + _BATCH]]
            )
            index.commit()
        while index.maintain():
            pass


def open_index(folder: Path, dimension: int) -> HybridIndex:
    from index import HybridIndex

    return HybridIndex.open(folder, dimension=dimension, fingerprint=_FINGERPRINT)


def upsert(entry: Entry, vector: npt.NDArray[np.float32], position: int) -> Upsert:
    from index import Attributes, Upsert

    attributes = Attributes(
        tenant=entry.tenant,
        owner=_NOBODY,
        document_id=entry.document_id,
        groups=tuple(each for each in entry.readers if each != EVERYONE),
        tenant_wide=EVERYONE in entry.readers,
        tags=(entry.tag,),
        language=entry.language,
        created_unix_s=entry.created_unix_s,
    )
    return Upsert(position, str(entry.number), np.array(vector), entry.text, "", attributes)


class PinakesStore:
    """A HybridStore; each search runs in the thread that asks."""

    def __init__(self, folder: Path) -> None:
        self.index = open_index(folder, _DIMENSION)

    def search(self, ask: Ask, vector: npt.NDArray[np.float32], limit: int) -> list[int]:
        from index import Filter, Reader, SearchRequest

        reader = Reader(ask.tenant, "asker", frozenset(ask.groups))
        request = SearchRequest(Filter(reader), limit=limit, vector=vector, text=ask.text)
        return [int(hit.chunk_id) for hit in self.index.snapshot().search(request).hits]


class ServedPinakesStore(PinakesStore):
    """A HybridStore that is searched as the server searches: by a thread per core, in the order of the calls."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)), "searcher")

    def search(self, ask: Ask, vector: npt.NDArray[np.float32], limit: int) -> list[int]:
        return self._threads.submit(super().search, ask, vector, limit).result()


_DIMENSION = 384
