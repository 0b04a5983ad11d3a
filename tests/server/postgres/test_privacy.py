"""Policies of tenants, and what is kept of masked and sensitive text."""

from __future__ import annotations

from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.privacy_policies import PostgresPrivacyPolicies
from server.domain.privacy import PiiKind, PrivacyAction, PrivacyPolicy


async def test_a_policy_is_changed_kind_by_kind_and_version_by_version(pool: PostgresPool) -> None:
    policies = PostgresPrivacyPolicies(pool)
    assert await policies.get("acme") == PrivacyPolicy()
    first = await policies.change("acme", {PiiKind.EMAIL: PrivacyAction.BLOCK, PiiKind.PHONE: PrivacyAction.OFF}, "ana")
    assert (first.version, first.actions, first.updated_by) == (1, {PiiKind.EMAIL: PrivacyAction.BLOCK}, "ana")
    second = await policies.change(
        "acme", {PiiKind.PHONE: PrivacyAction.MASK_IN_ANSWERS, PiiKind.EMAIL: PrivacyAction.OFF}, "bo"
    )
    assert (second.version, second.actions) == (2, {PiiKind.PHONE: PrivacyAction.MASK_IN_ANSWERS})
    assert await policies.get("acme") == second
    assert await policies.get("other") == PrivacyPolicy()
