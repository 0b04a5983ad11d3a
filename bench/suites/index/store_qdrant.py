"""Qdrant's local mode, which its documentation has for development and tests (it searches exhaustively, in Python): a
dense and a sparse vector with IDF, both under the filter, fused by RRF."""

from __future__ import annotations

import importlib
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.suites.index.entries import EVERYONE, Ask, Entry

CONFIGURATION: dict[str, str | int] = {
    "vectors": "dense, dot product, exhaustive",
    "text": "sparse, IDF modifier, BM25 term weights (k1 1.2, b 0.75) of words and of pairs of Han or kana",
    "fusion": "RRF of two prefetches",
}
_COLLECTION = "passages"
_BATCH = 1_000
_K1, _B, _MEAN_TERMS = 1.2, 0.75, 40
_TERM = re.compile(r"[\u3005-\u30ff\u3400-\u9fff]+|[^\W_\u3005-\u30ff\u3400-\u9fff]+")


def prepare() -> None:
    importlib.import_module("qdrant_client")


def load(folder: Path, entries: Sequence[Entry], vectors: npt.NDArray[np.float32]) -> None:
    from qdrant_client import QdrantClient, models

    client = QdrantClient(path=str(folder))
    client.create_collection(
        _COLLECTION,
        vectors_config={"dense": models.VectorParams(size=vectors.shape[1], distance=models.Distance.DOT)},
        sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    for start in range(0, len(entries), _BATCH):
        points = [
            models.PointStruct(
                id=each.number,
                vector={"dense": vectors[each.number].tolist(), "words": _sparse(_weights(each.text))},
                payload={"tenant": each.tenant, "readers": list(each.readers)},
            )
            for each in entries[start : start + _BATCH]
        ]
        client.upsert(_COLLECTION, points)
    client.close()


class QdrantStore:
    """A HybridStore."""

    def __init__(self, folder: Path) -> None:
        from qdrant_client import QdrantClient

        self._client = QdrantClient(path=str(folder), force_disable_check_same_thread=True)

    def search(self, ask: Ask, vector: npt.NDArray[np.float32], limit: int) -> list[int]:
        from qdrant_client import models

        wanted = models.Filter(
            must=[
                models.FieldCondition(key="tenant", match=models.MatchValue(value=ask.tenant)),
                models.FieldCondition(key="readers", match=models.MatchAny(any=[EVERYONE, *ask.groups])),
            ]
        )
        words = _sparse(dict.fromkeys(_terms(ask.text), 1.0))
        found = self._client.query_points(
            _COLLECTION,
            prefetch=[
                models.Prefetch(query=vector.tolist(), using="dense", filter=wanted, limit=2 * limit),
                models.Prefetch(query=words, using="words", filter=wanted, limit=2 * limit),
            ],
            query=models.FusionQuery(fusion=models.Fusion.RRF),
            limit=limit,
        )
        return [int(point.id) for point in found.points]


def _sparse(weights: dict[int, float]) -> Any:
    from qdrant_client import models

    return models.SparseVector(indices=list(weights), values=list(weights.values()))


def _weights(text: str) -> dict[int, float]:
    counts = Counter(_terms(text))
    damping = _K1 * (1 - _B + _B * counts.total() / _MEAN_TERMS)
    return {term: count * (_K1 + 1) / (count + damping) for term, count in counts.items()}


def _terms(text: str) -> list[int]:
    terms = []
    for run in _TERM.findall(text.lower()):
        pairs = [run[i : i + 2] for i in range(len(run) - 1)] if run[0] > "\u3000" and len(run) > 1 else [run]
        terms += [zlib.crc32(pair.encode()) for pair in pairs]
    return terms
