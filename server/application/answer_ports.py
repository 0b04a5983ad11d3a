"""What making, keeping and showing answers needs from the world. Failures are raised as `server.domain.errors`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from server.domain.deadline import Deadline
from server.domain.principals import Principal
from server.domain.stored_answers import KeptAnswer


@dataclass(frozen=True, slots=True)
class ReadSpan:
    """A piece of a text that may answer a question: its characters from `start` to before `end`. `score` is the
    logarithm of how much likelier the reader takes it to be than that the text answers nothing; it can be compared
    among texts."""

    start: int
    end: int
    score: float


class PassageReader(Protocol):
    """Reads texts with a question in mind."""

    @property
    def fingerprint(self) -> str: ...

    async def read(self, question: str, texts: Sequence[str], deadline: Deadline) -> list[tuple[ReadSpan, ...]]:
        """For each text up to five spans that do not overlap, best first; none of a text without words. Of a text some
        1,000 tokens are read. Raises StageDeadline, DependencyUnavailable, Overloaded."""


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """An answer, and whose it is."""

    principal: Principal
    answer: KeptAnswer


class AnswerStore(Protocol):
    async def keep(self, answers: Sequence[OwnAnswer]) -> None:
        """All of them or none; what was cited from a document that is deleted meanwhile is left out. In a conversation
        an answer becomes the next turn, and ends the one that it had; without the conversation, which was deleted then,
        it is not kept. A repeat does nothing. Raises DependencyUnavailable, Overloaded."""

    async def get(self, principal: Principal, answer_id: str) -> KeptAnswer:
        """With `readable` as it is for `principal` now. Raises AnswerNotFound, also for answers of others."""

    async def readable(self, principal: Principal, document_ids: Collection[str]) -> bool:
        """Whether all of the documents are there, and `principal` may read them now. Raises DependencyUnavailable,
        Overloaded."""

    async def forget(self, age_s: float, limit: int) -> int:
        """Removes at most `limit` answers that ended `age_s` ago, and as many conversations in which nothing has ended
        since; returns how many of whichever were more."""
