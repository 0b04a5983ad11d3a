"""Chroma's persistent client: HNSW with its defaults under a metadata filter. (Its hybrid search is its cloud's.)"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.suites.index.entries import EVERYONE, Ask, Entry

CONFIGURATION: dict[str, str | int] = {
    "vector index": "HNSW, ip, its defaults",
    "text index": "none: hybrid search is not in the embedded Chroma",
    "filter": "tenant equals, readers contain one of",
}
_COLLECTION = "passages"
_BATCH = 5_000


def prepare() -> None:
    importlib.import_module("chromadb")


def load(folder: Path, entries: Sequence[Entry], vectors: npt.NDArray[np.float32]) -> None:
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))
    collection = client.create_collection(_COLLECTION, configuration={"hnsw": {"space": "ip"}}, embedding_function=None)
    for start in range(0, len(entries), _BATCH):
        chunk = entries[start : start + _BATCH]
        collection.add(
            ids=[str(each.number) for each in chunk],
            embeddings=np.stack([vectors[each.number] for each in chunk]),
            documents=[each.text for each in chunk],
            metadatas=[{"tenant": each.tenant, "readers": list(each.readers)} for each in chunk],
        )


class ChromaStore:
    """A HybridStore without words."""

    def __init__(self, folder: Path) -> None:
        import chromadb
        from chromadb.config import Settings

        client = chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))
        self._collection = client.get_collection(_COLLECTION, embedding_function=None)

    def search(self, ask: Ask, vector: npt.NDArray[np.float32], limit: int) -> list[int]:
        readable = [{"readers": {"$contains": each}} for each in (EVERYONE, *ask.groups)]
        where = {"$and": [{"tenant": ask.tenant}, {"$or": readable}]}
        found = self._collection.query(query_embeddings=vector[None, :], n_results=limit, where=where, include=[])
        return [int(each) for each in found["ids"][0]]
