"""Conversations and their turns."""

from __future__ import annotations

from pinakes import results
from pinakes.mapping.answers import stored_answer
from pinakes.mapping.wire_values import time
from pinakes.v1 import conversation_service_pb2


def conversation(wire: conversation_service_pb2.Conversation) -> results.Conversation:
    return results.Conversation(
        conversation_id=wire.conversation_id,
        title=wire.title,
        turn_count=wire.turn_count,
        create_time=time(wire.create_time),
        update_time=time(wire.update_time),
        summary=wire.summary,
    )


def made_conversation(wire: conversation_service_pb2.CreateConversationResponse) -> results.Conversation:
    return conversation(wire.conversation)


def found_conversation(wire: conversation_service_pb2.GetConversationResponse) -> results.Conversation:
    return conversation(wire.conversation)


def updated_conversation(wire: conversation_service_pb2.UpdateConversationResponse) -> results.Conversation:
    return conversation(wire.conversation)


def deleted_conversation(wire: conversation_service_pb2.DeleteConversationResponse) -> None:
    return None


def conversation_page(wire: conversation_service_pb2.ListConversationsResponse) -> results.ConversationPage:
    return results.ConversationPage(tuple(conversation(c) for c in wire.conversations), wire.next_page_token)


def turn_page(wire: conversation_service_pb2.ListTurnsResponse) -> results.TurnPage:
    return results.TurnPage(tuple(stored_answer(a) for a in wire.answers), wire.next_page_token)
