"""Reranking by a model of the slot `rerank` in Triton."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferInput

from server.adapters.triton_batches import BatchCalls, BatchOptions, shares, split, text_input
from server.adapters.triton_client import TritonConnection, instances_of
from server.domain.deadline import Deadline

SLOT = "rerank"
_CALL_BYTES = 16_384
"""Of passages in a call at most: each call reads the query once more."""


class TritonReranker:
    def __init__(
        self, connection: TritonConnection, model: str, fingerprint: str, instances: int, options: BatchOptions
    ) -> None:
        self._fingerprint = fingerprint
        self._instances = instances
        self._options = options
        self._calls = BatchCalls(connection, SLOT, model, replace(options, concurrent=options.concurrent * instances))

    @classmethod
    async def connect(
        cls, connection: TritonConnection, model: str, deadline: Deadline, options: BatchOptions | None = None
    ) -> Self:
        """Asks Triton for `model`'s fingerprint and instances. The texts of a call are divided among these, each of
        which gets `options.concurrent` at once. Raises DependencyUnavailable, StageDeadline."""
        fingerprint = await connection.fingerprint(model, deadline)
        instances = instances_of(await connection.config(model, deadline))
        return cls(connection, model, fingerprint, instances, options or BatchOptions(bytes=_CALL_BYTES))

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    async def rerank(self, query: str, texts: Sequence[str], deadline: Deadline) -> npt.NDArray[np.float32]:
        """See the port."""
        if not texts:
            return np.empty(0, np.float32)
        batches: list[list[InferInput]] = []
        order: list[int] = []
        for places in shares(texts, self._instances):
            order += places
            for batch in split([texts[place] for place in places], self._options):
                question = text_input("QUERY", [query] * len(batch))
                batches.append([question, text_input("PASSAGE", batch)])
        results = await self._calls.run(batches, deadline)
        scores = np.empty(len(texts), np.float32)
        scores[order] = np.concatenate([result.as_numpy("SCORE")[:, 0] for result in results])
        return scores
