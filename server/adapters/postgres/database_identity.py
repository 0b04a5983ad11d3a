"""Which database it is."""

from __future__ import annotations

from server.adapters.postgres.pool import PostgresPool


async def database_id(pool: PostgresPool) -> str:
    """Made with the schema; the same for ever, also in a copy restored from a backup. Raises DependencyUnavailable."""
    async with pool.transaction() as connection:
        cursor = await connection.execute("SELECT database_id FROM database_identity")
        row = await cursor.fetchone()
    assert row is not None, "the schema holds this row"
    return str(row["database_id"])
