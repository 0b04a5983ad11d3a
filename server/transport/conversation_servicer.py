# ruff: noqa: N802 - methods are named by the contract
"""ConversationService on the wire."""

from __future__ import annotations

from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import conversation_service_pb2 as wire
from pinakes.v1 import conversation_service_pb2_grpc
from server.application.look_after_conversations import LookAfterConversations
from server.transport.answer_mapping import conversation_to_wire, conversations_response, turns_response
from server.transport.deadlines import deadline_of
from server.transport.identity import Identity

LONGEST_LOOK_S = 30.0

Context = ServicerContext[Any, Any]


class ConversationServicer(conversation_service_pb2_grpc.ConversationServiceServicer):
    def __init__(self, identity: Identity, conversations: LookAfterConversations) -> None:
        self._identity = identity
        self._conversations = conversations

    async def CreateConversation(
        self, request: wire.CreateConversationRequest, context: Context
    ) -> wire.CreateConversationResponse:
        made = await self._conversations.create(self._identity.principal(context), request.title)
        return wire.CreateConversationResponse(conversation=conversation_to_wire(made))

    async def GetConversation(
        self, request: wire.GetConversationRequest, context: Context
    ) -> wire.GetConversationResponse:
        principal, deadline = self._identity.principal(context), deadline_of(context, LONGEST_LOOK_S)
        found = await self._conversations.get(principal, request.conversation_id, deadline)
        return wire.GetConversationResponse(conversation=conversation_to_wire(found))

    async def ListConversations(
        self, request: wire.ListConversationsRequest, context: Context
    ) -> wire.ListConversationsResponse:
        principal = self._identity.principal(context)
        return conversations_response(await self._conversations.page(principal, request.page_size, request.page_token))

    async def UpdateConversation(
        self, request: wire.UpdateConversationRequest, context: Context
    ) -> wire.UpdateConversationResponse:
        principal = self._identity.principal(context)
        renamed = await self._conversations.rename(principal, request.conversation_id, request.title)
        return wire.UpdateConversationResponse(conversation=conversation_to_wire(renamed))

    async def DeleteConversation(
        self, request: wire.DeleteConversationRequest, context: Context
    ) -> wire.DeleteConversationResponse:
        await self._conversations.delete(self._identity.principal(context), request.conversation_id)
        return wire.DeleteConversationResponse()

    async def ListTurns(self, request: wire.ListTurnsRequest, context: Context) -> wire.ListTurnsResponse:
        principal, deadline = self._identity.principal(context), deadline_of(context, LONGEST_LOOK_S)
        turns = await self._conversations.turns(
            principal, request.conversation_id, request.page_size, request.page_token, deadline
        )
        return turns_response(turns)
