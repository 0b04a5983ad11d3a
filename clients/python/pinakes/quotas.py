"""`client.quotas`: what tenants may use, and what they use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pinakes import mapping
from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.options import Deadlines
from pinakes.v1 import quota_service_pb2 as wire
from pinakes.v1.quota_service_pb2_grpc import QuotaServiceStub

if TYPE_CHECKING:
    import grpc


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """None: no limit; or, in what is set for a tenant, what the server's settings say. Days and months are UTC's."""

    documents: int | None = None
    bytes: int | None = None
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    documents: int
    bytes: int
    tokens_today: int
    tokens_this_month: int


@dataclass(frozen=True, slots=True)
class TenantQuota:
    """`own` was set for the tenant, at `update_time` (None: never); `in_force` is what holds."""

    tenant: str
    own: QuotaLimits
    in_force: QuotaLimits
    usage: QuotaUsage
    update_time: datetime | None


@dataclass(frozen=True, slots=True)
class QuotaPage:
    quotas: tuple[TenantQuota, ...]
    next_page_token: str


class AsyncQuotas:
    """`client.quotas`: what tenants may use, and what they use."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = QuotaServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    async def get(self, tenant: str = "", *, timeout_s: float | None = None) -> TenantQuota:
        """A tenant's quota; without a name, of the caller's. Raises PermissionDenied."""
        return await self._calls.unary(
            self._stub.GetQuota, get_quota(tenant), timeout_s or self._deadlines.unary_s, found_quota
        )

    async def set(self, limits: QuotaLimits, tenant: str = "", *, timeout_s: float | None = None) -> TenantQuota:
        """Says anew, as a whole, what a tenant may use; without a name, the caller's. Raises PermissionDenied,
        InvalidField."""
        return await self._calls.unary(
            self._stub.SetQuota, set_quota(limits, tenant), timeout_s or self._deadlines.unary_s, changed_quota
        )

    def list(self, *, page_size: int = 0, timeout_s: float | None = None) -> AsyncIterator[TenantQuota]:
        """All tenants' quotas, by name, fetched page by page; the timeout is for one page. Raises PermissionDenied."""
        return self._calls.pages(
            self._stub.ListQuotas,
            lambda token: list_quotas(page_size, token),
            timeout_s or self._deadlines.unary_s,
            quota_page,
            lambda page: page.quotas,
        )


class Quotas:
    """`client.quotas`: what tenants may use, and what they use."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = QuotaServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def get(self, tenant: str = "", *, timeout_s: float | None = None) -> TenantQuota:
        """A tenant's quota; without a name, of the caller's. Raises PermissionDenied."""
        return self._calls.unary(
            self._stub.GetQuota, get_quota(tenant), timeout_s or self._deadlines.unary_s, found_quota
        )

    def set(self, limits: QuotaLimits, tenant: str = "", *, timeout_s: float | None = None) -> TenantQuota:
        """Says anew, as a whole, what a tenant may use; without a name, the caller's. Raises PermissionDenied,
        InvalidField."""
        return self._calls.unary(
            self._stub.SetQuota, set_quota(limits, tenant), timeout_s or self._deadlines.unary_s, changed_quota
        )

    def list(self, *, page_size: int = 0, timeout_s: float | None = None) -> Iterator[TenantQuota]:
        """All tenants' quotas, by name, fetched page by page; the timeout is for one page. Raises PermissionDenied."""
        return self._calls.pages(
            self._stub.ListQuotas,
            lambda token: list_quotas(page_size, token),
            timeout_s or self._deadlines.unary_s,
            quota_page,
            lambda page: page.quotas,
        )


def get_quota(tenant: str) -> wire.GetQuotaRequest:
    return wire.GetQuotaRequest(tenant=tenant)


def set_quota(limits: QuotaLimits, tenant: str) -> wire.SetQuotaRequest:
    return wire.SetQuotaRequest(
        tenant=tenant,
        limits=wire.QuotaLimits(
            documents=limits.documents,
            bytes=limits.bytes,
            requests_per_minute=limits.requests_per_minute,
            tokens_per_day=limits.tokens_per_day,
            tokens_per_month=limits.tokens_per_month,
        ),
    )


def list_quotas(page_size: int, page_token: str) -> wire.ListQuotasRequest:
    return wire.ListQuotasRequest(page_size=page_size, page_token=page_token)


def found_quota(response: wire.GetQuotaResponse) -> TenantQuota:
    return _quota(response.quota)


def changed_quota(response: wire.SetQuotaResponse) -> TenantQuota:
    return _quota(response.quota)


def quota_page(response: wire.ListQuotasResponse) -> QuotaPage:
    return QuotaPage(tuple(map(_quota, response.quotas)), response.next_page_token)


def _quota(quota: wire.TenantQuota) -> TenantQuota:
    usage = quota.usage
    return TenantQuota(
        quota.tenant,
        _limits(quota.own),
        _limits(quota.in_force),
        QuotaUsage(usage.documents, usage.bytes, usage.tokens_today, usage.tokens_this_month),
        mapping.time(quota.update_time) if quota.HasField("update_time") else None,
    )


def _limits(limits: wire.QuotaLimits) -> QuotaLimits:
    return QuotaLimits(
        limits.documents if limits.HasField("documents") else None,
        limits.bytes if limits.HasField("bytes") else None,
        limits.requests_per_minute if limits.HasField("requests_per_minute") else None,
        limits.tokens_per_day if limits.HasField("tokens_per_day") else None,
        limits.tokens_per_month if limits.HasField("tokens_per_month") else None,
    )
