"""Reranking by a model of the slot `rerank` in Triton."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from server.adapters.triton_batches import BatchCalls, BatchOptions, split, text_input
from server.adapters.triton_client import TritonConnection
from server.domain.deadline import Deadline

SLOT = "rerank"
_CALL_BYTES = 16_384
"""Of passages in a call: 20 of 160 tokens go together, so that the query is read once."""


class TritonReranker:
    def __init__(self, connection: TritonConnection, model: str, fingerprint: str, options: BatchOptions) -> None:
        self._fingerprint = fingerprint
        self._options = options
        self._calls = BatchCalls(connection, SLOT, model, options)

    @classmethod
    async def connect(
        cls, connection: TritonConnection, model: str, deadline: Deadline, options: BatchOptions | None = None
    ) -> Self:
        """Asks Triton for `model`'s fingerprint. Raises DependencyUnavailable, StageDeadline."""
        return cls(
            connection, model, await connection.fingerprint(model, deadline), options or BatchOptions(bytes=_CALL_BYTES)
        )

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    async def rerank(self, query: str, texts: Sequence[str], deadline: Deadline) -> npt.NDArray[np.float32]:
        """See the port."""
        if not texts:
            return np.empty(0, np.float32)
        batches = [
            [text_input("QUERY", [query] * len(batch)), text_input("PASSAGE", batch)]
            for batch in split(texts, self._options)
        ]
        results = await self._calls.run(batches, deadline)
        scores: npt.NDArray[np.float32] = np.concatenate([result.as_numpy("SCORE")[:, 0] for result in results])
        return scores
