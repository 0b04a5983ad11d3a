"""Erases what kept answers hold of a document: its quotes and its name, the sentences that were cited from it, and text
that was cited from nowhere, since it may come from any passage that was read. That something was there stays. Deletes
conversations, of which nothing stays.

Whoever locks several answers locks them in the order of their ids, or two could wait for each other."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from server.adapters.postgres.pool import Connection

_LOCK = """
    SELECT 1 FROM answers WHERE answer_id IN (SELECT answer_id FROM answer_sources WHERE document_id = ANY(%s))
    ORDER BY answer_id FOR UPDATE
"""
_SENTENCES = """
    UPDATE answer_citations c
    SET sentence = NULL, citation = CASE WHEN c.document_id = %(document_id)s THEN NULL ELSE c.citation END
    FROM answer_citations e
    WHERE e.document_id = %(document_id)s AND c.answer_id = e.answer_id
      AND c.sentence_start < e.sentence_end AND c.sentence_end > e.sentence_start
"""
# An answer that the documents do not hold is in words of our own.
_UNCITED = """
    UPDATE answers a SET uncited = repeat('\N{FULL BLOCK}', length(a.uncited))
    FROM answer_sources s
    WHERE s.document_id = %(document_id)s AND a.answer_id = s.answer_id
      AND a.completion ->> 'status' IS DISTINCT FROM 'not_in_documents'
"""
_SOURCES = "UPDATE answer_sources SET source = NULL WHERE document_id = %(document_id)s"


async def erase_documents(connection: Connection, document_ids: Sequence[uuid.UUID]) -> None:
    """In the transaction that deletes them, or that keeps an answer after they were. Cost: the answers that had a
    passage of them."""
    await connection.execute(_LOCK, (list(document_ids),))
    for document_id in document_ids:
        for statement in (_SENTENCES, _UNCITED, _SOURCES):
            await connection.execute(statement, {"document_id": document_id})


async def delete_conversations(connection: Connection, conversation_ids: Sequence[uuid.UUID]) -> None:
    """With their answers. The caller has locked them."""
    for statement in (
        "SELECT 1 FROM answers WHERE conversation_id = ANY(%s) ORDER BY answer_id FOR UPDATE",
        "DELETE FROM conversations WHERE conversation_id = ANY(%s)",
    ):
        await connection.execute(statement, (list(conversation_ids),))
