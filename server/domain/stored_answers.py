"""Answers as they are kept, and as they are shown again."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from server.domain.answers import AnswerEvent, Citation, Completion, Sources
from server.domain.documents import Failure
from server.domain.passages import RankedPassage, TextSpan
from server.domain.privacy import PiiSpan
from server.domain.understanding import Understanding


class AnswerState(enum.Enum):
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WithheldCitation:
    """Stands for a citation of a document that the reader may not see any more."""

    sentence: TextSpan


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """`sequence` counts the events of an answer from 1. A number never stands for anything else, except that what may
    not be seen any more is withheld."""

    sequence: int
    event: AnswerEvent | WithheldCitation


@dataclass(frozen=True, slots=True)
class KeptSource:
    """`ranked` has no text, no headings and no places; None: erased with its document. `readable` by whoever asks."""

    document_id: str
    ranked: RankedPassage | None
    readable: bool = True


@dataclass(frozen=True, slots=True)
class KeptCitation:
    """`text` is the sentence of the answer. The passage of `citation` is cut down to the quote. Both None: erased with
    a document that the sentence was cited from."""

    document_id: str
    sentence: TextSpan
    text: str | None
    citation: Citation | None
    readable: bool = True


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """`turn` counts the answers of a conversation from 1, and is given where the answer is stored; 0: in none, or not
    yet. `uncited` is the answer's text with cited sentences blotted out: these stand with their citations, and go with
    them. `layout` has a number for each event: of a delta its length, else one of `server.application.keeping`.
    `understanding` and `narrowed` are those of Sources."""

    answer_id: str
    question: str
    state: AnswerState
    failure: Failure | None
    uncited: str
    layout: tuple[int, ...]
    sources: tuple[KeptSource, ...]
    citations: tuple[KeptCitation, ...]
    completion: Completion | None
    create_time: datetime
    end_time: datetime
    searched: str = ""
    conversation_id: str = ""
    turn: int = 0
    understanding: Understanding | None = None
    narrowed: bool = False


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer as one reader may see it now. In `text` every withheld character is a blot, so that offsets hold;
    `withheld` says where. `sources` are those that may be seen, without their text. `masked`: where in `text` words
    stand in the place of personal data, in order."""

    answer_id: str
    question: str
    state: AnswerState
    failure: Failure | None
    text: str
    withheld: tuple[TextSpan, ...]
    sources: Sources
    citations: tuple[Citation | WithheldCitation, ...]
    completion: Completion | None
    layout: tuple[int, ...]
    create_time: datetime
    end_time: datetime | None
    conversation_id: str = ""
    turn: int = 0
    masked: tuple[PiiSpan, ...] = ()
