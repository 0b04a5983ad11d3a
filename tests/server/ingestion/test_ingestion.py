"""One document, one worker: it ends searchable or failed with a reason, whatever happens on the way."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from reportlab.pdfgen.canvas import Canvas

from server.adapters.document_reader import FileDocumentReader
from server.adapters.postgres.change_log import PostgresChangeLog
from server.adapters.postgres.passage_store import PostgresPassageStore
from server.application.model_ports import Embeddings
from server.application.upload_document import UploadHeader, UploadOptions
from server.domain.deadline import Deadline
from server.domain.documents import DocumentState, Job, JobState
from server.domain.errors import DependencyUnavailable, Overloaded, StageDeadline
from tests.server.ingestion.conftest import ANA, PATIENCE_S, OneJob, Workshop, in_background

SCANS = "\f".join(f"scan:This is scanned page number {number}." for number in range(1, 6))


def scan(number: int) -> str:
    return f"This is scanned page number {number}."


async def not_told() -> None:
    """The queue is not part of these tests."""


class Gate:
    """Holds the recognizer at one page."""

    def __init__(self, workshop: Workshop, at: str) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self._at = at
        workshop.recognizer.before = self._pass

    async def _pass(self, text: str) -> None:
        if text == self._at:
            self.reached.set()
            await self.opened.wait()


async def attempt_until(gate: Gate, ingestion: OneJob, job: Job) -> asyncio.Task[float | None]:
    task = asyncio.create_task(ingestion.run(job.job_id, not_told))
    async with asyncio.timeout(PATIENCE_S):
        await gate.reached.wait()
    return task


async def state(workshop: Workshop, job: Job) -> Job:
    return await workshop.catalog.job(ANA, job.job_id)


async def test_a_document_becomes_searchable_once(workshop: Workshop) -> None:
    document, job = await workshop.take_in("First page, born digital.\fscan:Second page, a scan.\fThe last\0page.")
    assert await workshop.ingestion().run(job.job_id, not_told) is None
    ended = await state(workshop, job)
    assert (ended.state, ended.attempt, ended.pages_done, ended.pages_total) == (JobState.SUCCEEDED, 1, 3, 3)
    ready = await workshop.catalog.get(ANA, document.document_id)
    assert (ready.state, ready.page_count, ready.chunk_count) == (DocumentState.READY, 3, ended.chunk_count)
    entries = await PostgresChangeLog(workshop.pool).read(0, 100, workshop.embedder.fingerprint)
    assert len(entries) == ended.chunk_count == ended.log_position
    passages = await PostgresPassageStore(workshop.pool).passages(
        ANA, [entry.chunk_id for entry in entries], position=entries[-1].position
    )
    text = "".join(passages[entry.chunk_id].text for entry in entries)
    assert "First page" in text and "Second page" in text and "The last\ufffdpage." in text
    spans = [span for passage in passages.values() for span in passage.line_spans if span.page == 2]
    assert spans[0].box is not None and spans[0].box.x1 == 50.0, "in points, not in pixels"
    engines = await workshop.row("SELECT json_agg(engine ORDER BY number) FROM pages")
    assert engines == ([None, workshop.recognizer.fingerprint, None],)
    assert await workshop.ingestion().run(job.job_id, not_told) is None
    assert await PostgresChangeLog(workshop.pool).head() == ended.log_position


async def test_after_a_crash_between_pages_only_the_rest_is_read(workshop: Workshop) -> None:
    _, job = await workshop.take_in(SCANS)
    gate = Gate(workshop, at=scan(4))
    # Without time to hand the job back, a cancelled worker leaves what a killed one leaves.
    crashed = await attempt_until(gate, workshop.ingestion(lease_s=60.0, hand_back_s=0.0), job)
    crashed.cancel()
    await asyncio.wait([crashed])
    left = await state(workshop, job)
    assert (left.state, left.pages_done, left.pages_total) == (JobState.RUNNING, 3, 5)
    again_in_s = await workshop.ingestion().run(job.job_id, not_told)
    assert again_in_s is not None and 0 < again_in_s <= 60
    await workshop.row("UPDATE jobs SET lease_until = now() RETURNING 1")
    workshop.recognizer.before = None
    assert await workshop.ingestion().run(job.job_id, not_told) is None
    assert (await state(workshop, job)).attempt == 1, "it had got on"
    assert workshop.recognizer.finished == {scan(number): 1 for number in range(1, 6)}
    assert workshop.recognizer.started[scan(4)] == 2


async def test_a_worker_that_is_stopped_hands_its_job_back(workshop: Workshop) -> None:
    _, job = await workshop.take_in(SCANS)
    stopped = await attempt_until(Gate(workshop, at=scan(2)), workshop.ingestion(), job)
    stopped.cancel()
    await asyncio.wait([stopped])
    assert stopped.cancelled()
    assert ((await state(workshop, job)).state, (await state(workshop, job)).attempt) == (JobState.PENDING, 0)
    workshop.recognizer.before = None
    assert await workshop.ingestion().run(job.job_id, not_told) is None
    assert ((await state(workshop, job)).state, (await state(workshop, job)).attempt) == (JobState.SUCCEEDED, 1)


async def test_a_late_worker_changes_nothing(workshop: Workshop) -> None:
    _, job = await workshop.take_in(SCANS)
    gate = Gate(workshop, at=scan(5))
    late = await attempt_until(gate, workshop.ingestion(lease_s=60.0), job)
    await workshop.row("UPDATE jobs SET lease_until = now() RETURNING 1")
    workshop.recognizer.before = None
    await workshop.ingestion().run(job.job_id, not_told)
    ended = await state(workshop, job)
    assert ended.state is JobState.SUCCEEDED
    gate.opened.set()
    assert await late is None
    assert await state(workshop, job) == ended
    assert await workshop.row("SELECT count(*) FROM chunk_log") == (ended.chunk_count,)


async def test_a_worker_whose_lease_was_taken_stops(workshop: Workshop) -> None:
    _, job = await workshop.take_in(SCANS)
    robbed = await attempt_until(Gate(workshop, at=scan(1)), workshop.ingestion(lease_s=0.3), job)
    await workshop.row("UPDATE jobs SET lease_token = lease_token + 1 RETURNING 1")
    async with asyncio.timeout(PATIENCE_S):
        assert await robbed is None, "the gate never opens: only the loss of the lease can end this"


async def test_a_document_deleted_while_it_is_read_is_gone(workshop: Workshop, tmp_path: Path) -> None:
    document, job = await workshop.take_in(SCANS)
    attempt = await attempt_until(Gate(workshop, at=scan(3)), workshop.ingestion(lease_s=0.3), job)
    await workshop.delete.run(ANA, document.document_id)
    async with asyncio.timeout(PATIENCE_S):
        assert await attempt is None
    ended = await state(workshop, job)
    assert ended.state is JobState.CANCELLED
    assert ended.failure is not None and ended.failure.reason == "DocumentDeleted"
    assert await workshop.row("SELECT count(*) FROM stage_results") == (0,)
    assert await workshop.row("SELECT count(*) FROM chunks") == (0,)
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


async def test_a_document_that_cannot_be_read_fails_at_once(workshop: Workshop) -> None:
    document, job = await workshop.take_in("fine\fbroken:")
    assert await workshop.ingestion().run(job.job_id, not_told) is None
    failed = await state(workshop, job)
    assert (failed.state, failed.attempt) == (JobState.FAILED, 1)
    assert failed.failure is not None and failed.failure.reason == "UnreadableDocument"
    assert (await workshop.catalog.get(ANA, document.document_id)).failure == failed.failure


@pytest.mark.parametrize("error", [RuntimeError("a secret of the document"), StageDeadline("embed")])
async def test_what_the_document_may_be_guilty_of_is_tried_three_times(workshop: Workshop, error: Exception) -> None:
    _, job = await workshop.take_in("page")
    workshop.embedder.failures = [error] * 5
    async with in_background(workshop.relay(), workshop.worker()):
        failed = await workshop.ended(job)
    assert (failed.state, failed.attempt, len(workshop.embedder.failures)) == (JobState.FAILED, 3, 2)
    assert failed.failure is not None and "secret" not in failed.failure.message
    assert failed.failure.reason == ("InternalError" if isinstance(error, RuntimeError) else "StageDeadline")


@pytest.mark.parametrize("error", [DependencyUnavailable("Triton", "it is down", 0.0), Overloaded("Triton", 0.0)])
async def test_an_outage_is_waited_out(workshop: Workshop, error: Exception) -> None:
    _, job = await workshop.take_in("page")
    workshop.embedder.failures = [error] * 5
    async with in_background(workshop.relay(), workshop.worker()):
        ended = await workshop.ended(job)
    assert (ended.state, ended.attempt, workshop.embedder.failures) == (JobState.SUCCEEDED, 1, [])


async def test_a_document_that_kills_its_workers_fails(workshop: Workshop) -> None:
    _, job = await workshop.take_in("page")
    for _ in range(3):
        await workshop.ledger.claim(job.job_id, "doomed", 0.0)
    assert await workshop.ingestion().run(job.job_id, not_told) is None
    failed = await state(workshop, job)
    assert failed.state is JobState.FAILED
    assert failed.failure is not None and failed.failure.reason == "InternalError"


async def test_a_document_beside_one_that_kills_their_worker_goes_on(workshop: Workshop) -> None:
    _, killer = await workshop.take_in("killer")
    _, innocent = await workshop.take_in(SCANS)
    for number in range(2, 5):
        await workshop.ledger.claim(killer.job_id, "doomed", 0.0)
        gate = Gate(workshop, at=scan(number))
        killed = await attempt_until(gate, workshop.ingestion(lease_s=60.0, hand_back_s=0.0), innocent)
        killed.cancel()
        await asyncio.wait((killed,))
        await workshop.row("UPDATE jobs SET lease_until = now() WHERE job_id = %s RETURNING 1", innocent.job_id)
    workshop.recognizer.before = None
    for job in (killer, innocent):
        assert await workshop.ingestion().run(job.job_id, not_told) is None
    assert (await state(workshop, killer)).state is JobState.FAILED
    ended = await state(workshop, innocent)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)


async def test_lost_connections_to_the_database_are_waited_out(workshop: Workshop) -> None:
    _, job = await workshop.take_in(SCANS)

    async def disconnect(text: str) -> None:
        async with workshop.pool.as_login() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    workshop.recognizer.before = disconnect
    assert await workshop.ingestion().run(job.job_id, not_told) is None
    ended = await state(workshop, job)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)


async def test_the_queue_hears_of_the_work(workshop: Workshop) -> None:
    _, job = await workshop.take_in(SCANS)
    gate = Gate(workshop, at=scan(1))
    told = 0

    async def working() -> None:
        nonlocal told
        told += 1
        if told == 3:
            gate.opened.set()

    await workshop.ingestion(lease_s=0.3).run(job.job_id, working)
    assert told >= 3
    assert (await state(workshop, job)).state is JobState.SUCCEEDED


async def test_embeddings_are_not_computed_twice(workshop: Workshop) -> None:
    _, job = await workshop.take_in("\f".join(f"Page {n}. " + f"A sentence about subject {n}. " * 40 for n in range(4)))
    embed = workshop.embedder.embed
    calls = 0

    async def failing_third(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise DependencyUnavailable("Triton", "it is down", 0.0)
        return await embed(*args, **kwargs)  # type: ignore[arg-type]

    workshop.embedder.embed = failing_third  # type: ignore[method-assign,assignment]
    async with in_background(workshop.relay(), workshop.worker()):
        ended = await workshop.ended(job)
    assert ended.state is JobState.SUCCEEDED and ended.chunk_count > 4
    assert sum(workshop.embedder.embedded.values()) == ended.chunk_count


@pytest.mark.parametrize("component", [float("nan"), float("inf"), -float("inf"), 3e38, 2.0, 0.0])
async def test_vectors_that_cannot_be_compared_are_kept_nowhere(workshop: Workshop, component: float) -> None:
    _, job = await workshop.take_in("page")
    embed = workshop.embedder.embed

    async def failing_once(*args: object, **kwargs: object) -> Embeddings:
        embeddings = await embed(*args, **kwargs)  # type: ignore[arg-type]
        if workshop.embedder.embedded.total() == 1:
            embeddings.vectors[0, 0] = component
        return embeddings

    workshop.embedder.embed = failing_once  # type: ignore[method-assign]
    assert await workshop.ingestion().run(job.job_id, not_told) is None
    waiting = await state(workshop, job)
    assert (waiting.state, waiting.attempt) == (JobState.PENDING, 0), "no fault of the document"
    assert waiting.failure is not None and waiting.failure.reason == "DependencyUnavailable"
    assert await workshop.row("SELECT count(*) FROM stage_results WHERE stage = 'embed'") == (0,)
    async with in_background(workshop.relay(), workshop.worker()):
        ended = await workshop.ended(job)
    assert (ended.state, workshop.embedder.embedded.total()) == (JobState.SUCCEEDED, 2)


async def test_kept_vectors_that_cannot_be_compared_are_made_anew(workshop: Workshop) -> None:
    _, job = await workshop.take_in("page\fscan:another")
    commit = workshop.writer.commit
    workshop.writer.commit = AsyncMock(side_effect=RuntimeError)  # type: ignore[method-assign]
    await workshop.ingestion().run(job.job_id, not_told)
    assert workshop.embedder.embedded.total() == 1
    await workshop.row("UPDATE stage_results SET result = %s WHERE stage = 'embed' RETURNING 1", b"\xff" * 16)
    workshop.writer.commit = commit  # type: ignore[method-assign]
    async with in_background(workshop.relay(), workshop.worker()):
        assert (await workshop.ended(job)).state is JobState.SUCCEEDED
    assert workshop.embedder.embedded.total() == 2
    assert await workshop.row("SELECT vector FROM embeddings") == (struct.pack("<4f", 1, 0, 0, 0),)


async def test_a_pdf_goes_through_the_real_reader(workshop: Workshop, tmp_path: Path) -> None:
    pdf = tmp_path / "two.pdf"
    canvas = Canvas(str(pdf), invariant=True)
    for number in (1, 2):
        canvas.drawString(72, 720, f"Sentence on page {number} of a document.")
        canvas.showPage()
    canvas.save()

    async def parts() -> AsyncIterator[bytes]:
        yield pdf.read_bytes()

    workshop.reader = reader = FileDocumentReader()
    try:
        upload = workshop.uploader(UploadOptions())
        document, job = await upload.run(ANA, UploadHeader("two.pdf"), parts(), Deadline.after(PATIENCE_S))
        assert document.media_type == "application/pdf"
        assert await workshop.ingestion().run(job.job_id, not_told) is None
    finally:
        await reader.close()
    entries = await PostgresChangeLog(workshop.pool).read(0, 10, workshop.embedder.fingerprint)
    text = " ".join(entry.chunk.text for entry in entries if entry.chunk)
    assert "Sentence on page 1" in text and "Sentence on page 2" in text
    assert (await state(workshop, job)).pages_done == 2
