"""Whose turn it is: counted, not timed."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.adapters.postgres.job_ledger import PostgresJobLedger
from server.adapters.postgres.pool import PostgresPool
from server.domain.documents import Failure, Job, Lease, Priority
from server.domain.principals import Principal
from tests.server.postgres.conftest import Archive

FAILURE = Failure("DependencyUnavailable", "the model does not answer")


@pytest.fixture
def ledger(pool: PostgresPool) -> PostgresJobLedger:
    return PostgresJobLedger(pool)


async def accept(archive: Archive, tenant: str, priority: Priority = Priority.INTERACTIVE) -> Job:
    _, job = await archive.accept(Principal(tenant, "ana", frozenset()), priority=priority)
    return job


async def claim(ledger: PostgresJobLedger) -> Lease | None:
    return await ledger.claim_next("worker", 60.0)


async def work_off(ledger: PostgresJobLedger, archive: Archive, jobs: int) -> list[Lease]:
    """Claims and finishes so many jobs, one after another."""
    done = []
    for _ in range(jobs):
        lease = await claim(ledger)
        assert lease is not None
        await archive.commit(lease, [])
        done.append(lease)
    return done


async def test_jobs_of_one_tenant_come_as_they_fell_due(ledger: PostgresJobLedger, archive: Archive) -> None:
    jobs = [(await accept(archive, "acme")).job_id for _ in range(5)]
    assert [lease.job.job_id for lease in await work_off(ledger, archive, 5)] == jobs
    assert await claim(ledger) is None


async def test_what_somebody_waits_for_comes_before_bulk_and_bulk_is_not_starved(
    ledger: PostgresJobLedger, archive: Archive
) -> None:
    for _ in range(4):
        await accept(archive, "acme", Priority.BULK)
    for _ in range(9):
        await accept(archive, "acme")
    order = [lease.job.priority is Priority.BULK for lease in await work_off(ledger, archive, 13)]
    assert order == [False] * 3 + [True] + [False] * 3 + [True] + [False] * 3 + [True] * 2


async def test_a_tenant_of_one_document_waits_for_no_other_tenants_backlog(
    ledger: PostgresJobLedger, archive: Archive
) -> None:
    for _ in range(20):
        await accept(archive, "large")
    await work_off(ledger, archive, 2)
    await accept(archive, "small")
    assert "small" in [lease.document.tenant for lease in await work_off(ledger, archive, 2)]


async def test_a_tenant_whose_jobs_take_long_gets_no_more_places(ledger: PostgresJobLedger, archive: Archive) -> None:
    for _ in range(5):
        await accept(archive, "slow")
        await accept(archive, "quick")
    places = [await claim(ledger), await claim(ledger)]
    assert sorted(lease.document.tenant for lease in places if lease) == ["quick", "slow"]
    await archive.commit(next(lease for lease in places if lease and lease.document.tenant == "quick"), [])
    # The slow one's job goes on: as long as the quick one has any, it gets no second place.
    assert [lease.document.tenant for lease in await work_off(ledger, archive, 5)] == ["quick"] * 4 + ["slow"]


several = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@several
@given(backlog=st.lists(st.sampled_from("abc"), min_size=1, max_size=20))
async def test_tenants_take_turns(ledger: PostgresJobLedger, archive: Archive, backlog: list[str]) -> None:
    for tenant in backlog:
        await accept(archive, tenant)
    left = Counter(backlog)
    turns: list[str] = []
    for lease in await work_off(ledger, archive, len(backlog)):
        tenant = lease.document.tenant
        for other in left.keys() - {tenant}:
            between = turns[len(turns) - turns[::-1].index(tenant) :] if tenant in turns else [other]
            assert left[other] == 0 or other in between, "nobody has two turns while another one waits for its next"
        turns.append(tenant)
        left[tenant] -= 1
    assert left.total() == 0 and await claim(ledger) is None


@several
@given(backlog=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Priority)), min_size=1, max_size=20))
async def test_no_bulk_job_waits_for_more_than_three_others(
    ledger: PostgresJobLedger, archive: Archive, backlog: list[tuple[str, Priority]]
) -> None:
    for tenant, priority in backlog:
        await accept(archive, tenant, priority)
    order = [lease.job.priority for lease in await work_off(ledger, archive, len(backlog))]
    assert Counter(order) == Counter(priority for _, priority in backlog)
    last_bulk = max((place for place, priority in enumerate(order) if priority is Priority.BULK), default=0)
    runs = "".join("b" if priority is Priority.BULK else "i" for priority in order[:last_bulk])
    assert "iiii" not in runs


async def test_parallel_claims_take_each_job_once(ledger: PostgresJobLedger, archive: Archive) -> None:
    jobs = {(await accept(archive, f"tenant {number % 3}")).job_id for number in range(12)}
    claims = await asyncio.gather(*(claim(ledger) for _ in range(16)))
    assert sorted(lease.job.job_id for lease in claims if lease) == sorted(jobs)


async def test_what_is_not_due_is_left(ledger: PostgresJobLedger, archive: Archive) -> None:
    waiting = await accept(archive, "acme")
    await ledger.release(await archive.claim(waiting.job_id), FAILURE, 60.0)
    due = await accept(archive, "zeta")
    lease = await claim(ledger)
    assert lease is not None and lease.job.job_id == due.job_id
    assert await claim(ledger) is None


async def test_what_a_dead_worker_had_begun_comes_first(ledger: PostgresJobLedger, archive: Archive) -> None:
    abandoned = await accept(archive, "acme", Priority.BULK)
    await archive.claim(abandoned.job_id, lease_s=0.0)
    await accept(archive, "acme")
    lease = await claim(ledger)
    assert lease is not None and (lease.job.job_id, lease.job.attempt) == (abandoned.job_id, 2)
