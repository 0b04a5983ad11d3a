"""What conversations need from the world. Every method answers for `principal` only, and raises ConversationNotFound
for a conversation of somebody else, DependencyUnavailable and Overloaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from server.domain.conversations import Conversation, History, PastTurn
from server.domain.principals import Principal
from server.domain.stored_answers import KeptAnswer


@dataclass(frozen=True, slots=True)
class ConversationPage:
    conversations: tuple[Conversation, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class TurnPage:
    answers: tuple[KeptAnswer, ...]
    next_page_token: str


class ConversationStore(Protocol):
    async def create(self, principal: Principal, title: str) -> Conversation: ...

    async def get(self, principal: Principal, conversation_id: str) -> Conversation: ...

    async def page(self, principal: Principal, size: int, token: str) -> ConversationPage:
        """Newest first. Raises InvalidPageToken."""

    async def rename(self, principal: Principal, conversation_id: str, title: str) -> Conversation: ...

    async def delete(self, principal: Principal, conversation_id: str) -> None:
        """With its answers; one that is being made in it is not kept."""

    async def turns(self, principal: Principal, conversation_id: str, size: int, token: str) -> TurnPage:
        """The first one first, with `readable` as it is for `principal` now. Raises InvalidPageToken."""


class TurnStore(Protocol):
    """A conversation has one turn at a time, in whatever process. AnswerStore.keep ends it and adds it."""

    async def begin(
        self, principal: Principal, conversation_id: str, answer_id: str, lease_s: float, past: int
    ) -> tuple[PastTurn, ...]:
        """Takes the turn for `lease_s`; returns the last `past` turns, the first one first. Raises
        ConversationBusy."""

    async def renew(self, conversation_id: str, answer_id: str, lease_s: float) -> None:
        """Does nothing when another answer has the turn."""

    async def abandon(self, conversation_id: str, answer_id: str) -> None:
        """Ends the turn of an answer that is not kept."""


class HistoryStore(Protocol):
    async def read(self, principal: Principal, conversation_id: str, past: int) -> History:
        """Of the turns before the last `past` ones."""

    async def keep(self, principal: Principal, conversation_id: str, summary: str, summarized: int) -> None:
        """Of the first `summarized` turns. Does nothing where as many are summarized already."""


class FollowUps(Protocol):
    async def rewritten(self, question: str, past: Sequence[PastTurn]) -> str:
        """A question that says what `question`, which is normalized, means after those of `past`, the last one last;
        the question itself where it stands alone. At most as long as a question may be."""
