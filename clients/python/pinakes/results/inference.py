"""What models compute when they are asked directly."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pinakes.results.passages import Box
from pinakes.results.timings import StageTiming
from pinakes.results.wire_enum import WireEnum


class EmbeddingKind(WireEnum):
    """What a text is embedded as."""

    UNSPECIFIED = "unspecified"
    QUERY = "query"
    PASSAGE = "passage"


class FinishReason(WireEnum):
    """Why a generation ended."""

    UNSPECIFIED = "unspecified"
    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Embedding:
    """A vector of length 1. `token_count` counts before the text was `truncated`."""

    values: tuple[float, ...]
    token_count: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One embedding per text, in order. Those of different models cannot be compared."""

    embeddings: tuple[Embedding, ...]
    model: str
    timings: tuple[StageTiming, ...]


@dataclass(frozen=True, slots=True)
class RerankScores:
    """One score per text, in order; higher fits the query better."""

    scores: tuple[float, ...]
    model: str
    timings: tuple[StageTiming, ...]


@dataclass(frozen=True, slots=True)
class RecognizedCharacter:
    """A character of a line; `confidence` is 0 to 1. `box` is in pixels, as large as the line across it."""

    text: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class RecognizedLine:
    """A line of text in an image; `confidence` is 0 to 1, `box` in pixels. `characters` joined are the text."""

    text: str
    confidence: float
    box: Box
    characters: tuple[RecognizedCharacter, ...] = ()


@dataclass(frozen=True, slots=True)
class RecognizedText:
    """The lines of an image in reading order; sizes in pixels."""

    lines: tuple[RecognizedLine, ...]
    width: int
    height: int
    model: str
    timings: tuple[StageTiming, ...]


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token's bytes, which may be part of a character, and the natural logarithm of the probability that the model
    gave it, before temperature and constraint."""

    token: bytes
    log_probability: float


@dataclass(frozen=True, slots=True)
class ChosenToken:
    """A token of the text, and the likeliest ones in its place (it may be among them), the likeliest first."""

    chosen: ScoredToken
    alternatives: tuple[ScoredToken, ...]


@dataclass(frozen=True, slots=True)
class GenerateDelta:
    """The next piece of text, which may be empty where it carries tokens. Tokens come if `log_probabilities` were asked
    for, without those that end inside a character or might have begun a stop sequence."""

    text: str
    tokens: tuple[ChosenToken, ...]


@dataclass(frozen=True, slots=True)
class GenerateCompletion:
    """How a generation ended. Always the last event."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    model: str
    timings: tuple[StageTiming, ...]
    mean_log_probability: float | None
    """Of all deltas' tokens; None if `log_probabilities` were not asked for, or there was no token."""
    cached_prompt_tokens: int
    """Tokens of the prompt that had been read before, for one that began alike."""

    @property
    def confidence(self) -> float | None:
        """The geometric mean of the tokens' probabilities, 0 to 1: how sure the model was of its text."""
        return None if self.mean_log_probability is None else math.exp(self.mean_log_probability)


GenerateEvent = GenerateDelta | GenerateCompletion
