"""Embeddings by a model of the slot `embed` in Triton."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferResult

from server.adapters.triton_batches import BatchCalls, BatchOptions, by_size, split, text_input
from server.adapters.triton_client import TritonConnection, instances_of
from server.application.model_ports import EmbeddingKind, Embeddings
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable

SLOT = "embed"
_PRIORITY = {EmbeddingKind.QUERY: 1, EmbeddingKind.PASSAGE: 2}
_CALLS_PER_INSTANCE = {EmbeddingKind.QUERY: 8, EmbeddingKind.PASSAGE: 1}
"""A query is somebody who waits. It overtakes passages in Triton's queue; and since Triton hands an instance its next
batch early, passages are sent only when an instance is free: a query waits for one batch at most. Queries that wait
are joined to a batch."""


@dataclass(frozen=True, slots=True)
class _ModelShape:
    dimension: int
    instances: int


class TritonEmbedder:
    def __init__(
        self, connection: TritonConnection, model: str, fingerprint: str, shape: _ModelShape, options: BatchOptions
    ) -> None:
        self._fingerprint = fingerprint
        self._dimension = shape.dimension
        self._options = options
        self._calls = {
            kind: BatchCalls(connection, SLOT, model, replace(options, concurrent=calls * shape.instances))
            for kind, calls in _CALLS_PER_INSTANCE.items()
        }

    @classmethod
    async def connect(
        cls, connection: TritonConnection, model: str, deadline: Deadline, options: BatchOptions | None = None
    ) -> Self:
        """Asks Triton for `model`'s fingerprint, dimension and instances, which bound the concurrent calls. Raises
        DependencyUnavailable, StageDeadline."""
        fingerprint = await connection.fingerprint(model, deadline)
        shape = await _shape(connection, model, deadline)
        return cls(connection, model, fingerprint, shape, options or BatchOptions())

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def dimension(self) -> int:
        return self._dimension

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind, deadline: Deadline) -> Embeddings:
        """See the port."""
        if not texts:
            return Embeddings(np.empty((0, self._dimension), np.float32), np.empty(0, np.int32), np.empty(0, np.bool_))
        order = by_size(texts)
        batches = [
            [text_input("TEXT", batch), text_input("KIND", [kind.value] * len(batch))]
            for batch in split([texts[place] for place in order], self._options)
        ]
        results = await self._calls[kind].run(batches, deadline, _PRIORITY[kind])
        return Embeddings(
            vectors=_in_order(results, "EMBEDDING", order),
            token_counts=_in_order(results, "TOKEN_COUNT", order)[:, 0],
            truncated=_in_order(results, "TRUNCATED", order)[:, 0],
        )


def _in_order(results: Sequence[InferResult], output: str, order: Sequence[int]) -> npt.NDArray[Any]:
    """The rows of all results, each at the place that `order` has for it."""
    if len(order) == 1:
        # A query: there is nothing to put in order.
        only: npt.NDArray[Any] = results[0].as_numpy(output)
        return only
    rows = np.concatenate([result.as_numpy(output) for result in results])
    in_order = np.empty_like(rows)
    in_order[order] = rows
    return in_order


async def _shape(connection: TritonConnection, model: str, deadline: Deadline) -> _ModelShape:
    config = await connection.config(model, deadline)
    for output in config.output:
        if output.name == "EMBEDDING" and len(output.dims) == 1:
            return _ModelShape(int(output.dims[0]), instances_of(config))
    raise DependencyUnavailable(f"the model {model}", "its configuration has no output EMBEDDING of one dimension")
