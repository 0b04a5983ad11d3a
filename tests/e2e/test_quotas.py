"""Quotas as callers meet them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from pinakes import AsyncClient, ClientOptions, DocumentAcl, RetryPolicy, errors
from pinakes.quotas import QuotaLimits
from tests.whole_stack import WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models]


@pytest.fixture
async def admin(stack: WholeStack) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(stack.endpoints.server, api_key=(stack.data / "admin.key").read_text().strip()) as opened:
        yield opened


async def test_a_tenant_is_kept_within_its_quota_and_told_which(stack: WholeStack, admin: AsyncClient) -> None:
    tenant = f"limited-{uuid.uuid4().hex[:8]}"
    scopes = ("documents:read", "documents:write", "documents:share", "answers:ask", "quotas:read")
    made = await admin.auth.create_key("robot", scopes, tenant=tenant)
    patient = ClientOptions(retry=RetryPolicy(attempts=1))
    async with AsyncClient(stack.endpoints.server, api_key=made.secret, options=patient) as client:
        quota = await admin.quotas.set(QuotaLimits(documents=1, tokens_per_day=0), tenant)
        assert (quota.own, quota.in_force.bytes) == (QuotaLimits(documents=1, tokens_per_day=0), None)
        with pytest.raises(errors.PermissionDenied):
            await client.quotas.set(QuotaLimits())
        with pytest.raises(errors.PermissionDenied):
            await client.quotas.get("default")
        upload = await client.documents.upload(b"The ferry Nereid carries 90 passengers.", name="nereid.md")
        with pytest.raises(errors.QuotaExceeded) as refusal:
            await client.documents.upload(b"The ferry Galatea carries 80 passengers.", name="galatea.md")
        assert (refusal.value.quota, refusal.value.retry_after_s) == ("documents", None)
        with pytest.raises(errors.QuotaExceeded) as refusal:
            await client.answer_text("How many passengers does the Nereid carry?")
        assert refusal.value.quota == "tokens_per_day" and 0 < (refusal.value.retry_after_s or 0) <= 86_400
        shared = await client.documents.share(upload.document.document_id, DocumentAcl(users=("ben",)))
        assert shared.document.acl is not None and shared.document.acl.users == ("ben",)
        assert (await client.quotas.get()).usage.documents == 1
        await admin.quotas.set(QuotaLimits(requests_per_minute=3), tenant)
        refused = None
        for _ in range(5):
            try:
                await client.documents.get(upload.document.document_id)
            except errors.QuotaExceeded as error:
                refused = error
        assert refused is not None and refused.quota == "requests_per_minute" and (refused.retry_after_s or 0) > 0
    # Nobody else is held up by it.
    assert tenant in [each.tenant async for each in admin.quotas.list(page_size=500)]
