"""Answers, their events, and conversations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pinakes.results.documents import Failure
from pinakes.results.passages import MaskedSpan, PageRegion, TextSpan
from pinakes.results.search import QueryUnderstanding, RankedPassage
from pinakes.results.timings import StageTiming
from pinakes.results.wire_enum import WireEnum


class AnswerStatus(WireEnum):
    """How an answer ended."""

    UNSPECIFIED = "unspecified"
    ANSWERED = "answered"
    NOT_IN_DOCUMENTS = "not_in_documents"
    TRUNCATED = "truncated"


class AnswerState(WireEnum):
    """Where an answer is on its way."""

    UNSPECIFIED = "unspecified"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Degradation(WireEnum):
    """What the server left out or replaced while answering."""

    UNSPECIFIED = "unspecified"
    NO_RERANKER = "no_reranker"
    RERANK_SKIPPED = "rerank_skipped"
    EXTRACTIVE = "extractive"
    RERANK_REDUCED = "rerank_reduced"
    OTHER_GENERATOR = "other_generator"
    DRAFT_REPLACED = "draft_replaced"
    REWRITE_SKIPPED = "rewrite_skipped"
    NO_READER = "no_reader"
    READ_SKIPPED = "read_skipped"


class PassedOverReason(WireEnum):
    """Why a generator did not write a text."""

    UNSPECIFIED = "unspecified"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    TOO_SLOW = "too_slow"
    RESTING = "resting"
    REFUSED = "refused"
    NOT_SET_UP = "not_set_up"


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages that the answer is made from, best first. Always the first event. `searched_question` is what was
    searched and asked in place of a question that refers to the one before; empty: the question itself."""

    answer_id: str
    sequence: int
    passages: tuple[RankedPassage, ...]
    searched_question: str = ""
    understanding: QueryUnderstanding | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of text."""

    answer_id: str
    sequence: int
    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """Where the sentence `[start:end]` of the answer's text comes from. `withheld`: from a document that was deleted
    since, or that the caller may not read any more; nothing else is told of it. `field`: which value of an answer in
    JSON it is, as a JSON Pointer."""

    answer_id: str
    sequence: int
    start: int
    end: int
    chunk_id: str
    document_id: str
    document_name: str
    revision: int
    regions: tuple[PageRegion, ...]
    quote: str
    score: float
    withheld: bool = False
    field: str = ""
    masked: tuple[MaskedSpan, ...] = ()
    """Where personal data was masked in `quote`."""


@dataclass(frozen=True, slots=True)
class Unsupported(TextSpan):
    """A part of the answer's text that no passage supports. `field` as in Citation."""

    field: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class PassedOverGenerator:
    """A generator, by its name in the server's settings, that did not write the text."""

    name: str
    reason: PassedOverReason


@dataclass(frozen=True, slots=True)
class Completion:
    """How the answer ended. Always the last event. `unsupported` are sentences that no passage supports. `generator`,
    `embedder`, `reranker` and `reader` are fingerprints of the models that were asked; empty for one that was not.
    `cached`: the answer was made for another call that asked the same, and nothing has changed. `passed_over` are the
    generators that come before the one that wrote. `confidence`: how likely the answer is right, 0 to 1, or, of
    NOT_IN_DOCUMENTS, that the documents do not have it."""

    answer_id: str
    sequence: int
    status: AnswerStatus
    usage: Usage | None
    timings: tuple[StageTiming, ...]
    degradations: tuple[Degradation, ...]
    unsupported: tuple[Unsupported, ...]
    generator: str
    index_position: str
    embedder: str = ""
    reranker: str = ""
    cached: bool = False
    passed_over: tuple[PassedOverGenerator, ...] = ()
    confidence: float = 0.0
    masked: tuple[MaskedSpan, ...] = ()
    """Where personal data was masked in the answer's text."""
    reader: str = ""
    mean_log_probability: float | None = None
    """Of the tokens that the generator wrote, also where other words are shown in their place; None where none ran, or
    none tells. No part of `confidence`."""


AnswerEvent = Sources | Delta | Citation | Completion


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, put together from its events."""

    answer_id: str
    text: str
    sources: tuple[RankedPassage, ...]
    citations: tuple[Citation, ...]
    completion: Completion

    @property
    def status(self) -> AnswerStatus:
        """How the answer ended."""
        return self.completion.status

    @property
    def timings(self) -> tuple[StageTiming, ...]:
        """How long each stage took."""
        return self.completion.timings


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer that the server has kept, as the caller may see it now. Withheld characters of `text` are full blocks
    (U+2588), and `withheld` says where they are. `sources` have no text. `sequence` is 0 in `citations` and
    `completion`, which is None unless the answer is COMPLETED."""

    answer_id: str
    question: str
    state: AnswerState
    text: str
    withheld: tuple[TextSpan, ...]
    sources: tuple[RankedPassage, ...]
    citations: tuple[Citation, ...]
    completion: Completion | None
    failure: Failure | None
    create_time: datetime
    end_time: datetime | None
    searched_question: str = ""
    """As in Sources."""
    understanding: QueryUnderstanding | None = None
    """As in Sources; not kept so far."""
    conversation_id: str = ""
    turn: int = 0
    """Which answer of its conversation it is, from 1; 0 outside of one."""
    masked: tuple[MaskedSpan, ...] = ()
    """Where personal data is masked in `text`."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Questions and answers that follow each other. `turn_count` counts the answers; `title` is empty before the first
    one. `summary` tells of what was asked before the last turns."""

    conversation_id: str
    title: str
    turn_count: int
    create_time: datetime
    update_time: datetime
    summary: str = ""


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """A page of conversations."""

    conversations: tuple[Conversation, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class TurnPage:
    """A page of a conversation's answers."""

    answers: tuple[StoredAnswer, ...]
    next_page_token: str
