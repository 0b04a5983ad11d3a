"""Chunks of revisions that were replaced, kept for searches whose index had not yet come so far."""

from __future__ import annotations

from server.adapters.postgres.pool import PostgresPool

# Waits for nobody: a document that is locked is being changed, and its turn comes again.
_FORGET = """
    WITH due AS (
        SELECT document_id FROM documents
        WHERE previous_revision IS NOT NULL AND swap_time <= now() - make_interval(secs => %(age_s)s)
        ORDER BY swap_time LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    UPDATE documents d SET previous_revision = NULL FROM due WHERE d.document_id = due.document_id
    RETURNING d.document_id, d.revision
"""


class PostgresReplacedRevisions:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def forget_replaced(self, age_s: float, limit: int) -> int:
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(_FORGET, {"age_s": age_s, "limit": limit})
            forgotten = await cursor.fetchall()
            for document in forgotten:
                for table in ("chunks", "pages"):
                    await connection.execute(
                        f"DELETE FROM {table} WHERE document_id = %(document_id)s AND revision <> %(revision)s",
                        document,
                    )
        return len(forgotten)
