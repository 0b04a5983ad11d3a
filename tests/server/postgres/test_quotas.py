from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.quotas import PostgresQuotas
from server.adapters.postgres.request_rates import PostgresRequestRates
from server.application.document_ports import NewDocument
from server.application.limit_tenants import FollowQuotas, LimitRequests, MeterTokens, QuotaOptions
from server.domain.errors import InvalidPageToken, QuotaExceeded
from server.domain.principals import Principal
from server.domain.quotas import Quota, Usage
from tests.server.postgres.conftest import ANA, BEN, EVE, Archive, make_chunks


@pytest.fixture
def quotas(pool: PostgresPool) -> PostgresQuotas:
    return PostgresQuotas(pool)


def of_size(archive: Archive, size: int, principal: Principal = ANA, **changes: object) -> NewDocument:
    new = archive.new(principal, **changes)
    return replace(new, blob=replace(new.blob, size_bytes=size))


async def used(quotas: PostgresQuotas, tenant: str = "acme") -> tuple[int, int]:
    usage = (await quotas.get(tenant)).usage
    return usage.documents, usage.bytes


async def test_what_is_used_is_counted_through_the_life_of_a_document(
    quotas: PostgresQuotas, archive: Archive, pool: PostgresPool
) -> None:
    catalog = PostgresDocumentCatalog(pool)
    assert await used(quotas) == (0, 0)
    document, job, _ = await catalog.accept(ANA, of_size(archive, 100))
    assert await used(quotas) == (1, 100)
    # What never was searchable is overwritten; what is, is kept beside what is to replace it.
    job = (await catalog.accept(ANA, of_size(archive, 70, replaced_document_id=document.document_id)))[1]
    assert await used(quotas) == (1, 70)
    await archive.commit(await archive.claim(job.job_id), make_chunks(document, 2))
    assert await used(quotas) == (1, 70)
    job = (await catalog.accept(ANA, of_size(archive, 5, replaced_document_id=document.document_id)))[1]
    assert await used(quotas) == (1, 75)
    await archive.commit(await archive.claim(job.job_id), make_chunks(document, 4)[2:])
    assert await used(quotas) == (1, 5)
    await catalog.accept(ANA, of_size(archive, 9, replaced_document_id=document.document_id))
    await catalog.accept(EVE, of_size(archive, 1_000, EVE))
    assert (await used(quotas), await used(quotas, "rival")) == ((1, 14), (1, 1_000))
    await catalog.delete(ANA, document.document_id)
    await catalog.delete(ANA, document.document_id)
    assert await used(quotas) == (0, 0)


@pytest.mark.parametrize(
    ("quota", "kept", "named"),
    [(Quota(documents=7), 7, "documents"), (Quota(bytes=95), 9, "bytes"), (Quota(documents=0), 0, "documents")],
)
async def test_uploads_at_the_same_time_cannot_exceed_it(
    quotas: PostgresQuotas, archive: Archive, pool: PostgresPool, quota: Quota, kept: int, named: str
) -> None:
    await quotas.set("acme", quota)
    catalog = PostgresDocumentCatalog(pool)
    outcomes = await asyncio.gather(
        *(catalog.accept(ANA if number % 2 else BEN, of_size(archive, 10)) for number in range(50)),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(outcomes) - len(refused) == kept
    for refusal in refused:
        assert isinstance(refusal, QuotaExceeded)
        assert (refusal.quota, refusal.retry_after_s) == (named, None)
    assert await used(quotas) == (kept, kept * 10)
    assert await archive.scalar("SELECT count(*) FROM documents") == kept
    # Another tenant is not held up, and what is deleted makes room.
    await catalog.accept(EVE, of_size(archive, 10, EVE))
    if kept:
        [first, *_] = (await catalog.page(ANA, 1, "", None, ())).documents
        await catalog.delete(Principal("acme", first.access.owner, frozenset()), first.document_id)
        await catalog.accept(ANA, of_size(archive, 10))


async def test_a_replacement_is_no_further_document(
    quotas: PostgresQuotas, archive: Archive, pool: PostgresPool
) -> None:
    catalog = PostgresDocumentCatalog(pool, Quota(documents=1, bytes=150))
    document, _, _ = await catalog.accept(ANA, of_size(archive, 100))
    with pytest.raises(QuotaExceeded, match="documents"):
        await catalog.accept(ANA, of_size(archive, 1))
    await catalog.accept(ANA, of_size(archive, 150, replaced_document_id=document.document_id))
    with pytest.raises(QuotaExceeded, match="bytes"):
        await catalog.accept(ANA, of_size(archive, 151, replaced_document_id=document.document_id))
    assert await used(quotas) == (1, 150)


async def test_what_is_set_is_told_and_what_is_not_is_the_default(quotas: PostgresQuotas) -> None:
    assert (await quotas.get("acme")).own == await quotas.own("acme") == Quota()
    own = Quota(1, 2, 3, 4, 5)
    held = await quotas.set("acme", own)
    assert (held.own, held.usage) == (own, Usage())
    assert held.update_time is not None
    assert await quotas.own("acme") == own
    assert Quota(documents=0).over(own) == Quota(0, 2, 3, 4, 5)
    await quotas.set("acme", Quota())
    assert await quotas.own("acme") == Quota()


async def test_all_tenants_are_listed_by_name_in_pages(quotas: PostgresQuotas) -> None:
    for tenant in ("acme", "rival", "租户"):
        await quotas.set(tenant, Quota(documents=len(tenant)))
    first = await quotas.page(2, "")
    second = await quotas.page(2, first.next_page_token)
    assert [held.tenant for held in (*first.quotas, *second.quotas)] == ["acme", "rival", "租户"]
    assert second.next_page_token == ""
    with pytest.raises(InvalidPageToken):
        await quotas.page(2, "!")


async def test_tokens_that_are_reserved_at_the_same_time_do_not_exceed_it(quotas: PostgresQuotas) -> None:
    quota = Quota(tokens_per_day=100)
    outcomes = await asyncio.gather(*(quotas.reserve("acme", 30, quota) for _ in range(20)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, QuotaExceeded)]
    assert len(refused) == 17
    assert all(0 < (refusal.retry_after_s or 0) <= 86_400 for refusal in refused)
    await quotas.correct("acme", -25)
    usage = (await quotas.get("acme")).usage
    assert (usage.tokens_today, usage.tokens_this_month) == (65, 65)
    with pytest.raises(QuotaExceeded, match="tokens_per_month"):
        await quotas.reserve("acme", 1, Quota(tokens_per_month=65))
    await quotas.reserve("rival", 100, quota)


async def test_what_was_reserved_before_midnight_and_not_written_is_no_room_of_the_next_day(
    quotas: PostgresQuotas,
) -> None:
    """The day has no row yet when the call ends."""
    await quotas.correct("acme", -25)
    assert (await quotas.get("acme")).usage.tokens_today == 0
    with pytest.raises(QuotaExceeded):
        await quotas.reserve("acme", 101, Quota(tokens_per_day=100))


async def test_a_call_counts_what_it_wrote_or_if_it_was_broken_off_what_it_might_have(quotas: PostgresQuotas) -> None:
    await quotas.set("acme", Quota(tokens_per_day=100))
    meter = MeterTokens(FollowQuotas(quotas, QuotaOptions()), quotas)

    async def tokens(tenant: str) -> int:
        return (await quotas.get(tenant)).usage.tokens_today

    async with meter.spending("acme", 60) as spending:
        assert await tokens("acme") == 60
        with pytest.raises(QuotaExceeded):
            async with meter.spending("acme", 60):
                raise AssertionError("begun")
        spending.tokens = 10
    assert await tokens("acme") == 10
    with pytest.raises(ValueError, match="broken off"):
        async with meter.spending("acme", 60):
            raise ValueError("broken off")
    assert await tokens("acme") == 70
    # Without a limit nothing is reserved, and what was written is counted.
    async with meter.spending("rival", 60) as spending:
        assert await tokens("rival") == 0
        spending.tokens = 7
    assert await tokens("rival") == 7


async def test_servers_share_a_rate(pool: PostgresPool, quotas: PostgresQuotas) -> None:
    await quotas.set("acme", Quota(requests_per_minute=90))
    servers = [
        LimitRequests(FollowQuotas(quotas, QuotaOptions()), PostgresRequestRates(pool), QuotaOptions(slice_of_minute=9))
        for _ in range(3)
    ]
    outcomes = await asyncio.gather(
        *(servers[number % 3].spend("acme") for number in range(240)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, QuotaExceeded)]
    # What a server has left of its last slice, nobody else may spend.
    assert 90 - 3 * 10 <= len(outcomes) - len(refused) <= 90
    assert all(isinstance(outcome, QuotaExceeded) or outcome is None for outcome in outcomes)
    assert all(0 < (refusal.retry_after_s or 0) <= 60 for refusal in refused)
    for _ in range(5):
        await servers[0].spend("rival")


async def test_of_a_tenant_without_a_limit_no_request_is_counted(pool: PostgresPool, archive: Archive) -> None:
    limits = LimitRequests(
        FollowQuotas(PostgresQuotas(pool), QuotaOptions()), PostgresRequestRates(pool), QuotaOptions()
    )
    for _ in range(10):
        await limits.spend("acme")
    assert await archive.scalar("SELECT count(*) FROM request_windows") == 0


async def test_windows_slide(pool: PostgresPool) -> None:
    """The minute before counts as far as it reaches into the last 60 seconds."""
    rates = PostgresRequestRates(pool)
    async with pool.transaction("acme") as connection:
        await connection.execute(
            """INSERT INTO request_windows (tenant, start, requests)
               SELECT 'acme', floor(extract(epoch FROM now()) / 60)::bigint * 60 - 60 * back, 600
               FROM unnest(ARRAY[1, 2]) AS back"""
        )
    assert await rates.take("acme", 1_200, 600) == 600
    # Of the 600 of the minute before, all may have run out by now.
    assert await rates.take("acme", 1_200, 1_200) <= 600
    async with pool.transaction("acme") as connection:
        row = await (await connection.execute("SELECT count(*) AS windows FROM request_windows")).fetchone()
    assert row is not None and row["windows"] <= 2


async def test_a_rate_of_nothing_lets_nothing_through(pool: PostgresPool, quotas: PostgresQuotas) -> None:
    await quotas.set("acme", Quota(requests_per_minute=0))
    limits = LimitRequests(FollowQuotas(quotas, QuotaOptions()), PostgresRequestRates(pool), QuotaOptions())
    with pytest.raises(QuotaExceeded):
        await limits.spend("acme")
