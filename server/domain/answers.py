"""The events of an answer."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from server.domain.generation import PassedOver
from server.domain.passages import Passage, RankedPassage, TextSpan
from server.domain.privacy import PiiSpan
from server.domain.understanding import Understanding


class AnswerStatus(enum.Enum):
    ANSWERED = "answered"
    NOT_IN_DOCUMENTS = "not_in_documents"
    TRUNCATED = "truncated"


class Degradation(enum.Enum):
    NO_RERANKER = "no_reranker"
    RERANK_SKIPPED = "rerank_skipped"
    EXTRACTIVE = "extractive"
    RERANK_REDUCED = "rerank_reduced"
    OTHER_GENERATOR = "other_generator"
    DRAFT_REPLACED = "draft_replaced"
    REWRITE_SKIPPED = "rewrite_skipped"
    NO_READER = "no_reader"
    READ_SKIPPED = "read_skipped"


@dataclass(frozen=True, slots=True)
class StageTiming:
    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Sources:
    """`searched` is what was searched and asked in place of a follow-up question; empty: the question itself.
    `understanding` is what was read in it, `narrowed` whether the filters that it proposes were applied."""

    passages: tuple[RankedPassage, ...]
    searched: str = ""
    understanding: Understanding | None = None
    narrowed: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    text: str


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Citation:
    """`sentence` (of the answer) is supported by `support` (of the passage's text) with `score`, 0 to 1. Of an answer
    in fields it is the value at `field`, a JSON Pointer."""

    sentence: TextSpan
    passage: Passage
    support: TextSpan
    score: float
    field: str = ""


@dataclass(frozen=True, slots=True)
class Unsupported(TextSpan):
    """A part of the answer that nothing supports. `field` as in Citation."""

    field: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """`generator`, `embedder`, `reranker` and `reader` are fingerprints of the models that made the answer; empty for
    one that was not asked. `cached`: the answer was made for an earlier call, or for another one at the same time.
    `confidence`: how likely the answer is right, or, of NOT_IN_DOCUMENTS, that the documents do not have it. `masked`:
    where in its text words stand in the place of personal data, in order. `mean_log_probability`: of the tokens that
    the generator wrote; None where none did, or none told."""

    status: AnswerStatus
    usage: Usage | None
    timings: tuple[StageTiming, ...]
    degradations: tuple[Degradation, ...]
    unsupported: tuple[Unsupported, ...]
    generator: str
    index_position: int
    embedder: str = ""
    reranker: str = ""
    cached: bool = False
    passed_over: tuple[PassedOver, ...] = ()
    confidence: float = 0.0
    masked: tuple[PiiSpan, ...] = ()
    reader: str = ""
    mean_log_probability: float | None = None


AnswerEvent = Sources | Delta | Citation | Completion
