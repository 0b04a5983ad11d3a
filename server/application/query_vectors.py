"""Embeddings of queries, made once for each tenant, query and model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from server.application.caching import BoundedCache, CacheOptions, SharedWork, held_bytes
from server.application.model_ports import Embedder, EmbeddingKind, Slot
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable

_ENTRY_BYTES = 400
"""Of an entry, beside its vector and its key."""

Vector = npt.NDArray[np.float32]
_Key = tuple[str, str, str]
"""Of the tenant, the model and the query: whether another tenant has asked the same is not to be told by the time."""


class QueryVectors:
    def __init__(self, embedder: Slot[Embedder], options: CacheOptions) -> None:
        self._embedder = embedder
        self._work: SharedWork[_Key, Vector] = SharedWork(options.share_from_s)
        self.kept: BoundedCache[_Key, Vector] = BoundedCache(
            options, lambda key, vector: held_bytes(key) + int(vector.nbytes) + _ENTRY_BYTES
        )

    async def vector(self, tenant: str, query: str, deadline: Deadline, *, fresh: bool) -> tuple[Vector, str]:
        """float32[dim], read-only, of the normalized query, and the fingerprint of the model that made it. `fresh`: the
        model is asked in any case. Raises as Slot.model and Embedder.embed do, and DependencyUnavailable for a vector
        that is not finite."""
        embedder = self._embedder.model()
        key = (tenant, embedder.fingerprint, query)
        use = self.kept.use
        if fresh or not self.kept.on:
            use.bypassed += 1
            return await _embedded(embedder, query, deadline), embedder.fingerprint
        found = self.kept.find(key, version=None)
        if found is not None:
            return found, embedder.fingerprint
        vector, shared = await self._work.run(key, "embed", deadline, lambda: _embedded(embedder, query, deadline))
        if shared:
            use.shared += 1
        else:
            use.misses += 1
            self.kept.keep(key, None, vector)
        return vector, embedder.fingerprint


async def _embedded(embedder: Embedder, query: str, deadline: Deadline) -> Vector:
    embeddings = await embedder.embed([query], EmbeddingKind.QUERY, deadline)
    # A copy: a row would keep all that came with it.
    vector: Vector = embeddings.vectors[0].copy()
    if not np.isfinite(vector).all():
        raise DependencyUnavailable("the model embed", "its vectors are not finite")
    vector.flags.writeable = False
    return vector
