"""Conversations as their owners see them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from server.adapters.postgres.answer_erasure import delete_conversations
from server.adapters.postgres.answer_store import ANSWER_COLUMNS, read_answers
from server.adapters.postgres.identifiers import new_id, parsed_id
from server.adapters.postgres.page_tokens import page_token, resume_after
from server.adapters.postgres.pool import Connection, PostgresPool
from server.application.conversation_ports import ConversationPage, TurnPage
from server.domain.conversations import Conversation
from server.domain.errors import ConversationNotFound
from server.domain.principals import Principal

_COLUMNS = "conversation_id, title, turns, create_time, update_time, summary"
_OWN = "conversation_id = %(conversation_id)s AND tenant = %(tenant)s AND owner = %(owner)s"


class PostgresConversations:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def create(self, principal: Principal, title: str) -> Conversation:
        statement = f"""
            INSERT INTO conversations (conversation_id, tenant, owner, title)
            VALUES (%(conversation_id)s, %(tenant)s, %(owner)s, %(title)s) RETURNING {_COLUMNS}
        """
        async with self._pool.transaction(principal.tenant) as connection:
            return await _one(connection, statement, _owned(principal, new_id()) | {"title": title})

    async def get(self, principal: Principal, conversation_id: str) -> Conversation:
        async with self._pool.transaction(principal.tenant) as connection:
            return await _one(
                connection, f"SELECT {_COLUMNS} FROM conversations WHERE {_OWN}", _named(principal, conversation_id)
            )

    async def page(self, principal: Principal, size: int, token: str) -> ConversationPage:
        listed = ["conversations", principal.tenant, principal.user]
        last = resume_after(token, listed) if token else None
        async with self._pool.transaction(principal.tenant) as connection:
            cursor = await connection.execute(
                f"""SELECT {_COLUMNS} FROM conversations
                    WHERE tenant = %(tenant)s AND owner = %(owner)s
                      AND (%(conversation_id)s::uuid IS NULL OR conversation_id < %(conversation_id)s)
                    ORDER BY conversation_id DESC LIMIT %(limit)s""",
                _owned(principal, last) | {"limit": size + 1},
            )
            rows = await cursor.fetchall()
        following = page_token(rows[size - 1]["conversation_id"], listed) if len(rows) > size else ""
        return ConversationPage(tuple(map(_conversation_of, rows[:size])), following)

    async def rename(self, principal: Principal, conversation_id: str, title: str) -> Conversation:
        statement = f"UPDATE conversations SET title = %(title)s, update_time = now() WHERE {_OWN} RETURNING {_COLUMNS}"
        async with self._pool.transaction(principal.tenant) as connection:
            return await _one(connection, statement, _named(principal, conversation_id) | {"title": title})

    async def delete(self, principal: Principal, conversation_id: str) -> None:
        named = _named(principal, conversation_id)
        async with self._pool.transaction(principal.tenant) as connection:
            await _one(connection, f"SELECT {_COLUMNS} FROM conversations WHERE {_OWN} FOR UPDATE", named)
            await delete_conversations(connection, [named["conversation_id"]])

    async def turns(self, principal: Principal, conversation_id: str, size: int, token: str) -> TurnPage:
        listed = ["turns", principal.tenant, principal.user, conversation_id]
        named = _named(principal, conversation_id)
        last = resume_after(token, listed) if token else None
        async with self._pool.transaction(principal.tenant) as connection:
            await _one(connection, f"SELECT {_COLUMNS} FROM conversations WHERE {_OWN}", named)
            cursor = await connection.execute(
                f"""SELECT {ANSWER_COLUMNS} FROM answers
                    WHERE conversation_id = %(conversation_id)s
                      AND turn > coalesce((SELECT turn FROM answers WHERE answer_id = %(last)s), 0)
                    ORDER BY turn LIMIT %(limit)s""",
                named | {"last": last, "limit": size + 1},
            )
            rows = await cursor.fetchall()
            answers = await read_answers(connection, principal, rows[:size])
        return TurnPage(tuple(answers), page_token(rows[size - 1]["answer_id"], listed) if len(rows) > size else "")


def _owned(principal: Principal, conversation_id: uuid.UUID | None) -> dict[str, Any]:
    return {"tenant": principal.tenant, "owner": principal.user, "conversation_id": conversation_id}


def _named(principal: Principal, conversation_id: str) -> dict[str, Any]:
    """Raises ConversationNotFound for what is no id."""
    parsed = parsed_id(conversation_id)
    if parsed is None:
        raise ConversationNotFound(conversation_id)
    return _owned(principal, parsed)


async def _one(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> Conversation:
    row = await (await connection.execute(statement.encode(), parameters)).fetchone()
    if row is None:
        raise ConversationNotFound(str(parameters["conversation_id"]))
    return _conversation_of(row)


def _conversation_of(row: Mapping[str, Any]) -> Conversation:
    return Conversation(
        conversation_id=str(row["conversation_id"]),
        title=row["title"],
        turns=row["turns"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        summary=row["summary"],
    )
