# ruff: noqa: N802 - methods are named by the contract
"""QuotaService on the wire."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import quota_service_pb2 as wire
from pinakes.v1 import quota_service_pb2_grpc
from server.application.look_after_quotas import LookAfterQuotas
from server.domain.quotas import Quota, TenantQuota
from server.transport.identity import Identity
from server.transport.mapping import timestamp_to_wire

Context = ServicerContext[Any, Any]


class QuotaServicer(quota_service_pb2_grpc.QuotaServiceServicer):
    def __init__(self, identity: Identity, quotas: LookAfterQuotas) -> None:
        self._identity = identity
        self._quotas = quotas

    async def GetQuota(self, request: wire.GetQuotaRequest, context: Context) -> wire.GetQuotaResponse:
        quota = await self._quotas.get(self._identity.principal(context), request.tenant)
        return wire.GetQuotaResponse(quota=quota_to_wire(quota))

    async def SetQuota(self, request: wire.SetQuotaRequest, context: Context) -> wire.SetQuotaResponse:
        limits = quota_from_wire(request.limits)
        quota = await self._quotas.set(self._identity.principal(context), request.tenant, limits)
        return wire.SetQuotaResponse(quota=quota_to_wire(quota))

    async def ListQuotas(self, request: wire.ListQuotasRequest, context: Context) -> wire.ListQuotasResponse:
        page = await self._quotas.page(request.page_size, request.page_token)
        return wire.ListQuotasResponse(quotas=map(quota_to_wire, page.quotas), next_page_token=page.next_page_token)


def quota_from_wire(limits: wire.QuotaLimits) -> Quota:
    names = (each.name for each in fields(Quota))
    return Quota(**{name: getattr(limits, name) for name in names if limits.HasField(name)})  # type: ignore[arg-type]


def quota_to_wire(quota: TenantQuota) -> wire.TenantQuota:
    usage = quota.usage
    return wire.TenantQuota(
        tenant=quota.tenant,
        own=_limits(quota.own),
        in_force=_limits(quota.in_force),
        usage=wire.QuotaUsage(
            documents=usage.documents,
            bytes=usage.bytes,
            tokens_today=usage.tokens_today,
            tokens_this_month=usage.tokens_this_month,
        ),
        update_time=None if quota.update_time is None else timestamp_to_wire(quota.update_time),
    )


def _limits(quota: Quota) -> wire.QuotaLimits:
    return wire.QuotaLimits(
        documents=quota.documents,
        bytes=quota.bytes,
        requests_per_minute=quota.requests_per_minute,
        tokens_per_day=quota.tokens_per_day,
        tokens_per_month=quota.tokens_per_month,
    )
