"""Makes, shows, names and deletes conversations."""

from __future__ import annotations

from dataclasses import dataclass

from server.application.conversation_ports import ConversationPage, ConversationStore
from server.application.give_answers import GiveAnswers
from server.application.keeping import shown_answer
from server.application.upload_document import check_text
from server.domain.conversations import Conversation
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField
from server.domain.principals import Principal
from server.domain.stored_answers import ShownAnswer

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
MAX_TITLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class ShownTurns:
    answers: tuple[ShownAnswer, ...]
    next_page_token: str


class LookAfterConversations:
    """Sees the answers that its caller has heard to their end, also where they are just being kept."""

    def __init__(self, store: ConversationStore, given: GiveAnswers) -> None:
        self._store = store
        self._given = given

    async def create(self, principal: Principal, title: str) -> Conversation:
        """Without a title, the first question becomes it. Raises InvalidField."""
        if title:
            check_text("title", title, MAX_TITLE_CHARACTERS)
        return await self._store.create(principal, title)

    async def get(self, principal: Principal, conversation_id: str, deadline: Deadline) -> Conversation:
        """Raises ConversationNotFound, StageDeadline."""
        await self._given.until_kept(principal, conversation_id, deadline)
        return await self._store.get(principal, conversation_id)

    async def page(self, principal: Principal, size: int, token: str) -> ConversationPage:
        """Newest first. 0 asks for the default size, a size over the limit for the limit. Raises InvalidField,
        InvalidPageToken."""
        return await self._store.page(principal, _page_size(size), token)

    async def rename(self, principal: Principal, conversation_id: str, title: str) -> Conversation:
        """Raises InvalidField, ConversationNotFound."""
        check_text("title", title, MAX_TITLE_CHARACTERS)
        return await self._store.rename(principal, conversation_id, title)

    async def delete(self, principal: Principal, conversation_id: str) -> None:
        """With its answers. Raises ConversationNotFound."""
        await self._store.delete(principal, conversation_id)

    async def turns(
        self, principal: Principal, conversation_id: str, size: int, token: str, deadline: Deadline
    ) -> ShownTurns:
        """The first one first, each as the caller may see it now. Raises InvalidField, InvalidPageToken,
        ConversationNotFound, StageDeadline."""
        await self._given.until_kept(principal, conversation_id, deadline)
        page = await self._store.turns(principal, conversation_id, _page_size(size), token)
        return ShownTurns(tuple(map(shown_answer, page.answers)), page.next_page_token)


def _page_size(size: int) -> int:
    if size < 0:
        raise InvalidField("page_size", "must not be negative")
    return min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
