"""Whose turn it is in a conversation. The row of the conversation is locked by whoever changes that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.adapters.postgres.identifiers import parsed_id
from server.adapters.postgres.pool import Connection, PostgresPool
from server.domain.conversations import PastTurn
from server.domain.errors import ConversationBusy, ConversationNotFound
from server.domain.principals import Principal

_TITLE_CHARACTERS = 80
_LOCK = """
    SELECT live_answer, coalesce(live_until > clock_timestamp(), false) AS busy FROM conversations
    WHERE conversation_id = %(conversation_id)s AND tenant = %(tenant)s AND owner = %(user)s FOR UPDATE
"""
_TAKE = """
    UPDATE conversations
    SET live_answer = %(answer_id)s, live_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    WHERE conversation_id = %(conversation_id)s
"""
_PAST = """
    SELECT question, searched FROM answers WHERE conversation_id = %(conversation_id)s
    ORDER BY turn DESC LIMIT %(past)s
"""
_RENEW = """
    UPDATE conversations SET live_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    WHERE conversation_id = %(conversation_id)s AND live_answer = %(answer_id)s
"""
_ABANDON = """
    UPDATE conversations SET live_answer = NULL, live_until = NULL
    WHERE conversation_id = %(conversation_id)s AND live_answer = %(answer_id)s
"""
# A turn that was lost to another answer (its process had stood still) is added nevertheless, behind it.
_ADD = """
    UPDATE conversations
    SET turns = turns + 1, update_time = now(),
        title = CASE WHEN title = '' THEN left(%(question)s, %(title_characters)s) ELSE title END,
        live_until = CASE WHEN live_answer = %(answer_id)s THEN NULL ELSE live_until END,
        live_answer = nullif(live_answer, %(answer_id)s)
    WHERE conversation_id = %(conversation_id)s AND tenant = %(tenant)s AND owner = %(user)s
    RETURNING turns
"""


class PostgresConversationTurns:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def begin(
        self, principal: Principal, conversation_id: str, answer_id: str, lease_s: float, past: int
    ) -> tuple[PastTurn, ...]:
        parameters = _named(conversation_id, answer_id) | {
            "tenant": principal.tenant,
            "user": principal.user,
            "lease_s": lease_s,
            "past": past,
        }
        # A crash of the database forgets the turn together with the answer.
        async with self._pool.transaction(principal.tenant, flushed=False) as connection:
            row = await (await connection.execute(_LOCK, parameters)).fetchone()
            if row is None:
                raise ConversationNotFound(conversation_id)
            if row["busy"]:
                raise ConversationBusy(conversation_id, str(row["live_answer"]))
            await connection.execute(_TAKE, parameters)
            rows = await (await connection.execute(_PAST, parameters)).fetchall()
        return tuple(PastTurn(row["question"], row["searched"]) for row in reversed(rows))

    async def renew(self, conversation_id: str, answer_id: str, lease_s: float) -> None:
        async with self._pool.spanning(flushed=False) as connection:
            await connection.execute(_RENEW, _named(conversation_id, answer_id) | {"lease_s": lease_s})

    async def abandon(self, conversation_id: str, answer_id: str) -> None:
        async with self._pool.spanning(flushed=False) as connection:
            await connection.execute(_ABANDON, _named(conversation_id, answer_id))


async def add_turn(connection: Connection, parameters: Mapping[str, Any]) -> int | None:
    """Counts the answer as the conversation's next turn, and ends the turn that it had; None without the
    conversation."""
    cursor = await connection.execute(_ADD, {**parameters, "title_characters": _TITLE_CHARACTERS})
    row = await cursor.fetchone()
    return None if row is None else int(row["turns"])


def _named(conversation_id: str, answer_id: str) -> dict[str, Any]:
    return {"conversation_id": parsed_id(conversation_id), "answer_id": parsed_id(answer_id)}
