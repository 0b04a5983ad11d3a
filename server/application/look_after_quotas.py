"""Tells what tenants may use, and changes it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from server.application.limit_tenants import FollowQuotas
from server.application.list_documents import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from server.application.quota_ports import HeldQuota, QuotaStore
from server.application.upload_document import check_text
from server.domain.errors import InvalidField, PermissionDenied
from server.domain.permissions import Permission
from server.domain.principals import Principal
from server.domain.quotas import Quota, TenantQuota

_LONGEST_TENANT = 200
_GREATEST = 2**62


@dataclass(frozen=True, slots=True)
class QuotaPage:
    quotas: tuple[TenantQuota, ...]
    next_page_token: str


class LookAfterQuotas:
    """Whether the caller may change quotas was looked at before."""

    def __init__(self, store: QuotaStore, followed: FollowQuotas, default: Quota) -> None:
        self._store = store
        self._followed = followed
        self._default = default

    async def get(self, principal: Principal, tenant: str) -> TenantQuota:
        """Without a `tenant`: of the principal's. Raises InvalidField, PermissionDenied."""
        if tenant and tenant != principal.tenant and Permission.QUOTAS_MANAGE not in principal.permissions:
            needed = Permission.QUOTAS_MANAGE.value
            raise PermissionDenied(f"another tenant's quota needs the permission {needed}", needed)
        return self._shown(await self._store.get(_checked(principal, tenant)))

    async def set(self, principal: Principal, tenant: str, quota: Quota) -> TenantQuota:
        """Raises InvalidField."""
        for each in fields(quota):
            limit = getattr(quota, each.name)
            if limit is not None and not 0 <= limit <= _GREATEST:
                raise InvalidField(f"limits.{each.name}", f"must lie between 0 and {_GREATEST:,}")
        held = await self._store.set(_checked(principal, tenant), quota)
        self._followed.forget(held.tenant)
        return self._shown(held)

    async def page(self, size: int, token: str) -> QuotaPage:
        """By the tenants' names. Raises InvalidField, InvalidPageToken."""
        if size < 0:
            raise InvalidField("page_size", "must not be negative")
        page = await self._store.page(min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE), token)
        return QuotaPage(tuple(map(self._shown, page.quotas)), page.next_page_token)

    def _shown(self, held: HeldQuota) -> TenantQuota:
        return TenantQuota(held.tenant, held.own, held.own.over(self._default), held.usage, held.update_time)


def _checked(principal: Principal, tenant: str) -> str:
    if tenant:
        check_text("tenant", tenant, _LONGEST_TENANT)
    return tenant or principal.tenant
