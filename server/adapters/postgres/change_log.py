"""The change log: what the index follows."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from server.adapters.postgres.pool import Connection, PostgresPool
from server.domain.passages import IndexedChunk, LogEntry

# A swap of revisions is logged as upserts, then removals. Searches read the old chunks until the index has applied the
# last of these: a reader that has come to the removals takes all of them at once, or searches would miss some.
_READ = """
    WITH first AS (
        SELECT * FROM chunk_log WHERE position > %(after)s ORDER BY position LIMIT %(limit)s
    ), last AS (
        SELECT * FROM first ORDER BY position DESC LIMIT 1
    ), entries AS (
        SELECT * FROM first
        UNION ALL
        SELECT rest.* FROM last
        JOIN chunks c ON c.chunk_id = last.chunk_id
        JOIN documents d ON d.document_id = c.document_id AND d.previous_revision = c.revision
        JOIN chunk_log rest ON rest.position > last.position AND rest.position <= d.log_position
        WHERE last.removed
    )
    SELECT l.position, l.chunk_id, l.removed, c.document_id, c.tenant, c.text, c.heading_path, c.language, c.first_page,
           c.last_page, d.owner, d.tags,
           CASE WHEN c.revision = d.previous_revision THEN d.previous_groups ELSE d.groups END AS groups,
           CASE WHEN c.revision = d.previous_revision THEN d.previous_users ELSE d.users END AS users,
           CASE WHEN c.revision = d.previous_revision THEN d.previous_tenant_wide ELSE d.tenant_wide END AS tenant_wide,
           floor(extract(epoch FROM d.create_time))::bigint AS created_unix_s, e.vector
    FROM entries l
    LEFT JOIN chunks c ON c.chunk_id = l.chunk_id AND NOT l.removed
    LEFT JOIN documents d ON d.document_id = c.document_id
    LEFT JOIN embeddings e ON e.chunk_id = c.chunk_id AND e.fingerprint = %(fingerprint)s
    ORDER BY l.position
"""


class PostgresChangeLog:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def read(self, after: int, limit: int, fingerprint: str) -> list[LogEntry]:
        """A chunk without an embedding of `fingerprint` comes as a removal; making the embedding appends it anew."""
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(_READ, {"after": after, "limit": limit, "fingerprint": fingerprint})
            rows = await cursor.fetchall()
        return [LogEntry(row["position"], str(row["chunk_id"]), _chunk_of(row)) for row in rows]

    async def head(self) -> int:
        async with self._pool.transaction() as connection:
            cursor = await connection.execute("SELECT position FROM chunk_log_head")
            row = await cursor.fetchone()
        assert row is not None, "the schema holds this row"
        return int(row["position"])


async def append(connection: Connection, upserted: Sequence[uuid.UUID], removed: Sequence[uuid.UUID]) -> int:
    """Appends upserts, then removals; returns the last position of the log (also when there is nothing to append).

    Locks the log until the transaction ends: call it last.
    """
    cursor = await connection.execute(
        "UPDATE chunk_log_head SET position = position + %s RETURNING position", (len(removed) + len(upserted),)
    )
    row = await cursor.fetchone()
    assert row is not None, "the schema holds this row"
    head = int(row["position"])
    await connection.execute(
        """
        INSERT INTO chunk_log (position, chunk_id, removed)
        SELECT %(before)s + number, chunk_id, number > %(upserts)s
        FROM unnest(%(chunk_ids)s::uuid[]) WITH ORDINALITY AS appended (chunk_id, number)
        """,
        {
            "before": head - len(removed) - len(upserted),
            "upserts": len(upserted),
            "chunk_ids": [*upserted, *removed],
        },
    )
    return head


async def lock(connection: Connection) -> None:
    """Keeps others from appending until the transaction ends."""
    await connection.execute("SELECT position FROM chunk_log_head FOR UPDATE")


def _chunk_of(row: Mapping[str, Any]) -> IndexedChunk | None:
    if row["removed"] or row["text"] is None or row["vector"] is None:
        return None
    return IndexedChunk(
        chunk_id=str(row["chunk_id"]),
        document_id=str(row["document_id"]),
        tenant=row["tenant"],
        owner=row["owner"],
        groups=tuple(row["groups"]),
        users=tuple(row["users"]),
        tenant_wide=row["tenant_wide"],
        tags=tuple(row["tags"]),
        language=row["language"],
        text=row["text"],
        heading_path=tuple(row["heading_path"]),
        first_page=row["first_page"],
        last_page=row["last_page"],
        created_unix_s=row["created_unix_s"],
        embedding=bytes(row["vector"]),
    )
