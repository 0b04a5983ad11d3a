"""What was asked in a conversation before its last turns."""

from __future__ import annotations

from typing import Any

from server.adapters.postgres.identifiers import parsed_id
from server.adapters.postgres.pool import PostgresPool
from server.domain.conversations import History
from server.domain.errors import ConversationNotFound
from server.domain.principals import Principal

_OWN = "conversation_id = %(conversation_id)s AND tenant = %(tenant)s AND owner = %(owner)s"
_SUMMARY = f"SELECT summary, summarized, turns FROM conversations WHERE {_OWN}"
_QUESTIONS = """
    SELECT question, searched FROM answers
    WHERE conversation_id = %(conversation_id)s AND turn > %(summarized)s AND turn <= %(last)s ORDER BY turn
"""
_KEEP = f"""
    UPDATE conversations SET summary = %(summary)s, summarized = %(summarized)s
    WHERE {_OWN} AND summarized < %(summarized)s
"""


class PostgresConversationHistory:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def read(self, principal: Principal, conversation_id: str, past: int) -> History:
        parameters = _named(principal, conversation_id)
        async with self._pool.transaction(principal.tenant) as connection:
            row = await (await connection.execute(_SUMMARY, parameters)).fetchone()
            if row is None:
                raise ConversationNotFound(conversation_id)
            between = {"summarized": row["summarized"], "last": row["turns"] - past}
            rows = await (await connection.execute(_QUESTIONS, parameters | between)).fetchall()
        return History(row["summary"], row["summarized"], tuple(each["searched"] or each["question"] for each in rows))

    async def keep(self, principal: Principal, conversation_id: str, summary: str, summarized: int) -> None:
        parameters = _named(principal, conversation_id) | {"summary": summary, "summarized": summarized}
        # A crash of the database forgets at most what is summarized again.
        async with self._pool.transaction(principal.tenant, flushed=False) as connection:
            await connection.execute(_KEEP, parameters)


def _named(principal: Principal, conversation_id: str) -> dict[str, Any]:
    return {"conversation_id": parsed_id(conversation_id), "tenant": principal.tenant, "owner": principal.user}
