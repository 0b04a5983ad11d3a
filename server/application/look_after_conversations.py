"""Makes, shows, names and deletes conversations."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

from server.application.conversation_ports import ConversationPage, ConversationStore
from server.application.give_answers import GiveAnswers
from server.application.keeping import shown_answer
from server.application.privacy.masked_answers import masked_answer
from server.application.privacy.masking import mask_pii
from server.application.privacy_ports import Policies
from server.application.upload_document import check_text
from server.domain.conversations import Conversation
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField
from server.domain.principals import Principal
from server.domain.privacy import PiiKind
from server.domain.stored_answers import KeptAnswer, ShownAnswer

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
MAX_TITLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class ShownTurns:
    answers: tuple[ShownAnswer, ...]
    next_page_token: str


class LookAfterConversations:
    """Sees the answers that its caller has heard to their end, also where they are just being kept."""

    def __init__(self, store: ConversationStore, given: GiveAnswers, policies: Policies) -> None:
        self._store = store
        self._given = given
        self._policies = policies

    async def create(self, principal: Principal, title: str) -> Conversation:
        """Without a title, the first question becomes it. Raises InvalidField."""
        if title:
            check_text("title", title, MAX_TITLE_CHARACTERS)
        return await self._store.create(principal, title)

    async def get(self, principal: Principal, conversation_id: str, deadline: Deadline) -> Conversation:
        """Raises ConversationNotFound, StageDeadline."""
        await self._given.until_kept(principal, conversation_id, deadline)
        found = await self._store.get(principal, conversation_id)
        return _masked(found, (await self._policies.of(principal.tenant)).masked)

    async def page(self, principal: Principal, size: int, token: str) -> ConversationPage:
        """Newest first. 0 asks for the default size, a size over the limit for the limit. Raises InvalidField,
        InvalidPageToken."""
        page = await self._store.page(principal, _page_size(size), token)
        kinds = (await self._policies.of(principal.tenant)).masked
        return replace(page, conversations=tuple(_masked(each, kinds) for each in page.conversations))

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
        answers = await asyncio.to_thread(_shown, page.answers, (await self._policies.of(principal.tenant)).masked)
        return ShownTurns(answers, page.next_page_token)


def _shown(answers: Iterable[KeptAnswer], kinds: frozenset[PiiKind]) -> tuple[ShownAnswer, ...]:
    return tuple(masked_answer(shown_answer(answer), kinds) for answer in answers)


def _masked(conversation: Conversation, kinds: frozenset[PiiKind]) -> Conversation:
    """The first question may be its title."""
    title, summary = mask_pii(conversation.title, kinds).text, mask_pii(conversation.summary, kinds).text
    return replace(conversation, title=title, summary=summary)


def _page_size(size: int) -> int:
    if size < 0:
        raise InvalidField("page_size", "must not be negative")
    return min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
