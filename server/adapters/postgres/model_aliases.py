"""The aliases that somebody has set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from server.adapters.postgres.pool import PostgresPool


class PostgresModelAliases:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def chains(self) -> Mapping[str, tuple[str, ...]]:
        async with self._pool.transaction() as connection:
            cursor = await connection.execute("SELECT slot, models FROM model_aliases")
            return {row["slot"]: tuple(row["models"]) async for row in cursor}

    async def set(self, slot: str, models: Sequence[str]) -> None:
        async with self._pool.transaction() as connection:
            if not models:
                await connection.execute("DELETE FROM model_aliases WHERE slot = %s", (slot,))
                return
            await connection.execute(
                """INSERT INTO model_aliases (slot, models) VALUES (%s, %s)
                   ON CONFLICT (slot) DO UPDATE SET models = EXCLUDED.models, update_time = now()""",
                (slot, list(models)),
            )
