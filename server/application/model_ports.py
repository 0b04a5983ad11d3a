"""What models do for the application."""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from server.domain.deadline import Deadline
from server.domain.documents import (
    Box,
)

_M_co = TypeVar("_M_co", covariant=True)


class Slot(Protocol[_M_co]):
    """A place for a model of one kind. Which model fills it changes while the program runs."""

    def model(self) -> _M_co:
        """The model that serves now. Whoever calls it more than once for one piece of work, or records its fingerprint,
        keeps what this returns: a model that was replaced finishes what it was asked. Raises ModelNotInstalled when the
        slot is empty, DependencyUnavailable when its models are not loaded."""


class EmbeddingKind(enum.Enum):
    QUERY = "query"
    PASSAGE = "passage"


@dataclass(frozen=True, slots=True)
class Embeddings:
    """vectors: float32[n, dim], rows of length 1. token_counts: int32[n], before truncation; 0: unknown. truncated:
    bool[n]."""

    vectors: npt.NDArray[np.float32]
    token_counts: npt.NDArray[np.int32]
    truncated: npt.NDArray[np.bool_]


class Embedder(Protocol):
    @property
    def fingerprint(self) -> str:
        """Names the model and its weights; embeddings of different fingerprints cannot be compared."""

    @property
    def dimension(self) -> int: ...

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind, deadline: Deadline) -> Embeddings:
        """Any number of texts, in order. Raises StageDeadline, DependencyUnavailable, Overloaded."""


class Reranker(Protocol):
    @property
    def fingerprint(self) -> str: ...

    @property
    def score_weight(self) -> float:
        """What a score weighs beside a fused score that is a share of the best one's; above 0. Scores of one model may
        lie within .3 of each other, those of another within 20."""

    async def rerank(self, query: str, texts: Sequence[str], deadline: Deadline) -> npt.NDArray[np.float32]:
        """float32[n], higher fits better. Raises StageDeadline, DependencyUnavailable, Overloaded."""


@dataclass(frozen=True, slots=True)
class RecognizedCharacter:
    text: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class RecognizedLine:
    """`characters` joined are the text."""

    text: str
    confidence: float
    box: Box
    characters: tuple[RecognizedCharacter, ...] = ()


@dataclass(frozen=True, slots=True)
class RecognizedImage:
    """Lines in reading order, boxes in pixels of the image. `rules` are the straight lines that tables are ruled with,
    each by its ends, x0, y0, x1, y1; `skew` is by how much the page is turned clockwise, in radians."""

    width: int
    height: int
    lines: tuple[RecognizedLine, ...]
    rules: tuple[tuple[float, float, float, float], ...] = ()
    skew: float = 0.0


class TextRecognizer(Protocol):
    @property
    def fingerprint(self) -> str: ...

    async def recognize(self, images: Sequence[bytes], deadline: Deadline) -> list[RecognizedImage]:
        """One result per encoded image (PNG, JPEG, TIFF, WebP). Raises UnreadableDocument for bytes that are none."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """`temperature` 0 is greedy. Generation ends before any of `stop`. `grammar` (GBNF, its start symbol is `root`) or
    `json_schema` (a JSON Schema as text) constrains the text, not both. With `log_probabilities` pieces carry their
    tokens, each with so many `alternatives`, 0 to 10."""

    prompt: str
    system: str = ""
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    grammar: str = ""
    json_schema: str = ""
    log_probabilities: bool = False
    alternatives: int = 0


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token's bytes, which may be part of a character, and the natural logarithm of the probability that the model
    itself gave it: before temperature and constraint."""

    token: bytes
    log_probability: float


@dataclass(frozen=True, slots=True)
class ChosenToken:
    """A token of the text, and the likeliest ones in its place (it may be among them), the likeliest first."""

    chosen: ScoredToken
    alternatives: tuple[ScoredToken, ...] = ()


@dataclass(frozen=True, slots=True)
class GeneratedText:
    """A piece of text. The last piece (and only it) has a `finish_reason` (`stop` or `length`) and the token counts;
    `cached_tokens` of the prompt had been read before. Engines leave out of `tokens` those that end inside a character,
    and those held back because a stop sequence might have begun."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    tokens: tuple[ChosenToken, ...] = ()


class Generator(Protocol):
    @property
    def fingerprint(self) -> str: ...

    def stream(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
        """Closing the generator stops the model: within 200 ms while it writes, after two batches of the prompt at most
        while it reads. Raises InvalidField for a prompt that does not fit or a constraint that cannot be used,
        Overloaded, StageDeadline, DependencyUnavailable."""

    async def token_counts(self, texts: Sequence[str], deadline: Deadline) -> tuple[int, ...] | None:
        """Of each text alone, by the model's own tokenizer; None if it cannot count. Does not wait for texts that are
        being written. Raises Overloaded, StageDeadline, DependencyUnavailable."""
