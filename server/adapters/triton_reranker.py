"""Reranking by the `rerank` model in Triton, if one is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from server.adapters.triton_batches import BatchCalls, BatchOptions, split, text_input
from server.adapters.triton_client import TritonConnection
from server.domain.deadline import Deadline
from server.domain.errors import ModelNotInstalled

MODEL = "rerank"


class TritonReranker:
    def __init__(self, connection: TritonConnection, fingerprint: str | None, options: BatchOptions) -> None:
        self._fingerprint = fingerprint
        self._options = options
        self._calls = BatchCalls(connection, MODEL, options)

    @classmethod
    async def connect(
        cls, connection: TritonConnection, deadline: Deadline, options: BatchOptions | None = None
    ) -> Self:
        """Asks Triton whether the slot is filled; a model that comes later is not noticed. Raises
        DependencyUnavailable, StageDeadline."""
        installed = await connection.installed(MODEL, deadline)
        fingerprint = await connection.fingerprint(MODEL, deadline) if installed else None
        return cls(connection, fingerprint, options or BatchOptions())

    @property
    def fingerprint(self) -> str | None:
        return self._fingerprint

    async def rerank(self, query: str, texts: Sequence[str], deadline: Deadline) -> npt.NDArray[np.float32]:
        """See the port."""
        if self._fingerprint is None:
            raise ModelNotInstalled(MODEL)
        if not texts:
            return np.empty(0, np.float32)
        batches = [
            [text_input("QUERY", [query] * len(batch)), text_input("PASSAGE", batch)]
            for batch in split(texts, self._options)
        ]
        results = await self._calls.run(batches, deadline)
        scores: npt.NDArray[np.float32] = np.concatenate([result.as_numpy("SCORE")[:, 0] for result in results])
        return scores
