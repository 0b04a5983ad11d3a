"""Leases, attempts, the outbox, and what becomes of abandoned work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.job_ledger import PostgresJobLedger
from server.adapters.postgres.outbox import PostgresOutbox
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.stage_results import PostgresStageResults
from server.application.job_ports import Busy, Delivery
from server.domain.documents import DocumentState, Failure, JobState, Lease, Stage
from server.domain.errors import DependencyUnavailable, JobCancelled, LeaseLost
from tests.server.postgres.conftest import ANA, Archive, make_chunks

FAILURE = Failure("DependencyUnavailable", "the model does not answer")


class Publications:
    """A queue that remembers, and refuses the first `failures` publications."""

    def __init__(self, failures: int = 0) -> None:
        self.published: list[tuple[str, str]] = []
        self._failures = failures

    async def publish(self, tenant: str, job_id: str, dedup_key: str) -> None:
        if self._failures:
            self._failures -= 1
            raise DependencyUnavailable("the queue", "it is down")
        self.published.append((job_id, dedup_key))

    async def fetch(self, timeout_s: float) -> Delivery | None:
        raise NotImplementedError


@pytest.fixture
def ledger(pool: PostgresPool) -> PostgresJobLedger:
    return PostgresJobLedger(pool)


@pytest.fixture
def outbox(pool: PostgresPool) -> PostgresOutbox:
    return PostgresOutbox(pool)


async def test_of_parallel_claims_one_succeeds(ledger: PostgresJobLedger, archive: Archive) -> None:
    _, job = await archive.accept()
    claims = await asyncio.gather(*(ledger.claim(job.job_id, f"worker-{i}", 60.0) for i in range(20)))
    assert len([claim for claim in claims if isinstance(claim, Lease)]) == 1
    # A second more: those that began before the one that succeeded have an older clock.
    assert all(0 < claim.retry_in_s <= 61 for claim in claims if isinstance(claim, Busy))


async def test_an_expired_lease_is_taken_over_with_a_greater_token(ledger: PostgresJobLedger, archive: Archive) -> None:
    _, job = await archive.accept()
    first = await archive.claim(job.job_id, lease_s=0.0)
    second = await archive.claim(job.job_id)
    assert second.token > first.token
    assert (first.job.attempt, second.job.attempt) == (1, 2)


async def test_there_is_nothing_to_claim_of_a_terminal_or_unknown_job(
    ledger: PostgresJobLedger, archive: Archive
) -> None:
    document, job = await archive.accept()
    await PostgresDocumentCatalog(archive.pool).delete(ANA, document.document_id)
    assert await ledger.claim(job.job_id, "w", 60.0) is None
    assert await ledger.claim("0190163d-8694-739b-aea5-966c26f8ad91", "w", 60.0) is None
    assert await ledger.claim("no id", "w", 60.0) is None


WRITES: list[Callable[[Archive, Lease], Awaitable[object]]] = [
    lambda archive, lease: PostgresJobLedger(archive.pool).extend(lease, 60.0),
    lambda archive, lease: PostgresJobLedger(archive.pool).progress(lease, Stage.EXTRACT, 1, 2),
    lambda archive, lease: PostgresJobLedger(archive.pool).release(lease, FAILURE, 1.0),
    lambda archive, lease: PostgresJobLedger(archive.pool).release(lease, FAILURE, None),
    lambda archive, lease: PostgresJobLedger(archive.pool).hand_back(lease),
    lambda archive, lease: PostgresStageResults(archive.pool).load(lease, Stage.EXTRACT),
    lambda archive, lease: PostgresStageResults(archive.pool).save(lease, Stage.EXTRACT, "hash", b"late"),
    lambda archive, lease: archive.commit(lease, make_chunks(lease.document, 2)),
]


@pytest.mark.parametrize("write", WRITES)
async def test_a_late_worker_writes_nothing(
    archive: Archive, write: Callable[[Archive, Lease], Awaitable[object]]
) -> None:
    _, job = await archive.accept()
    late = await archive.claim(job.job_id, lease_s=0.0)
    current = await archive.claim(job.job_id)
    before = await archive.scalar("SELECT j::text || d::text FROM jobs j JOIN documents d USING (document_id)")
    with pytest.raises(LeaseLost):
        await write(archive, late)
    after = await archive.scalar("SELECT j::text || d::text FROM jobs j JOIN documents d USING (document_id)")
    assert after == before
    assert await archive.scalar("SELECT count(*) FROM stage_results") == 0
    assert await archive.scalar("SELECT count(*) FROM chunks") == 0
    await write(archive, current)


@pytest.mark.parametrize("write", WRITES)
async def test_a_worker_learns_of_the_deletion(
    archive: Archive, write: Callable[[Archive, Lease], Awaitable[object]]
) -> None:
    document, job = await archive.accept()
    lease = await archive.claim(job.job_id)
    await PostgresDocumentCatalog(archive.pool).delete(ANA, document.document_id)
    with pytest.raises(JobCancelled):
        await write(archive, lease)
    assert await archive.scalar("SELECT count(*) FROM chunks") == 0


async def test_an_expired_lease_that_nobody_took_over_still_holds(archive: Archive) -> None:
    _, job = await archive.accept()
    lease = await archive.claim(job.job_id, lease_s=0.0)
    assert await archive.commit(lease, make_chunks(lease.document, 1)) == 1


async def test_a_released_job_waits_for_its_time(
    ledger: PostgresJobLedger, outbox: PostgresOutbox, archive: Archive
) -> None:
    _, job = await archive.accept()
    queue = Publications()
    assert await outbox.relay(queue, 10) == 1
    await ledger.release(await archive.claim(job.job_id), FAILURE, 30.0)
    assert await outbox.relay(queue, 10) == 0
    waiting = await ledger.claim(job.job_id, "w", 60.0)
    assert isinstance(waiting, Busy) and 0 < waiting.retry_in_s <= 30
    await archive.scalar("UPDATE jobs SET due_time = now() RETURNING 1")
    await archive.scalar("UPDATE outbox SET due_time = now() RETURNING 1")
    assert await outbox.relay(queue, 10) == 1
    assert [job_id for job_id, _ in queue.published] == [job.job_id] * 2
    assert len({key for _, key in queue.published}) == 2, "a later publication is no repeat of the first"
    assert (await archive.claim(job.job_id)).job.attempt == 2


async def test_an_outage_counts_no_attempt_but_is_timed_until_progress(
    ledger: PostgresJobLedger, archive: Archive
) -> None:
    _, job = await archive.accept()
    for _ in range(5):
        lease = await archive.claim(job.job_id)
        assert lease.job.attempt == 1
        await ledger.release(lease, FAILURE, 0.0, counted=False)
    await archive.scalar("UPDATE jobs SET stalled_since = now() - interval '1 hour' RETURNING 1")
    lease = await archive.claim(job.job_id)
    assert lease.stalled_s >= 3600
    await PostgresStageResults(archive.pool).save(lease, Stage.EXTRACT, "hash", b"a page")
    await ledger.release(lease, FAILURE, 0.0, counted=False)
    assert (await archive.claim(job.job_id)).stalled_s < 3600


async def test_a_job_handed_back_is_as_if_not_begun(
    ledger: PostgresJobLedger, outbox: PostgresOutbox, archive: Archive
) -> None:
    _, job = await archive.accept()
    queue = Publications()
    await outbox.relay(queue, 10)
    lease = await archive.claim(job.job_id)
    await ledger.hand_back(lease)
    assert await outbox.relay(queue, 10) == 1
    again = await archive.claim(job.job_id)
    assert (again.job.attempt, again.stalled_s, again.blob_key) == (1, 0.0, lease.blob_key)


async def save(archive: Archive, lease: Lease, inputs: str) -> None:
    await PostgresStageResults(archive.pool).save(lease, Stage.EXTRACT, inputs, b"a page")


async def test_an_attempt_that_got_on_before_its_worker_died_is_not_counted(archive: Archive) -> None:
    _, job = await archive.accept()
    for page in range(5):
        lease = await archive.claim(job.job_id, lease_s=0.0)
        assert lease.job.attempt == 1
        await save(archive, lease, f"page {page}")
    attempts = []
    for _ in range(3):  # it gets no further
        lease = await archive.claim(job.job_id, lease_s=0.0)
        await save(archive, lease, "page 4")
        attempts.append(lease.job.attempt)
    assert attempts == [1, 2, 3]


async def test_even_attempts_that_get_on_are_counted_some_day(archive: Archive) -> None:
    _, job = await archive.accept()
    attempts = []
    for page in range(25):
        lease = await archive.claim(job.job_id, lease_s=0.0)
        await save(archive, lease, f"page {page}")
        attempts.append(lease.job.attempt)
    assert attempts == [1] * 21 + [2, 3, 4, 5]


async def test_progress_before_a_failure_spares_no_later_attempt(ledger: PostgresJobLedger, archive: Archive) -> None:
    _, job = await archive.accept()
    lease = await archive.claim(job.job_id)
    await save(archive, lease, "page 1")
    await ledger.release(lease, FAILURE, 0.0)
    assert (await archive.claim(job.job_id, lease_s=0.0)).job.attempt == 2
    assert (await archive.claim(job.job_id)).job.attempt == 3


async def test_a_spared_attempt_handed_back_is_as_if_not_begun(ledger: PostgresJobLedger, archive: Archive) -> None:
    _, job = await archive.accept()
    await save(archive, await archive.claim(job.job_id, lease_s=0.0), "page 1")
    spared = await archive.claim(job.job_id)
    await ledger.hand_back(spared)
    assert (spared.job.attempt, (await archive.claim(job.job_id)).job.attempt) == (1, 1)


async def test_giving_up_ends_job_and_document(ledger: PostgresJobLedger, archive: Archive) -> None:
    catalog = PostgresDocumentCatalog(archive.pool)
    document, job = await archive.accept()
    await ledger.release(await archive.claim(job.job_id), FAILURE, None)
    failed = await catalog.get(ANA, document.document_id)
    assert (failed.state, failed.failure) == (DocumentState.FAILED, FAILURE)
    ended = await catalog.job(ANA, job.job_id)
    assert (ended.state, ended.failure) == (JobState.FAILED, FAILURE)
    await catalog.delete(ANA, document.document_id)


async def test_progress_is_seen_by_callers(ledger: PostgresJobLedger, archive: Archive) -> None:
    catalog = PostgresDocumentCatalog(archive.pool)
    document, job = await archive.accept()
    await ledger.progress(await archive.claim(job.job_id), Stage.EXTRACT, 3, 7)
    seen = await catalog.job(ANA, job.job_id)
    assert (seen.state, seen.stage, seen.pages_done, seen.pages_total) == (JobState.RUNNING, Stage.EXTRACT, 3, 7)
    assert (await catalog.get(ANA, document.document_id)).page_count == 7


async def test_stage_results_are_kept_by_their_inputs(archive: Archive) -> None:
    results = PostgresStageResults(archive.pool)
    _, job = await archive.accept()
    lease = await archive.claim(job.job_id)
    await results.save(lease, Stage.EXTRACT, "a", b"one")
    await results.save(lease, Stage.EXTRACT, "b", b"two")
    await results.save(lease, Stage.EXTRACT, "b", b"two again")
    await results.save(lease, Stage.EMBED, "a", b"three")
    assert await results.load(lease, Stage.EXTRACT) == {"a": b"one", "b": b"two again"}
    await archive.commit(lease, make_chunks(lease.document, 1))
    assert await archive.scalar("SELECT array_agg(DISTINCT stage) FROM stage_results") == ["extract"]


async def test_parallel_relays_publish_each_entry_once(outbox: PostgresOutbox, archive: Archive) -> None:
    jobs = {(await archive.accept())[1].job_id for _ in range(20)}
    queue = Publications()
    counts = await asyncio.gather(*(outbox.relay(queue, 7) for _ in range(4)))
    while await outbox.relay(queue, 7):
        pass
    assert sum(counts) <= 20
    assert sorted(job_id for job_id, _ in queue.published) == sorted(jobs)


async def test_what_the_queue_refused_stays_due(outbox: PostgresOutbox, archive: Archive) -> None:
    for _ in range(5):
        await archive.accept()
    queue = Publications(failures=2)
    with pytest.raises(DependencyUnavailable):
        await outbox.relay(queue, 10)
    assert await outbox.relay(queue, 10) == 2
    assert len(set(queue.published)) == 5


async def test_abandoned_work_is_due_again(outbox: PostgresOutbox, ledger: PostgresJobLedger, archive: Archive) -> None:
    names = ("never delivered", "crashed", "live", "backing off", "done", "in the outbox")
    jobs = {name: (await archive.accept())[1].job_id for name in names[:-1]}
    queue = Publications()
    await outbox.relay(queue, 10)
    jobs["in the outbox"] = (await archive.accept())[1].job_id
    await archive.claim(jobs["crashed"], lease_s=0.0)
    await archive.claim(jobs["live"])
    await ledger.release(await archive.claim(jobs["backing off"]), FAILURE, 60.0)
    await archive.commit(await archive.claim(jobs["done"]), [])
    assert await outbox.requeue_abandoned(10, unanswered_s=60.0) == 1, "only the crashed one; the others may be queued"
    assert await outbox.requeue_abandoned(10, unanswered_s=0.0) == 1, "the one that was never delivered"
    assert await outbox.requeue_abandoned(10, unanswered_s=0.0) == 0
    queue.published.clear()
    await outbox.relay(queue, 10)
    due = {job_id for job_id, _ in queue.published}
    assert due == {jobs["crashed"], jobs["never delivered"], jobs["in the outbox"]}
