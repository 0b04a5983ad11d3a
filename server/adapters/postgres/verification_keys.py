"""The public halves of the keys that servers sign access tokens with."""

from __future__ import annotations

from collections.abc import Mapping

from server.adapters.postgres.pool import PostgresPool


class PostgresVerificationKeys:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def publish(self, kid: str, public_key: bytes, lifetime_s: float) -> None:
        """Valid for so long from now on; a repeat renews it. The same `kid` never stands for another key."""
        async with self._pool.transaction() as connection:
            await connection.execute("DELETE FROM signing_keys WHERE expire_time < now() - interval '1 day'")
            await connection.execute(
                """INSERT INTO signing_keys AS k (kid, public_key, expire_time)
                   VALUES (%s, %s, now() + make_interval(secs => %s))
                   ON CONFLICT (kid) DO UPDATE SET expire_time = greatest(k.expire_time, EXCLUDED.expire_time)
                   WHERE k.public_key = EXCLUDED.public_key""",
                (kid, public_key, lifetime_s),
            )

    async def valid(self) -> Mapping[str, bytes]:
        async with self._pool.transaction() as connection:
            cursor = await connection.execute("SELECT kid, public_key FROM signing_keys WHERE expire_time > now()")
            return {row["kid"]: bytes(row["public_key"]) async for row in cursor}
