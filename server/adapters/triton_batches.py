"""Calls of a Triton model with more rows than fit into one call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc
import numpy as np
from tritonclient.grpc import InferInput, InferResult
from tritonclient.utils import InferenceServerException

from server.adapters.places import Places
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_failures import translated
from server.domain.deadline import Deadline


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """A call carries at most `texts` and, unless one text is longer, `bytes` of UTF-8 (about four to a token, in any
    script): enough to keep the model busy, and little enough that others need not wait long. At most `concurrent`
    calls are on their way at once, of all callers; when `waiting` more are waiting for that, the next is refused."""

    texts: int = 64
    bytes: int = 2048
    concurrent: int = 2
    waiting: int = 256
    retry_after_s: float = 1.0


class BatchCalls:
    """Calls of one model. Errors and deadlines name its slot."""

    def __init__(self, connection: TritonConnection, slot: str, model: str, options: BatchOptions) -> None:
        self._connection = connection
        self._slot = slot
        self._model = model
        self._places = Places(slot, options.concurrent, options.waiting, options.retry_after_s)

    async def run(
        self, batches: Sequence[Sequence[InferInput]], deadline: Deadline, priority: int = 0
    ) -> list[InferResult]:
        """One result for each batch, in order; when one fails, the others are cancelled. `priority`: Triton's, 1 is the
        highest, 0 the model's default. Raises StageDeadline, Overloaded, DependencyUnavailable."""
        if len(batches) == 1:
            return [await self._call(batches[0], deadline, priority)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._call(batch, deadline, priority)) for batch in batches]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures.exceptions[0].__cause__
        return [task.result() for task in tasks]

    async def _call(self, inputs: Sequence[InferInput], deadline: Deadline, priority: int) -> InferResult:
        async with self._places.taken(deadline):
            limit = deadline.budget(self._slot)
            try:
                return await self._connection.client.infer(
                    self._model, list(inputs), client_timeout=limit, priority=priority, timeout=int(limit * 1e6)
                )
            except (InferenceServerException, grpc.RpcError) as error:
                raise translated(error, self._slot) from error


def split(texts: Sequence[str], options: BatchOptions) -> Iterator[Sequence[str]]:
    """The texts, in order, as slices that fit into a call."""
    start = size = 0
    for index, text in enumerate(texts):
        own = len(text.encode())
        if index > start and (index - start == options.texts or size + own > options.bytes):
            yield texts[start:index]
            start, size = index, 0
        size += own
    if start < len(texts):
        yield texts[start:]


def by_size(texts: Sequence[str]) -> list[int]:
    """Places of the texts, the shortest first: neighbours are padded little when they go through a network together."""
    return sorted(range(len(texts)), key=lambda place: len(texts[place].encode()))


def shares(texts: Sequence[str], count: int) -> list[list[int]]:
    """Places of the texts, as at most `count` lists of nearly one size in bytes, none of them empty (longest processing
    time first, Graham 1969)."""
    sizes = [0] * count
    lists: list[list[int]] = [[] for _ in sizes]
    for place in reversed(by_size(texts)):
        least = sizes.index(min(sizes))
        lists[least].append(place)
        sizes[least] += len(texts[place].encode()) + 1
    return [each for each in lists if each]


def text_input(name: str, texts: Sequence[str]) -> InferInput:
    """A BYTES tensor with a row for each text."""
    tensor = InferInput(name, [len(texts), 1], "BYTES")
    column = np.empty((len(texts), 1), dtype=np.object_)
    column[:, 0] = [text.encode() for text in texts]
    tensor.set_data_from_numpy(column)
    return tensor
