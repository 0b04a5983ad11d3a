"""Replaced, reindexed, cancelled and replayed: what workers make of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from server.adapters.postgres.change_log import PostgresChangeLog
from server.adapters.postgres.job_control import PostgresJobControl
from server.adapters.postgres.passage_store import PostgresPassageStore
from server.application.job_ports import WantedLetters
from server.application.look_after_jobs import LookAfterJobs, ReindexCommand
from server.application.upload_document import UploadHeader, UploadOptions
from server.domain.deadline import Deadline
from server.domain.documents import DocumentState, JobState, Stage
from server.domain.errors import DocumentExists, InvalidField
from tests.server.ingestion.conftest import ANA, PATIENCE_S, Workshop, in_background, parts_of
from tests.server.ingestion.test_ingestion import SCANS, Gate, attempt_until, not_told, scan, state


@pytest.fixture
def jobs(workshop: Workshop) -> LookAfterJobs:
    return LookAfterJobs(PostgresJobControl(workshop.pool), workshop.outbox_bell)


async def found(workshop: Workshop) -> str:
    """The texts that a search with an index up to date can find."""
    log = PostgresChangeLog(workshop.pool)
    entries = await log.read(0, 1_000, workshop.embedder.fingerprint)
    ids = [entry.chunk_id for entry in entries if entry.chunk]
    passages = await PostgresPassageStore(workshop.pool).passages(ANA, ids, await log.head())
    return " ".join(sorted(passage.text for passage in passages.values()))


async def test_fifty_parallel_uploads_of_the_same_bytes_leave_one_document_and_one_blob(
    workshop: Workshop, tmp_path: Path
) -> None:
    upload = workshop.uploader(UploadOptions(max_parallel=50))
    outcomes = await asyncio.gather(
        *(
            upload.run(ANA, UploadHeader(f"copy {number}"), parts_of("the same"), Deadline.after(PATIENCE_S))
            for number in range(50)
        ),
        return_exceptions=True,
    )
    [accepted] = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, DocumentExists)]
    assert len(refused) == 49
    assert {error.document_id for error in refused} == {accepted[0].document_id}
    assert len([path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]) == 1


async def test_a_replaced_document_is_found_by_its_new_text_alone(workshop: Workshop) -> None:
    document, first = await workshop.take_in("The ferry leaves at eight.", name="ferry.txt")
    async with in_background(workshop.relay(), workshop.worker()):
        await workshop.ended(first)
        header = UploadHeader("ferry.txt", replace=True)
        shown, second = await workshop.upload.run(
            ANA, header, parts_of("The ferry leaves at nine."), Deadline.after(PATIENCE_S), "call-2"
        )
        assert (shown.document_id, shown.state, second.trace_id) == (
            document.document_id,
            DocumentState.READY,
            "call-2",
        )
        assert (await workshop.ended(second)).state is JobState.SUCCEEDED
    text = await found(workshop)
    assert "nine" in text and "eight" not in text


async def test_a_revision_that_cannot_be_read_leaves_the_old_one(workshop: Workshop, jobs: LookAfterJobs) -> None:
    document, first = await workshop.take_in("The ferry leaves at eight.", name="ferry.txt")
    async with in_background(workshop.relay(), workshop.worker()):
        await workshop.ended(first)
        header = UploadHeader("ferry.txt", replace=True)
        _, second = await workshop.upload.run(
            ANA, header, parts_of("The ferry leaves at nine.\fbroken:"), Deadline.after(PATIENCE_S)
        )
        assert (await workshop.ended(second)).state is JobState.FAILED
    assert (await workshop.catalog.get(ANA, document.document_id)).state is DocumentState.READY
    assert "eight" in await found(workshop)
    [letter] = (await jobs.dead_letters(ANA, 0, "", WantedLetters())).letters
    assert (letter.job.job_id, letter.job.stage) == (second.job_id, Stage.EXTRACT)


async def test_a_replayed_job_reads_only_what_it_had_not_read(workshop: Workshop, jobs: LookAfterJobs) -> None:
    _, job = await workshop.take_in(SCANS)
    failures = 3

    async def fail_at_the_last(text: str) -> None:
        nonlocal failures
        if text == scan(5) and failures:
            failures -= 1
            raise ZeroDivisionError

    workshop.recognizer.before = fail_at_the_last
    async with in_background(workshop.relay(), workshop.worker()):
        ended = await workshop.ended(job)
        assert (ended.state, ended.attempt) == (JobState.FAILED, 3)
        [letter] = (await jobs.dead_letters(ANA, 0, "", WantedLetters())).letters
        assert (letter.job.attempt, letter.job.stage, letter.job.pages_done) == (3, Stage.EXTRACT, 4)
        await jobs.replay(ANA, job.job_id)
        assert (await workshop.ended(job)).state is JobState.SUCCEEDED
    assert workshop.recognizer.finished == {scan(number): 1 for number in range(1, 6)}


async def test_a_cancelled_job_stops_and_writes_nothing_more(workshop: Workshop, jobs: LookAfterJobs) -> None:
    _, job = await workshop.take_in(SCANS)
    attempt = await attempt_until(Gate(workshop, at=scan(3)), workshop.ingestion(lease_s=0.3), job)
    await jobs.cancel(ANA, job.job_id)
    rows = await workshop.row("SELECT j::text, (SELECT count(*) FROM stage_results) FROM jobs j")
    async with asyncio.timeout(PATIENCE_S):
        assert await attempt is None, "the gate never opens: only the cancellation can end this"
    assert await workshop.row("SELECT j::text, (SELECT count(*) FROM stage_results) FROM jobs j") == rows
    assert (await state(workshop, job)).state is JobState.CANCELLED
    assert await workshop.ingestion().run(job.job_id, not_told) is None
    assert await workshop.row("SELECT j::text, (SELECT count(*) FROM stage_results) FROM jobs j") == rows


async def test_a_reindexed_document_is_read_again_only_when_asked(workshop: Workshop, jobs: LookAfterJobs) -> None:
    document, first = await workshop.take_in(SCANS)
    async with in_background(workshop.relay(), workshop.worker()):
        await workshop.ended(first)
        before = await found(workshop)
        for stage, reads in ((None, 1), (Stage.CHUNK, 1), (Stage.EXTRACT, 2)):
            job = await jobs.reindex(ANA, ReindexCommand(document.document_id, stage))
            assert (await workshop.ended(job)).state is JobState.SUCCEEDED
            assert set(workshop.recognizer.finished.values()) == {reads}
            assert await found(workshop) == before
    assert (await workshop.catalog.get(ANA, document.document_id)).revision == 4
    with pytest.raises(InvalidField):
        await jobs.reindex(ANA, ReindexCommand(document.document_id, Stage.EMBED))
