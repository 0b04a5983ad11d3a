"""How many requests a tenant makes in a minute, on all servers together."""

from __future__ import annotations

import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import SlidingWindowCounterSupport, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from server.adapters.postgres.pool import PostgresPool

_MINUTE_S = 60
# The clock is the database's, which all servers share. The row is locked from here on.
_ADD = """
    WITH clock AS MATERIALIZED (SELECT extract(epoch FROM clock_timestamp())::double precision AS now)
    INSERT INTO request_windows AS held (tenant, start, requests)
    SELECT current_tenant(), floor(now / %(seconds)s)::bigint * %(seconds)s, %(amount)s FROM clock
    ON CONFLICT (tenant, start) DO UPDATE SET requests = held.requests + %(amount)s
    RETURNING start, requests, (SELECT now FROM clock) AS now
"""
_BEFORE = "SELECT requests FROM request_windows WHERE start = %(start)s"
_FORGET = "DELETE FROM request_windows WHERE start < %(start)s"
_GET = """
    WITH clock AS MATERIALIZED (SELECT extract(epoch FROM clock_timestamp())::double precision AS now)
    SELECT now, start, requests FROM clock
    LEFT JOIN request_windows ON start >= floor(now / %(seconds)s)::bigint * %(seconds)s - %(seconds)s
"""


class TenantWindows(Storage, SlidingWindowCounterSupport):
    """The storage of the library `limits` for one tenant: counts by window in PostgreSQL. It serves sliding windows,
    and no other strategy; keys say nothing that the tenant and the length of the window do not."""

    STORAGE_SCHEME = None

    def __init__(self, pool: PostgresPool, tenant: str) -> None:
        super().__init__()
        self._pool = pool
        self._tenant = tenant

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """None that are the library's to wrap."""
        return ()

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Whether the entries fit; they are counted only then. The window before counts as far as it reaches into the
        last `expiry` seconds."""
        async with self._pool.transaction(self._tenant, flushed=False) as connection:
            row = await (await connection.execute(_ADD, {"seconds": expiry, "amount": amount})).fetchone()
            assert row is not None, "an upsert returns its row"
            start = row["start"]
            found = await (await connection.execute(_BEFORE, {"start": start - expiry})).fetchone()
            before = 0 if found is None else found["requests"]
            if row["requests"] + before * (1 - (row["now"] - start) / expiry) > limit:
                await connection.rollback()
                return False
            await connection.execute(_FORGET, {"start": start - expiry})
            return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        async with self._pool.transaction(self._tenant) as connection:
            rows = await (await connection.execute(_GET, {"seconds": expiry})).fetchall()
        now = rows[0]["now"]
        start = int(now // expiry) * expiry
        counts = {row["start"]: row["requests"] for row in rows if row["start"] is not None}
        left = start + expiry - now
        return counts.get(start - expiry, 0), left, counts.get(start, 0), left + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        await self.clear(key)

    async def clear(self, key: str) -> None:
        async with self._pool.transaction(self._tenant) as connection:
            await connection.execute("DELETE FROM request_windows")

    async def reset(self) -> int | None:
        await self.clear("")
        return None

    async def check(self) -> bool:
        async with self._pool.transaction(self._tenant) as connection:
            await connection.execute("SELECT 1")
        return True

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("fixed windows are not served")

    async def get(self, key: str) -> int:
        raise NotImplementedError("fixed windows are not served")

    async def get_expiry(self, key: str) -> float:
        raise NotImplementedError("fixed windows are not served")


class PostgresRequestRates:
    """The `RequestRates` port. A request more or less, when windows change, is as near as two counters can tell (the
    sliding window counter of `limits`)."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def take(self, tenant: str, per_minute: int, wanted: int) -> int:
        limiter, item = self._limiter(tenant), RateLimitItemPerMinute(per_minute)
        if await limiter.hit(item, tenant, cost=wanted):
            return wanted
        if wanted == 1:
            return 0
        left = min(wanted, (await limiter.get_window_stats(item, tenant)).remaining)
        return left if left and await limiter.hit(item, tenant, cost=left) else 0

    async def room_in_s(self, tenant: str, per_minute: int) -> float:
        if per_minute == 0:
            return float(_MINUTE_S)
        stats = await self._limiter(tenant).get_window_stats(RateLimitItemPerMinute(per_minute), tenant)
        return max(0.0, stats.reset_time - time.time())

    def _limiter(self, tenant: str) -> SlidingWindowCounterRateLimiter:
        return SlidingWindowCounterRateLimiter(TenantWindows(self._pool, tenant))
