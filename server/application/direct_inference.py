"""The models, for callers who want to use them directly: requests checked, results passed on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from server.application.model_ports import (
    Embedder,
    EmbeddingKind,
    Embeddings,
    GeneratedText,
    GenerationRequest,
    Generator,
    RecognizedImage,
    Reranker,
    Slot,
    TextRecognizer,
)
from server.application.query import bounded
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField

MAX_TEXTS = 256
MAX_TEXT_CHARACTERS = 32_768
MAX_QUERY_BATCH_CHARACTERS = 32_768
"""Queries overtake passages in the model's queue, so a call may bring only so much of them."""
MAX_IMAGE_BYTES = 12 * 2**20
MAX_STOPS = 8
MAX_STOP_CHARACTERS = 64
MAX_CONSTRAINT_CHARACTERS = 16_384
MAX_ALTERNATIVES = 10


class DirectInference:
    """Every method raises InvalidField for a request that breaks a documented rule, and what the port raises."""

    def __init__(
        self,
        embedder: Slot[Embedder],
        reranker: Slot[Reranker],
        recognizer: Slot[TextRecognizer],
        generator: Slot[Generator],
    ) -> None:
        self._embedder = embedder
        self._reranker = reranker
        self._recognizer = recognizer
        self._generator = generator

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind, deadline: Deadline) -> tuple[Embeddings, str]:
        """The embeddings and the model's fingerprint."""
        _check_texts(texts)
        if kind is EmbeddingKind.QUERY and sum(map(len, texts)) > MAX_QUERY_BATCH_CHARACTERS:
            raise InvalidField("texts", f"queries must have {MAX_QUERY_BATCH_CHARACTERS:,} characters together at most")
        model = self._embedder.model()
        return await model.embed(texts, kind, deadline), model.fingerprint

    async def rerank(self, query: str, texts: Sequence[str], deadline: Deadline) -> tuple[npt.NDArray[np.float32], str]:
        """The scores and the model's fingerprint."""
        _check_text("query", query)
        _check_texts(texts)
        model = self._reranker.model()
        return await model.rerank(query, texts, deadline), model.fingerprint

    async def recognize(self, image: bytes, deadline: Deadline) -> tuple[RecognizedImage, str]:
        """The lines of the image and the model's fingerprint."""
        if not 0 < len(image) <= MAX_IMAGE_BYTES:
            raise InvalidField("image", f"must have 1 to {MAX_IMAGE_BYTES:,} bytes, and has {len(image):,}")
        model = self._recognizer.model()
        [recognized] = await model.recognize([image], deadline)
        return recognized, model.fingerprint

    def generate(
        self, request: GenerationRequest, deadline: Deadline
    ) -> tuple[AsyncGenerator[GeneratedText, None], str]:
        """Pieces of text and the model's fingerprint; closing the iterator stops the model."""
        _check_text("prompt", request.prompt)
        if len(request.system) > MAX_TEXT_CHARACTERS:
            raise InvalidField("system", f"must have at most {MAX_TEXT_CHARACTERS:,} characters")
        if not 0.0 <= request.temperature <= 2.0:
            raise InvalidField("temperature", f"must lie between 0 and 2, and is {request.temperature:g}")
        if request.seed < 0:
            raise InvalidField("seed", "must not be negative")
        _check_stops(request.stop)
        _check_constraint("grammar", request.grammar)
        _check_constraint("json_schema", request.json_schema)
        if not 0 <= request.alternatives <= MAX_ALTERNATIVES:
            raise InvalidField("alternatives", f"must lie between 0 and {MAX_ALTERNATIVES}")
        if request.alternatives and not request.log_probabilities:
            raise InvalidField("alternatives", "come with log_probabilities only")
        max_tokens = longest_text(request)
        model = self._generator.model()
        return model.stream(replace(request, max_tokens=max_tokens), deadline), model.fingerprint


def longest_text(request: GenerationRequest) -> int:
    """In tokens. Raises InvalidField."""
    return bounded("max_tokens", request.max_tokens, 1, 2_048, 256)


def _check_texts(texts: Sequence[str]) -> None:
    if not 0 < len(texts) <= MAX_TEXTS:
        raise InvalidField("texts", f"must hold 1 to {MAX_TEXTS} texts, and holds {len(texts):,}")
    for position, text in enumerate(texts):
        _check_text(f"texts[{position}]", text)


def _check_text(field: str, text: str) -> None:
    if not text.strip():
        raise InvalidField(field, "must not be empty")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise InvalidField(field, f"must have at most {MAX_TEXT_CHARACTERS:,} characters, and has {len(text):,}")


def _check_constraint(field: str, text: str) -> None:
    if len(text) > MAX_CONSTRAINT_CHARACTERS:
        raise InvalidField(field, f"must have at most {MAX_CONSTRAINT_CHARACTERS:,} characters, and has {len(text):,}")


def _check_stops(stops: Sequence[str]) -> None:
    if len(stops) > MAX_STOPS:
        raise InvalidField("stop", f"must hold at most {MAX_STOPS} sequences, and holds {len(stops)}")
    if not all(0 < len(stop) <= MAX_STOP_CHARACTERS for stop in stops):
        raise InvalidField("stop", f"each must have 1 to {MAX_STOP_CHARACTERS} characters")
