"""Text recognition by a model of the slot `ocr` in Triton."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import grpc
import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

from server.adapters.triton_client import TritonConnection
from server.adapters.triton_failures import translated
from server.application.model_ports import RecognizedCharacter, RecognizedImage, RecognizedLine
from server.domain.deadline import Deadline
from server.domain.documents import Box
from server.domain.errors import StageDeadline, UnreadableDocument

SLOT = "ocr"


@dataclass(frozen=True, slots=True)
class TritonRecognizerOptions:
    """Images go one by one, so that each is a message of its own size; at most `concurrent_images` of all callers are
    on their way at once (Triton joins them to batches), the rest wait here."""

    concurrent_images: int = 4


class TritonTextRecognizer:
    def __init__(
        self, connection: TritonConnection, model: str, fingerprint: str, options: TritonRecognizerOptions
    ) -> None:
        self._connection = connection
        self._model = model
        self._fingerprint = fingerprint
        self._places = asyncio.Semaphore(options.concurrent_images)

    @classmethod
    async def connect(
        cls,
        connection: TritonConnection,
        model: str,
        deadline: Deadline,
        options: TritonRecognizerOptions | None = None,
    ) -> Self:
        """Asks Triton for `model`'s fingerprint. Raises DependencyUnavailable, StageDeadline."""
        fingerprint = await connection.fingerprint(model, deadline)
        return cls(connection, model, fingerprint, options or TritonRecognizerOptions())

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    async def recognize(self, images: Sequence[bytes], deadline: Deadline) -> list[RecognizedImage]:
        """One result per encoded image, in order. Raises UnreadableDocument, StageDeadline, DependencyUnavailable; the
        other images' calls are cancelled then."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._recognize(image, deadline)) for image in images]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures.exceptions[0].__cause__
        return [task.result() for task in tasks]

    async def _recognize(self, image: bytes, deadline: Deadline) -> RecognizedImage:
        tensor = InferInput("IMAGE", [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[image]], dtype=np.object_))
        try:
            async with asyncio.timeout(deadline.budget(SLOT)):
                await self._places.acquire()
        except TimeoutError as error:
            raise StageDeadline(SLOT) from error
        try:
            result = await self._connection.client.infer(self._model, [tensor], client_timeout=deadline.budget(SLOT))
        except (InferenceServerException, grpc.RpcError) as error:
            raise translated(error, SLOT) from error
        finally:
            self._places.release()
        problem = bytes(result.as_numpy("ERROR")[0, 0])
        if problem:
            raise UnreadableDocument(problem.decode())
        # A dense page has thousands of characters: milliseconds that the event loop does not have.
        return await asyncio.to_thread(_recognized, bytes(result.as_numpy("PAGE")[0, 0]))


def _recognized(document: bytes) -> RecognizedImage:
    page = json.loads(document)
    lines = (
        RecognizedLine(
            line["text"],
            line["confidence"],
            Box(*line["box"]),
            tuple(RecognizedCharacter(text, confidence, Box(*box)) for text, confidence, *box in line["characters"]),
        )
        for line in page["lines"]
    )
    rules = tuple(map(tuple, page["rules"]))
    return RecognizedImage(page["width"], page["height"], tuple(lines), rules, page["skew"])
