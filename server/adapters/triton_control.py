"""Loads and unloads the models of a Triton in explicit model control."""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any

import grpc
from PIL import Image
from tritonclient.utils import InferenceServerException

from server.adapters import triton_embedder, triton_generator, triton_reader, triton_recognizer, triton_reranker
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_embedder import TritonEmbedder
from server.adapters.triton_failures import translated
from server.adapters.triton_generator import TritonGenerator
from server.adapters.triton_reader import TritonReader
from server.adapters.triton_recognizer import TritonTextRecognizer
from server.adapters.triton_reranker import TritonReranker
from server.application.model_ports import EmbeddingKind, GenerationRequest
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, ModelLoadFailed
from server.domain.models import CatalogueModel, LoadedState, ModelState, WarmUp

_STAGE = "model control"
_DEPENDENCY = "Triton's model control"
_POLL_S = 0.05
_ROUNDS = 2
_STATES = {
    "READY": ModelState.READY,
    "LOADING": ModelState.LOADING,
    "UNLOADING": ModelState.UNLOADING,
}
_BY_REQUEST = "unloaded"
"""Triton's reason why a model that was unloaded is not available."""
_ABSENT = "failed to poll from model repository"
_CAUSE = re.compile(r"is at UNAVAILABLE state: (?:\w+: )?(.*?)(?:\n\nAt:.*)?;?\s*$", re.DOTALL)
_FOLDERS = re.compile(r"(?<![\w./])/(?:[^/\s'\":,;]+/)+")
"""Of a path, all but its last part: callers are told the causes of failed loads, too."""
_THEIR_FAULT = ("INVALID_ARGUMENT", "INTERNAL", "NOT_FOUND", "UNKNOWN")

Headers = Mapping[str, str]


class TritonModelControl:
    """`headers` open the restricted calls (`EmbeddedTriton.admin_header`).

    Models that a model calls are named like it, with a dot and a role after it: they are loaded before it, and unloaded
    after it.
    """

    def __init__(self, connection: TritonConnection, headers: Headers) -> None:
        self._connection = connection
        self._headers = dict(headers)

    async def states(self, deadline: Deadline) -> Mapping[str, LoadedState]:
        """See the port."""
        index = await self._asked("get_model_repository_index", deadline)
        return {each.name: _state(each.state, each.reason) for each in index.models}

    async def load(self, model: CatalogueModel, deadline: Deadline) -> None:
        """See the port. A model that is not the one of the catalogue is unloaded again."""
        for name in (*await self._called_by(model.name, deadline), model.name):
            try:
                await self._connection.client.load_model(
                    name, headers=self._headers, client_timeout=deadline.budget("load")
                )
            except InferenceServerException as error:
                if _status(error) in _THEIR_FAULT:
                    raise ModelLoadFailed(model.name, _cause(error.message())) from error
                raise translated(error, _STAGE, _DEPENDENCY) from error
            except grpc.RpcError as error:
                raise translated(error, _STAGE, _DEPENDENCY) from error
        try:
            found = await self._connection.fingerprint(model.name, deadline)
        except DependencyUnavailable as error:
            found = str(error)
        if found != model.fingerprint:
            await self.unload(model.name, deadline)
            raise ModelLoadFailed(
                model.name, f"under this name the catalogue has {model.fingerprint}, and Triton: {found}"
            )

    async def unload(self, name: str, deadline: Deadline) -> None:
        """See the port. Triton takes no further call for it at once, and answers those that it has."""
        for each in (name, *await self._called_by(name, deadline)):
            await self._asked("unload_model", deadline, each)
            while (await self.states(deadline)).get(each, _GONE).state not in _NOT_THERE:  # noqa: ASYNC110 - Triton's
                await asyncio.sleep(min(_POLL_S, deadline.budget("unload")))

    async def last_uses(self, deadline: Deadline) -> Mapping[str, float]:
        """See the port."""
        statistics = await self._asked("get_inference_statistics", deadline)
        return {each.name: each.last_inference / 1e3 for each in statistics.model_stats if each.last_inference}

    async def warm(self, model: CatalogueModel, deadline: Deadline) -> WarmUp:
        """See the port."""
        seconds = []
        for _ in range(_ROUNDS):
            began = time.monotonic()
            await _ROUND[model.slot](self._connection, model.name, deadline)
            seconds.append(time.monotonic() - began)
        return WarmUp(_ROUNDS, seconds[0], seconds[-1])

    async def _called_by(self, name: str, deadline: Deadline) -> Iterable[str]:
        return sorted(each for each in await self.states(deadline) if each.startswith(f"{name}."))

    async def _asked(self, call: str, deadline: Deadline, *arguments: str) -> Any:
        method = getattr(self._connection.client, call)
        try:
            return await method(*arguments, headers=self._headers, client_timeout=deadline.budget(_STAGE))
        except (InferenceServerException, grpc.RpcError) as error:
            raise translated(error, _STAGE, _DEPENDENCY) from error


_GONE = LoadedState(ModelState.UNLOADED)
_NOT_THERE = (ModelState.UNLOADED, ModelState.FAILED)


def _state(state: str, reason: str) -> LoadedState:
    if state in _STATES:
        return LoadedState(_STATES[state])
    if not state or reason == _BY_REQUEST:
        return _GONE
    return LoadedState(ModelState.FAILED, _cause(f"is at UNAVAILABLE state: {reason}"))


def _status(error: InferenceServerException) -> str:
    return str(error.status()).removeprefix("StatusCode.")


def _cause(message: str) -> str:
    """One line of what Triton says, without the trace of the model's code."""
    if _ABSENT in message:
        return "Triton's repository does not have it; add it with `python -m triton_models render`"
    found = _CAUSE.search(message)
    return _FOLDERS.sub("", " ".join((found[1] if found else message).split()))


# --- warming -------------------------------------------------------------------------------------------------------

_SHORT = "Where does the ferry leave?"
_PASSAGE = "The ferry leaves from the eastern pier at nine, and takes bicycles free of charge. " * 8
_LONG = _PASSAGE * 4


async def _embed(connection: TritonConnection, model: str, deadline: Deadline) -> None:
    embedder = await TritonEmbedder.connect(connection, model, deadline)
    await embedder.embed([_SHORT], EmbeddingKind.QUERY, deadline)
    for texts in ([_SHORT] * 64, [_PASSAGE] * 8, [_LONG] * 2):
        await embedder.embed(texts, EmbeddingKind.PASSAGE, deadline)


async def _rerank(connection: TritonConnection, model: str, deadline: Deadline) -> None:
    reranker = await TritonReranker.connect(connection, model, deadline)
    for texts in ([_PASSAGE], [_PASSAGE] * 20):
        await reranker.rerank(_SHORT, texts, deadline)


async def _read(connection: TritonConnection, model: str, deadline: Deadline) -> None:
    reader = await TritonReader.connect(connection, model, deadline)
    for texts in ([_PASSAGE], [_PASSAGE] * 5):
        await reader.read(_SHORT, texts, deadline)


async def _recognize(connection: TritonConnection, model: str, deadline: Deadline) -> None:
    recognizer = await TritonTextRecognizer.connect(connection, model, deadline)
    encoded = io.BytesIO()
    Image.new("L", (1_240, 1_754), color=255).save(encoded, "PNG")
    await recognizer.recognize([encoded.getvalue()], deadline)


async def _generate(connection: TritonConnection, model: str, deadline: Deadline) -> None:
    generator = await TritonGenerator.connect(connection, model, deadline)
    async with aclosing(generator.stream(GenerationRequest(_SHORT, max_tokens=8), deadline)) as pieces:
        async for _ in pieces:
            pass


_ROUND: Mapping[str, Callable[[TritonConnection, str, Deadline], Awaitable[None]]] = {
    triton_embedder.SLOT: _embed,
    triton_reranker.SLOT: _rerank,
    triton_reader.SLOT: _read,
    triton_recognizer.SLOT: _recognize,
    triton_generator.SLOT: _generate,
}
