"""Questions that follow each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Conversation:
    """`turns` counts the answers that were given in it. `title` is empty until the first of them. `summary` tells of
    what was asked before the last turns, in words of the questions alone."""

    conversation_id: str
    title: str
    turns: int
    create_time: datetime
    update_time: datetime
    summary: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """What was asked before the last turns of a conversation: `summary` of the first `summarized` of its turns, and
    the questions after these, as they were searched, which are in no summary yet."""

    summary: str = ""
    summarized: int = 0
    questions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PastTurn:
    """`searched` is what was searched and asked in place of the question; empty: the question itself."""

    question: str
    searched: str = ""

    @property
    def whole(self) -> str:
        """The question with what it refers to."""
        return self.searched or self.question
