from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest

from pinakes.v1 import quota_service_pb2 as wire
from server.application.limit_tenants import FollowQuotas, QuotaOptions
from server.application.look_after_quotas import LookAfterQuotas
from server.application.quota_ports import HeldQuota, HeldQuotaPage
from server.domain.errors import InvalidField, PermissionDenied
from server.domain.permissions import ROLES, Role
from server.domain.principals import Principal
from server.domain.quotas import Quota, TenantQuota, Usage
from server.transport.quota_servicer import quota_from_wire, quota_to_wire

LIMITS = Quota(1, 2, 3, 4, 5)
QUOTA = TenantQuota("acme", Quota(), LIMITS, Usage(6, 7, 8, 9), datetime(2026, 1, 2, tzinfo=UTC))
USER = Principal("acme", "ana", frozenset(), Role.POWER_USER, ROLES[Role.POWER_USER])
OPERATOR = Principal("default", "root", frozenset(), Role.ADMIN, ROLES[Role.ADMIN])


def test_no_field_is_dropped() -> None:
    shown = quota_to_wire(QUOTA)
    assert {field.name for field, _ in shown.ListFields()} == {field.name for field in shown.DESCRIPTOR.fields}
    for message in (shown.in_force, shown.usage):
        assert {field.name for field, _ in message.ListFields()} == {field.name for field in message.DESCRIPTOR.fields}
    assert not shown.own.ListFields()
    assert not quota_to_wire(replace(QUOTA, update_time=None)).HasField("update_time")


@pytest.mark.parametrize("name", [each.name for each in fields(Quota)])
def test_nothing_is_not_no_limit(name: str) -> None:
    assert quota_from_wire(wire.QuotaLimits()) == Quota()
    assert quota_from_wire(wire.QuotaLimits(**{name: 0})) == Quota(**{name: 0})
    assert quota_from_wire(shown := quota_to_wire(QUOTA).in_force) == LIMITS, shown


class _Store:
    """Holds one quota, of whichever tenant is asked for."""

    def __init__(self) -> None:
        self.kept = Quota()

    async def own(self, tenant: str) -> Quota:
        return self.kept

    async def get(self, tenant: str) -> HeldQuota:
        return HeldQuota(tenant, self.kept, Usage())

    async def set(self, tenant: str, quota: Quota) -> HeldQuota:
        self.kept = quota
        return await self.get(tenant)

    async def page(self, size: int, token: str) -> HeldQuotaPage:
        return HeldQuotaPage((await self.get(f"{size}"),), token)


async def test_a_change_holds_at_once_and_other_tenants_are_not_told_of() -> None:
    store = _Store()
    followed = FollowQuotas(store, QuotaOptions(default=Quota(documents=9)))
    quotas = LookAfterQuotas(store, followed, Quota(documents=9))
    assert (await followed.of("acme")).documents == 9
    changed = await quotas.set(OPERATOR, "acme", Quota(bytes=7))
    assert (changed.tenant, changed.own, changed.in_force) == ("acme", Quota(bytes=7), Quota(documents=9, bytes=7))
    assert (await followed.of("acme")).bytes == 7
    assert (await quotas.get(USER, "")).tenant == (await quotas.get(USER, "acme")).tenant == "acme"
    assert (await quotas.get(OPERATOR, "acme")).tenant == "acme"
    with pytest.raises(PermissionDenied):
        await quotas.get(USER, "rival")
    assert (await quotas.page(0, "t")).quotas[0].tenant == "50"
    assert (await quotas.page(9_999, "")).quotas[0].tenant == "500"


@pytest.mark.parametrize(
    ("tenant", "quota", "field"),
    [
        ("acme", Quota(documents=-1), "limits.documents"),
        ("", Quota(bytes=2**63), "limits.bytes"),
        ("\0", Quota(), "tenant"),
    ],
)
async def test_what_is_no_quota_is_refused(tenant: str, quota: Quota, field: str) -> None:
    store = _Store()
    with pytest.raises(InvalidField) as refusal:
        await LookAfterQuotas(store, FollowQuotas(store, QuotaOptions()), Quota()).set(OPERATOR, tenant, quota)
    assert refusal.value.field == field
