"""`client.conversations`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import grpc

from pinakes import mapping, requests
from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.options import Deadlines
from pinakes.results import Conversation, StoredAnswer
from pinakes.v1.conversation_service_pb2_grpc import ConversationServiceStub


class AsyncConversations:
    """`client.conversations`: makes, lists, names and deletes conversations, and shows their answers. A question is
    asked in one with `client.answer(..., conversation_id=...)`."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = ConversationServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    async def create(self, title: str = "", *, timeout_s: float | None = None) -> Conversation:
        """Makes a conversation. Without a title, its first question becomes it. Raises InvalidField."""
        return await self._calls.unary(
            self._stub.CreateConversation,
            requests.create_conversation(title),
            timeout_s or self._deadlines.unary_s,
            mapping.made_conversation,
        )

    async def get(self, conversation_id: str, *, timeout_s: float | None = None) -> Conversation:
        """One conversation. Raises ConversationNotFound."""
        return await self._calls.unary(
            self._stub.GetConversation,
            requests.get_conversation(conversation_id),
            timeout_s or self._deadlines.unary_s,
            mapping.found_conversation,
        )

    def list(self, *, page_size: int = 0, timeout_s: float | None = None) -> AsyncIterator[Conversation]:
        """All conversations of the caller's, the newest first, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.ListConversations,
            lambda token: requests.list_conversations(page_size, token),
            timeout_s or self._deadlines.unary_s,
            mapping.conversation_page,
            lambda page: page.conversations,
        )

    async def rename(self, conversation_id: str, title: str, *, timeout_s: float | None = None) -> Conversation:
        """Gives a conversation a title. Raises InvalidField, ConversationNotFound."""
        return await self._calls.unary(
            self._stub.UpdateConversation,
            requests.update_conversation(conversation_id, title),
            timeout_s or self._deadlines.unary_s,
            mapping.updated_conversation,
        )

    async def delete(self, conversation_id: str, *, timeout_s: float | None = None) -> None:
        """Deletes a conversation with its answers. Raises ConversationNotFound, also when a first attempt had deleted
        it and its response was lost."""
        await self._calls.unary(
            self._stub.DeleteConversation,
            requests.delete_conversation(conversation_id),
            timeout_s or self._deadlines.unary_s,
            mapping.deleted_conversation,
        )

    def turns(
        self, conversation_id: str, *, page_size: int = 0, timeout_s: float | None = None
    ) -> AsyncIterator[StoredAnswer]:
        """The answers of a conversation, the first one first, fetched page by page; the timeout is for one page. Raises
        ConversationNotFound."""
        return self._calls.pages(
            self._stub.ListTurns,
            lambda token: requests.list_turns(conversation_id, page_size, token),
            timeout_s or self._deadlines.unary_s,
            mapping.turn_page,
            lambda page: page.answers,
        )


class Conversations:
    """`client.conversations`: makes, lists, names and deletes conversations, and shows their answers. A question is
    asked in one with `client.answer(..., conversation_id=...)`."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = ConversationServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def create(self, title: str = "", *, timeout_s: float | None = None) -> Conversation:
        """Makes a conversation. Without a title, its first question becomes it. Raises InvalidField."""
        return self._calls.unary(
            self._stub.CreateConversation,
            requests.create_conversation(title),
            timeout_s or self._deadlines.unary_s,
            mapping.made_conversation,
        )

    def get(self, conversation_id: str, *, timeout_s: float | None = None) -> Conversation:
        """One conversation. Raises ConversationNotFound."""
        return self._calls.unary(
            self._stub.GetConversation,
            requests.get_conversation(conversation_id),
            timeout_s or self._deadlines.unary_s,
            mapping.found_conversation,
        )

    def list(self, *, page_size: int = 0, timeout_s: float | None = None) -> Iterator[Conversation]:
        """All conversations of the caller's, the newest first, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.ListConversations,
            lambda token: requests.list_conversations(page_size, token),
            timeout_s or self._deadlines.unary_s,
            mapping.conversation_page,
            lambda page: page.conversations,
        )

    def rename(self, conversation_id: str, title: str, *, timeout_s: float | None = None) -> Conversation:
        """Gives a conversation a title. Raises InvalidField, ConversationNotFound."""
        return self._calls.unary(
            self._stub.UpdateConversation,
            requests.update_conversation(conversation_id, title),
            timeout_s or self._deadlines.unary_s,
            mapping.updated_conversation,
        )

    def delete(self, conversation_id: str, *, timeout_s: float | None = None) -> None:
        """Deletes a conversation with its answers. Raises ConversationNotFound, also when a first attempt had deleted
        it and its response was lost."""
        self._calls.unary(
            self._stub.DeleteConversation,
            requests.delete_conversation(conversation_id),
            timeout_s or self._deadlines.unary_s,
            mapping.deleted_conversation,
        )

    def turns(
        self, conversation_id: str, *, page_size: int = 0, timeout_s: float | None = None
    ) -> Iterator[StoredAnswer]:
        """The answers of a conversation, the first one first, fetched page by page; the timeout is for one page. Raises
        ConversationNotFound."""
        return self._calls.pages(
            self._stub.ListTurns,
            lambda token: requests.list_turns(conversation_id, page_size, token),
            timeout_s or self._deadlines.unary_s,
            mapping.turn_page,
            lambda page: page.answers,
        )
