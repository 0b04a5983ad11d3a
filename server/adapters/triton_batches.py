"""Calls of a Triton model with more rows than fit into one call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc
from tritonclient.grpc import InferResult
from tritonclient.grpc.service_pb2 import ModelInferRequest

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


@dataclass(frozen=True, slots=True)
class TextInput:
    """A tensor of texts, a row for each. content: as it stands on the wire."""

    name: str
    rows: int
    content: bytes


class BatchCalls:
    """Calls of one model. Errors and deadlines name its slot."""

    def __init__(self, connection: TritonConnection, slot: str, model: str, options: BatchOptions) -> None:
        self._connection = connection
        self._slot = slot
        self._model = model
        self._places = Places(slot, options.concurrent, options.waiting, options.retry_after_s)

    async def run(
        self, batches: Sequence[Sequence[TextInput]], deadline: Deadline, priority: int = 0
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

    async def _call(self, inputs: Sequence[TextInput], deadline: Deadline, priority: int) -> InferResult:
        async with self._places.taken(deadline):
            limit = deadline.budget(self._slot)
            try:
                request = _request(self._model, inputs, priority, limit)
                return InferResult(await self._connection.infer(request, limit))
            except grpc.RpcError as error:
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


def text_input(name: str, texts: Sequence[str]) -> TextInput:
    """A BYTES tensor with a row for each text."""
    return TextInput(name, len(texts), b"".join(map(_element, texts)))


def _element(text: str) -> bytes:
    """As an element of a BYTES tensor: its length in four bytes, little-endian, before it (KServe's inference protocol
    2, extension binary data)."""
    encoded = text.encode()
    return len(encoded).to_bytes(4, "little") + encoded


def _request(model: str, inputs: Sequence[TextInput], priority: int, limit_s: float) -> ModelInferRequest:
    request = ModelInferRequest(
        model_name=model,
        inputs=[
            ModelInferRequest.InferInputTensor(name=each.name, datatype="BYTES", shape=(each.rows, 1))
            for each in inputs
        ],
        raw_input_contents=[each.content for each in inputs],
    )
    if priority:
        request.parameters["priority"].uint64_param = priority
    # How long it may wait in Triton's queue.
    request.parameters["timeout"].int64_param = int(limit_s * 1e6)
    return request
