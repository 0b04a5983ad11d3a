"""Which blobs are in use."""

from __future__ import annotations

from collections.abc import Sequence

from server.adapters.postgres.pool import PostgresPool


class PostgresBlobReferences:
    """Of the blobs that belong to the database `database_id`. Should another one answer, none is unreferenced."""

    def __init__(self, pool: PostgresPool, database_id: str) -> None:
        self._pool = pool
        self._database_id = database_id

    async def unreferenced(self, keys: Sequence[str]) -> list[str]:
        """A deleted document refers to nothing."""
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(
                """SELECT key FROM unnest(%s::text[]) WITH ORDINALITY AS named (key, place)
                   WHERE NOT EXISTS (SELECT 1 FROM documents WHERE blob_key = key AND delete_time IS NULL)
                   AND NOT EXISTS (SELECT 1 FROM replacements WHERE blob_key = key)
                   AND EXISTS (SELECT 1 FROM database_identity WHERE database_id = %s::uuid)
                   ORDER BY place""",
                (list(keys), self._database_id),
            )
            return [row["key"] for row in await cursor.fetchall()]
