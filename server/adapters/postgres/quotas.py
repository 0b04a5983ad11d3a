"""What tenants may use, and what they use."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from server.adapters.postgres.pool import PostgresPool
from server.application.quota_ports import HeldQuota, HeldQuotaPage
from server.domain.errors import InvalidPageToken, QuotaExceeded
from server.domain.quotas import Quota, Usage

_LIMITS = "documents, bytes, requests_per_minute, tokens_per_day, tokens_per_month"
_OWN = f"SELECT {_LIMITS} FROM quotas WHERE tenant = %(tenant)s"
_SET = """
    INSERT INTO quotas (tenant, documents, bytes, requests_per_minute, tokens_per_day, tokens_per_month)
    VALUES (%(tenant)s, %(documents)s, %(bytes)s, %(requests_per_minute)s, %(tokens_per_day)s, %(tokens_per_month)s)
    ON CONFLICT (tenant) DO UPDATE
    SET documents = EXCLUDED.documents, bytes = EXCLUDED.bytes, requests_per_minute = EXCLUDED.requests_per_minute,
        tokens_per_day = EXCLUDED.tokens_per_day, tokens_per_month = EXCLUDED.tokens_per_month, update_time = now()
"""
_HELD = """
    SELECT t.tenant, q.documents, q.bytes, q.requests_per_minute, q.tokens_per_day, q.tokens_per_month, q.update_time,
           coalesce(u.documents, 0) AS used_documents, coalesce(u.bytes, 0) AS used_bytes,
           coalesce(tokens.today, 0)::bigint AS today, coalesce(tokens.month, 0)::bigint AS month
    FROM {tenants} t
    LEFT JOIN quotas q USING (tenant)
    LEFT JOIN tenant_usage u USING (tenant)
    LEFT JOIN LATERAL (
        SELECT sum(tokens) AS month, sum(tokens) FILTER (WHERE day = (now() AT TIME ZONE 'UTC')::date) AS today
        FROM token_usage
        WHERE tenant = t.tenant AND day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date
    ) tokens ON true
"""
_ONE = _HELD.format(tenants="(SELECT %(tenant)s::text AS tenant)")
_PAGE = _HELD.format(tenants="tenants") + " WHERE t.tenant > %(after)s ORDER BY t.tenant LIMIT %(limit)s"
# The row of the day is locked until the transaction ends, and a month's days are added under it. What turns out to be
# less after midnight is not given back: it was reserved of the day before.
_COUNT = """
    INSERT INTO token_usage AS held (tenant, day, tokens)
    VALUES (%(tenant)s, (now() AT TIME ZONE 'UTC')::date, greatest(0, %(tokens)s))
    ON CONFLICT (tenant, day) DO UPDATE SET tokens = greatest(0, held.tokens + %(tokens)s)
    RETURNING tokens
"""
_MONTH = """
    SELECT sum(tokens)::bigint AS tokens,
           extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day'
                              - (now() AT TIME ZONE 'UTC'))::double precision AS day_ends_in_s,
           extract(epoch FROM date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month'
                              - (now() AT TIME ZONE 'UTC'))::double precision AS month_ends_in_s
    FROM token_usage WHERE tenant = %(tenant)s AND day >= date_trunc('month', now() AT TIME ZONE 'UTC')::date
"""


class PostgresQuotas:
    """The ports `QuotaStore` and `TokenLedger`."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def own(self, tenant: str) -> Quota:
        async with self._pool.transaction(tenant) as connection:
            row = await (await connection.execute(_OWN, {"tenant": tenant})).fetchone()
        return Quota() if row is None else Quota(**row)

    async def get(self, tenant: str) -> HeldQuota:
        async with self._pool.transaction(tenant) as connection:
            row = await (await connection.execute(_ONE, {"tenant": tenant})).fetchone()
        assert row is not None, "of one row"
        return _held(row)

    async def set(self, tenant: str, quota: Quota) -> HeldQuota:
        values = {
            "tenant": tenant,
            "documents": quota.documents,
            "bytes": quota.bytes,
            "requests_per_minute": quota.requests_per_minute,
            "tokens_per_day": quota.tokens_per_day,
            "tokens_per_month": quota.tokens_per_month,
        }
        async with self._pool.transaction(tenant) as connection:
            await connection.execute("INSERT INTO tenants (tenant) VALUES (%(tenant)s) ON CONFLICT DO NOTHING", values)
            await connection.execute(_SET, values)
        return await self.get(tenant)

    async def page(self, size: int, token: str) -> HeldQuotaPage:
        parameters = {"after": _place_of(token), "limit": size + 1}
        async with self._pool.spanning() as connection:
            rows = await (await connection.execute(_PAGE, parameters)).fetchall()
        following = _token_of(rows[size - 1]["tenant"]) if len(rows) > size else ""
        return HeldQuotaPage(tuple(map(_held, rows[:size])), following)

    async def reserve(self, tenant: str, tokens: int, quota: Quota) -> None:
        parameters = {"tenant": tenant, "tokens": tokens}
        async with self._pool.transaction(tenant, flushed=False) as connection:
            day = await (await connection.execute(_COUNT, parameters)).fetchone()
            month = await (await connection.execute(_MONTH, parameters)).fetchone()
            assert day is not None and month is not None, "an upsert returns its row, and is in the sum"
            if quota.tokens_per_month is not None and month["tokens"] > quota.tokens_per_month:
                raise QuotaExceeded("tokens_per_month", quota.tokens_per_month, month["month_ends_in_s"])
            if quota.tokens_per_day is not None and day["tokens"] > quota.tokens_per_day:
                raise QuotaExceeded("tokens_per_day", quota.tokens_per_day, month["day_ends_in_s"])

    async def correct(self, tenant: str, tokens: int) -> None:
        async with self._pool.transaction(tenant, flushed=False) as connection:
            await connection.execute(_COUNT, {"tenant": tenant, "tokens": tokens})


def _held(row: Mapping[str, Any]) -> HeldQuota:
    return HeldQuota(
        tenant=row["tenant"],
        own=Quota(
            row["documents"], row["bytes"], row["requests_per_minute"], row["tokens_per_day"], row["tokens_per_month"]
        ),
        usage=Usage(row["used_documents"], row["used_bytes"], row["today"], row["month"]),
        update_time=row["update_time"],
    )


def _token_of(tenant: str) -> str:
    return base64.urlsafe_b64encode(tenant.encode()).decode()


def _place_of(token: str) -> str:
    try:
        return base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
    except ValueError as exc:
        raise InvalidPageToken from exc
