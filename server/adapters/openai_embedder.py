"""Embeddings by an OpenAI-compatible endpoint (`/embeddings`)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from server.adapters.openai_endpoint import OpenAiEndpoint
from server.adapters.places import Places
from server.adapters.triton_batches import BatchOptions, split
from server.application.model_ports import EmbeddingKind, Embeddings
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, InvalidField


@dataclass(frozen=True, slots=True)
class OpenAiEmbedderOptions:
    """`query_prefix` and `passage_prefix` go before each text, as many models want (`query: `). `dimensions` asks the
    endpoint to shorten its vectors, where it can; 0: as they are. All three belong to the fingerprint."""

    query_prefix: str = ""
    passage_prefix: str = ""
    dimensions: int = 0
    batches: BatchOptions = field(default_factory=lambda: BatchOptions(texts=64, bytes=65_536, concurrent=4))


class OpenAiEmbedder:
    def __init__(self, endpoint: OpenAiEndpoint, dimension: int, options: OpenAiEmbedderOptions) -> None:
        self._endpoint = endpoint
        self._dimension = dimension
        self._options = options
        batches = options.batches
        self._places = Places(endpoint.slot, batches.concurrent, batches.waiting, batches.retry_after_s)

    @classmethod
    async def connect(
        cls, endpoint: OpenAiEndpoint, deadline: Deadline, options: OpenAiEmbedderOptions | None = None
    ) -> Self:
        """Embeds a word, to learn the dimension. Raises SlotMisconfigured, DependencyUnavailable, StageDeadline."""
        options = options or OpenAiEmbedderOptions()
        vectors = await _vectors(endpoint, ["dimension"], options, deadline)
        return cls(endpoint, vectors.shape[1], options)

    @property
    def fingerprint(self) -> str:
        """Endpoint and model as configured, and what else changes the vectors. What the endpoint serves under that name
        is beyond our sight: whoever changes it there changes the name."""
        options = self._options
        if not (options.query_prefix or options.passage_prefix or options.dimensions):
            return self._endpoint.options.identity
        more = json.dumps([options.query_prefix, options.passage_prefix, options.dimensions]).encode()
        return f"{self._endpoint.options.identity}+{hashlib.sha256(more).hexdigest()[:12]}"

    @property
    def dimension(self) -> int:
        return self._dimension

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind, deadline: Deadline) -> Embeddings:
        """See the port. The API tells no token counts of single texts (they are 0 here), and what it does with a
        text that is too long is its own: most refuse it (raises InvalidField, too), llama.cpp's server has HTTP 500 for
        it. Raises SlotMisconfigured, too."""
        prefix = self._options.query_prefix if kind is EmbeddingKind.QUERY else self._options.passage_prefix
        batches = list(split([prefix + text for text in texts], self._options.batches))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._batch(batch, deadline)) for batch in batches]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures.exceptions[0].__cause__
        vectors = [np.empty((0, self._dimension), np.float32), *(task.result() for task in tasks)]
        return Embeddings(np.concatenate(vectors), np.zeros(len(texts), np.int32), np.zeros(len(texts), np.bool_))

    async def _batch(self, texts: Sequence[str], deadline: Deadline) -> npt.NDArray[np.float32]:
        async with self._places.taken(deadline):
            vectors = await _vectors(self._endpoint, texts, self._options, deadline)
        if vectors.shape[1] != self._dimension:
            raise DependencyUnavailable(
                f"the endpoint of {self._endpoint.slot}",
                f"it gives {vectors.shape[1]} dimensions, and gave {self._dimension} before: it has another model",
            )
        return vectors


async def _vectors(
    endpoint: OpenAiEndpoint, texts: Sequence[str], options: OpenAiEmbedderOptions, deadline: Deadline
) -> npt.NDArray[np.float32]:
    """float32[len(texts), dim], rows of length 1."""
    body: dict[str, Any] = {"model": endpoint.options.model, "input": list(texts), "encoding_format": "float"}
    if options.dimensions:
        body["dimensions"] = options.dimensions
    try:
        reply = await endpoint.post("/embeddings", body, deadline)
    except InvalidField as error:
        raise InvalidField("texts", error.rule) from error
    try:
        rows = sorted(reply["data"], key=lambda row: int(row["index"]))
        vectors = np.array([row["embedding"] for row in rows], dtype=np.float32)
    except (LookupError, TypeError, ValueError) as error:
        raise _useless(endpoint) from error
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
        raise _useless(endpoint)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not lengths.all():
        raise _useless(endpoint)
    return np.ascontiguousarray(vectors / lengths)


def _useless(endpoint: OpenAiEndpoint) -> DependencyUnavailable:
    return DependencyUnavailable(f"the endpoint of {endpoint.slot}", "its reply holds no embedding for each text")
