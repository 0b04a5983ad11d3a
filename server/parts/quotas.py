"""What keeps tenants within their quotas."""

from __future__ import annotations

from dataclasses import dataclass

from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.quotas import PostgresQuotas
from server.adapters.postgres.request_rates import PostgresRequestRates
from server.application.limit_tenants import FollowQuotas, LimitRequests, MeterTokens, QuotaOptions
from server.application.look_after_quotas import LookAfterQuotas
from server.transport.identity import Identity
from server.transport.quota_servicer import QuotaServicer


@dataclass(frozen=True, slots=True)
class QuotaParts:
    """`requests` stands before every call, `meter` before whatever generates."""

    requests: LimitRequests
    meter: MeterTokens
    servicer: QuotaServicer


def quota_parts(identity: Identity, pool: PostgresPool, options: QuotaOptions) -> QuotaParts:
    store = PostgresQuotas(pool)
    followed = FollowQuotas(store, options)
    return QuotaParts(
        LimitRequests(followed, PostgresRequestRates(pool), options),
        MeterTokens(followed, store),
        QuotaServicer(identity, LookAfterQuotas(store, followed, options.default)),
    )
