"""Which blobs are in use."""

from __future__ import annotations

from collections.abc import Sequence

from server.adapters.postgres.pool import PostgresPool


class PostgresBlobReferences:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def unreferenced(self, keys: Sequence[str]) -> list[str]:
        """A deleted document refers to nothing."""
        async with self._pool.transaction() as connection:
            cursor = await connection.execute(
                """SELECT key FROM unnest(%s::text[]) AS key
                   WHERE NOT EXISTS (SELECT 1 FROM documents WHERE blob_key = key AND delete_time IS NULL)""",
                (list(keys),),
            )
            return [row["key"] for row in await cursor.fetchall()]
