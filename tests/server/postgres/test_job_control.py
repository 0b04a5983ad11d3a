"""Dead letters, cancellations, further revisions: what callers may do to jobs, and what becomes of documents by it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from server.adapters.postgres.blob_references import PostgresBlobReferences
from server.adapters.postgres.change_log import PostgresChangeLog
from server.adapters.postgres.database_identity import database_id
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.job_control import PostgresJobControl
from server.adapters.postgres.job_ledger import PostgresJobLedger
from server.adapters.postgres.passage_store import PostgresPassageStore
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.replaced_revisions import PostgresReplacedRevisions
from server.adapters.postgres.stage_results import PostgresStageResults
from server.application.document_ports import NewDocument
from server.application.job_ports import NewIngestion, WantedLetters
from server.domain.documents import Chunk, Document, DocumentState, Failure, Job, JobState, Lease, LineSpan, Stage
from server.domain.errors import (
    DeadLetterNotFound,
    DocumentBusy,
    DocumentExists,
    DocumentNotFound,
    InvalidField,
    InvalidPageToken,
    JobCancelled,
    JobNotFound,
)
from server.domain.principals import AccessList, Principal
from tests.server.postgres.conftest import ANA, BEN, EVE, MODEL, Archive, make_chunks, shown

BROKEN = Failure("UnreadableDocument", "it is broken")
ANY = WantedLetters()


@pytest.fixture
def catalog(pool: PostgresPool) -> PostgresDocumentCatalog:
    return PostgresDocumentCatalog(pool)


@pytest.fixture
def control(pool: PostgresPool) -> PostgresJobControl:
    return PostgresJobControl(pool)


@pytest.fixture
def ledger(pool: PostgresPool) -> PostgresJobLedger:
    return PostgresJobLedger(pool)


async def fail(archive: Archive, job: Job, failure: Failure = BROKEN) -> None:
    await PostgresJobLedger(archive.pool).release(await archive.claim(job.job_id), failure, None)


def chunks_of(lease: Lease, number: int) -> list[Chunk]:
    """As the stages make them: their ids name the revision."""
    revision = lease.job.revision
    made = make_chunks(lease.document, number)
    return [
        Chunk(
            f"{revision:08x}-0000-5000-8000-{int(lease.document.document_id[-6:], 16):06x}{chunk.ordinal:06x}",
            chunk.ordinal,
            f"revision {revision}, {chunk.text}",
            (),
            "en",
            (LineSpan(0, 5, 1, None),),
        )
        for chunk in made
    ]


async def finish(archive: Archive, job: Job, chunks: int = 2) -> int:
    lease = await archive.claim(job.job_id)
    return await archive.commit(lease, chunks_of(lease, chunks))


async def revise(archive: Archive, **changes: object) -> tuple[Document, Job]:
    return await archive.accept(ANA, **({"name": "report", "replace": True} | changes))


async def searchable(archive: Archive) -> set[str]:
    """The texts that a search with an index up to date can find."""
    log = PostgresChangeLog(archive.pool)
    entries = await log.read(0, 10_000, MODEL)
    passages = await shown(
        PostgresPassageStore(archive.pool), ANA, [entry.chunk_id for entry in entries if entry.chunk], await log.head()
    )
    return {passage.text for passage in passages.values()}


class TestDeadLetters:
    async def test_a_job_that_failed_for_good_is_one(self, control: PostgresJobControl, archive: Archive) -> None:
        _, job = await archive.accept(name="report", trace_id="call-1")
        assert (await control.dead_letters(ANA, 10, "", ANY)).letters == ()
        await PostgresJobLedger(archive.pool).progress(await archive.claim(job.job_id, 0.0), Stage.EXTRACT, 3, 9)
        await fail(archive, job)
        [letter] = (await control.dead_letters(ANA, 10, "", ANY)).letters
        assert letter.document_name == "report"
        dead = letter.job
        assert (dead.job_id, dead.state, dead.failure, dead.stage) == (
            job.job_id,
            JobState.FAILED,
            BROKEN,
            Stage.EXTRACT,
        )
        assert (dead.attempt, dead.trace_id, dead.pages_done) == (2, "call-1", 3)
        assert dead.end_time is not None

    async def test_who_sees_the_document_sees_it_and_its_owner_acts(
        self, control: PostgresJobControl, archive: Archive
    ) -> None:
        _, shared = await archive.accept()
        _, private = await archive.accept(access=AccessList("ana"))
        for job in (shared, private):
            await fail(archive, job)
        seen = {
            principal: [letter.job.job_id for letter in (await control.dead_letters(principal, 10, "", ANY)).letters]
            for principal in (ANA, BEN, EVE)
        }
        assert seen == {ANA: [private.job_id, shared.job_id], BEN: [shared.job_id], EVE: []}
        for principal in (BEN, EVE):
            with pytest.raises(DeadLetterNotFound):
                await control.replay(principal, shared.job_id)
            with pytest.raises(DeadLetterNotFound):
                await control.discard(principal, shared.job_id)
            with pytest.raises(JobNotFound):
                await control.cancel(principal, shared.job_id)

    async def test_the_name_of_a_revision_is_told_to_its_own_readers(
        self, control: PostgresJobControl, archive: Archive
    ) -> None:
        document, _ = await archive.ready(name="report")
        _, job = await archive.accept(
            name="why ben goes", replaced_document_id=document.document_id, access=AccessList("ana", ("research",))
        )
        await fail(archive, job)
        ruth = Principal("acme", "ruth", frozenset({"research"}))
        for principal, name in ((ANA, "why ben goes"), (ruth, "why ben goes"), (BEN, "report")):
            [letter] = (await control.dead_letters(principal, 10, "", ANY)).letters
            assert letter.document_name == name

    async def test_they_are_listed_in_pages_by_reason_and_time(
        self, control: PostgresJobControl, archive: Archive
    ) -> None:
        jobs = []
        for number in range(5):
            _, job = await archive.accept()
            await fail(archive, job, Failure("EncryptedDocument" if number % 2 else "UnreadableDocument", ""))
            jobs.append(job.job_id)
        listed, token = [], ""
        for size in (2, 2, 1):
            page = await control.dead_letters(ANA, 2, token, ANY)
            assert len(page.letters) == size
            listed += [letter.job.job_id for letter in page.letters]
            token = page.next_page_token
        assert (listed, token) == (jobs[::-1], "")
        encrypted = await control.dead_letters(ANA, 10, "", WantedLetters(reasons=("EncryptedDocument",)))
        assert [letter.job.job_id for letter in encrypted.letters] == [jobs[3], jobs[1]]
        now = datetime.now(UTC)
        for wanted, count in (
            (WantedLetters(before=now - timedelta(hours=1)), 0),
            (WantedLetters(not_before=now - timedelta(hours=1)), 5),
            (WantedLetters(not_before=now + timedelta(hours=1)), 0),
            (WantedLetters(not_before=now - timedelta(hours=1), before=now + timedelta(hours=1)), 5),
        ):
            assert len((await control.dead_letters(ANA, 10, "", wanted)).letters) == count
        token = (await control.dead_letters(ANA, 2, "", ANY)).next_page_token
        with pytest.raises(InvalidPageToken):
            await control.dead_letters(ANA, 2, token, WantedLetters(reasons=("EncryptedDocument",)))

    async def test_a_replay_has_all_attempts_before_it_and_keeps_what_was_made(
        self, control: PostgresJobControl, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        document, job = await archive.accept()
        results = PostgresStageResults(archive.pool)
        lease = await archive.claim(job.job_id)
        await results.save(lease, Stage.EXTRACT, "page 1", b"text")
        await PostgresJobLedger(archive.pool).release(lease, BROKEN, None)
        replayed = await control.replay(ANA, job.job_id)
        assert (replayed.state, replayed.attempt, replayed.failure, replayed.end_time) == (
            JobState.PENDING,
            0,
            None,
            None,
        )
        assert await control.replay(ANA, job.job_id) == replayed, "a repeat changes nothing"
        assert (await catalog.get(ANA, document.document_id)).state is DocumentState.PROCESSING
        assert await archive.scalar("SELECT count(*) FROM outbox WHERE job_id = %s", job.job_id) == 1
        again = await archive.claim(job.job_id)
        assert again.job.attempt == 1
        assert await results.load(again, Stage.EXTRACT) == {"page 1": b"text"}
        await archive.commit(again, make_chunks(document, 1))
        assert (await catalog.get(ANA, document.document_id)).state is DocumentState.READY
        with pytest.raises(DeadLetterNotFound):
            await control.replay(ANA, job.job_id)
        assert (await control.dead_letters(ANA, 10, "", ANY)).letters == ()

    async def test_parallel_replays_make_one_job(self, control: PostgresJobControl, archive: Archive) -> None:
        _, job = await archive.accept()
        await fail(archive, job)
        await archive.scalar("DELETE FROM outbox RETURNING 1")
        replays = await asyncio.gather(*(control.replay(ANA, job.job_id) for _ in range(10)))
        assert {replay.state for replay in replays} == {JobState.PENDING}
        assert await archive.scalar("SELECT count(*) FROM outbox") == 1

    async def test_a_discarded_one_is_gone_for_good(
        self, control: PostgresJobControl, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        document, job = await archive.accept()
        await fail(archive, job)
        for _ in range(2):
            await control.discard(ANA, job.job_id)
        assert (await control.dead_letters(ANA, 10, "", ANY)).letters == ()
        with pytest.raises(DeadLetterNotFound):
            await control.replay(ANA, job.job_id)
        assert (await catalog.get(ANA, document.document_id)).state is DocumentState.FAILED

    @pytest.mark.parametrize("job_id", ["", "no id", "0190163d-8694-739b-aea5-966c26f8ad91"])
    async def test_there_is_none_of_an_unknown_job(self, control: PostgresJobControl, job_id: str) -> None:
        for act in (control.replay, control.discard):
            with pytest.raises(DeadLetterNotFound):
                await act(ANA, job_id)
        with pytest.raises(JobNotFound):
            await control.cancel(ANA, job_id)

    async def test_a_deleted_documents_letters_go_with_it(
        self, control: PostgresJobControl, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        document, job = await archive.accept()
        await fail(archive, job)
        await catalog.delete(ANA, document.document_id)
        assert (await control.dead_letters(ANA, 10, "", ANY)).letters == ()
        with pytest.raises(DeadLetterNotFound):
            await control.replay(ANA, job.job_id)


class TestCancelling:
    async def test_the_worker_is_refused_and_the_document_fails(
        self,
        control: PostgresJobControl,
        catalog: PostgresDocumentCatalog,
        ledger: PostgresJobLedger,
        archive: Archive,
    ) -> None:
        document, job = await archive.accept()
        lease = await archive.claim(job.job_id)
        cancelled = await control.cancel(ANA, job.job_id)
        assert (cancelled.state, cancelled.failure and cancelled.failure.reason) == (JobState.CANCELLED, "JobCancelled")
        with pytest.raises(JobCancelled):
            await archive.commit(lease, make_chunks(document, 1))
        with pytest.raises(JobCancelled):
            await ledger.extend(lease, 60.0)
        failed = await catalog.get(ANA, document.document_id)
        assert (failed.state, failed.failure) == (DocumentState.FAILED, cancelled.failure)
        assert await ledger.claim(job.job_id, "w", 60.0) is None
        assert await archive.scalar("SELECT count(*) FROM outbox") == 0
        assert await control.cancel(ANA, job.job_id) == cancelled
        assert (await control.dead_letters(ANA, 10, "", ANY)).letters == (), "nobody failed"

    async def test_what_has_ended_stays_as_it_ended(self, control: PostgresJobControl, archive: Archive) -> None:
        document, _ = await archive.ready()
        ended = await control.cancel(ANA, document.job_id)
        assert (ended.state, ended.chunk_count) == (JobState.SUCCEEDED, 2)

    async def test_of_a_commit_and_a_cancellation_one_wins(
        self, control: PostgresJobControl, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        for _ in range(10):
            document, job = await archive.accept()
            lease = await archive.claim(job.job_id)
            committed, cancelled = await asyncio.gather(
                archive.commit(lease, make_chunks(document, 1)), control.cancel(ANA, job.job_id), return_exceptions=True
            )
            assert isinstance(cancelled, Job)
            won = isinstance(committed, int)
            assert won or isinstance(committed, JobCancelled)
            assert cancelled.state is (JobState.SUCCEEDED if won else JobState.CANCELLED)
            found = await catalog.get(ANA, document.document_id)
            assert found.state is (DocumentState.READY if won else DocumentState.FAILED)


class TestReplacing:
    async def test_the_old_revision_is_found_until_the_new_one_is_whole(
        self, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        first, job = await revise(archive, content="old", tags=("a",))
        await finish(archive, job)
        before = await searchable(archive)
        shown, second = await revise(archive, content="new", tags=("b",))
        assert (shown.document_id, shown.revision, shown.newest_revision) == (first.document_id, 1, 2)
        assert (shown.state, shown.tags, shown.sha256, shown.job_id) == (
            DocumentState.READY,
            ("a",),
            first.sha256,
            second.job_id,
        )
        lease = await archive.claim(second.job_id)
        assert (lease.document.tags, lease.job.revision) == (("b",), 2)
        assert lease.document.sha256 != first.sha256 and lease.blob_key != "blob-0"
        await PostgresJobLedger(archive.pool).progress(lease, Stage.EXTRACT, 5, 7)
        assert (await catalog.get(ANA, first.document_id)).page_count == 2
        assert await searchable(archive) == before
        await archive.commit(lease, chunks_of(lease, 3))
        after = await searchable(archive)
        assert len(after) == 3 and all(text.startswith("revision 2") for text in after)
        swapped = await catalog.get(ANA, first.document_id)
        assert (swapped.revision, swapped.chunk_count, swapped.tags) == (2, 3, ("b",))
        assert (swapped.sha256, swapped.create_time) == (lease.document.sha256, first.create_time)

    async def test_a_failed_revision_leaves_the_old_one(
        self, control: PostgresJobControl, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        first, job = await revise(archive)
        await finish(archive, job)
        before = await searchable(archive)
        _, second = await revise(archive)
        await fail(archive, second)
        shown = await catalog.get(ANA, first.document_id)
        assert (shown.state, shown.revision, shown.newest_revision, shown.failure) == (DocumentState.READY, 1, 2, None)
        assert await searchable(archive) == before
        [letter] = (await control.dead_letters(ANA, 10, "", ANY)).letters
        assert (letter.job.job_id, letter.job.revision) == (second.job_id, 2)
        await control.replay(ANA, second.job_id)
        assert (await catalog.get(ANA, first.document_id)).state is DocumentState.READY
        await finish(archive, second)
        assert (await catalog.get(ANA, first.document_id)).revision == 2

    @pytest.mark.parametrize("end", ["cancel", "discard"])
    async def test_the_bytes_of_a_revision_that_will_not_come_are_let_go(
        self, control: PostgresJobControl, archive: Archive, end: str
    ) -> None:
        first, job = await revise(archive)
        await finish(archive, job)
        new = archive.new(name="report", replace=True)
        _, second, _ = await PostgresDocumentCatalog(archive.pool).accept(ANA, new)
        references = PostgresBlobReferences(archive.pool, await database_id(archive.pool))
        assert await references.unreferenced([new.blob.key]) == []
        lease = await archive.claim(second.job_id)
        await PostgresStageResults(archive.pool).save(lease, Stage.EXTRACT, "h", b"text of the new bytes")
        if end == "cancel":
            await control.cancel(ANA, second.job_id)
        else:
            await PostgresJobLedger(archive.pool).release(lease, BROKEN, None)
            await control.discard(ANA, second.job_id)
        assert await references.unreferenced([new.blob.key]) == [new.blob.key]
        assert await archive.scalar("SELECT count(*) FROM stage_results") == 0
        assert len(await searchable(archive)) == 2
        third = await control.reindex(ANA, NewIngestion(first.document_id, False, "", ""))
        assert third.revision == 3

    async def test_a_newer_revision_supersedes_one_on_its_way(
        self, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        first, job = await revise(archive)
        superseded = await archive.claim(job.job_id)
        shown, second = await revise(archive, content="second")
        assert (shown.document_id, shown.revision, shown.newest_revision) == (first.document_id, 2, 2), "none serves"
        ended = await catalog.job(ANA, job.job_id)
        assert ended.state is JobState.CANCELLED
        assert ended.failure is not None and ended.failure.reason == "RevisionSuperseded"
        with pytest.raises(JobCancelled):
            await archive.commit(superseded, chunks_of(superseded, 1))
        await finish(archive, second)
        _, third = await revise(archive)
        late = await archive.claim(third.job_id)
        _, fourth = await revise(archive)
        with pytest.raises(JobCancelled):
            await archive.commit(late, chunks_of(late, 1))
        await finish(archive, fourth)
        assert (await catalog.get(ANA, first.document_id)).revision == 4
        assert await archive.scalar("SELECT count(*) FROM jobs WHERE state = 'cancelled'") == 2

    async def test_a_failed_document_gets_its_new_bytes_at_once(
        self, control: PostgresJobControl, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        first, job = await revise(archive)
        await fail(archive, job)
        shown, second = await revise(archive)
        assert (shown.state, shown.revision, shown.failure) == (DocumentState.PROCESSING, 2, None)
        assert (await control.dead_letters(ANA, 10, "", ANY)).letters == ()
        await finish(archive, second)
        assert (await catalog.get(ANA, first.document_id)).state is DocumentState.READY

    async def test_who_replaces_what(self, catalog: PostgresDocumentCatalog, archive: Archive) -> None:
        older, _ = await archive.accept(name="report")
        newer, _ = await archive.accept(name="report")
        bens, _ = await archive.accept(BEN, name="report")
        plain, _ = await archive.accept(name="report")
        assert len({older.document_id, newer.document_id, bens.document_id, plain.document_id}) == 4
        assert (await revise(archive))[0].document_id == plain.document_id
        named, _ = await archive.accept(name="renamed", replaced_document_id=older.document_id)
        assert (named.document_id, named.name) == (older.document_id, "renamed")
        with pytest.raises(DocumentNotFound):
            await archive.accept(BEN, replaced_document_id=older.document_id)
        await catalog.delete(ANA, newer.document_id)
        with pytest.raises(DocumentNotFound):
            await archive.accept(replaced_document_id=newer.document_id)
        for malformed in ("x", "0190163d-8694-739b-aea5-966c26f8ad91"):
            with pytest.raises(DocumentNotFound):
                await archive.accept(replaced_document_id=malformed)
        first, _ = await revise(archive, name="new name")
        assert first.revision == 1

    async def test_the_same_bytes_are_no_revision_but_former_ones_are(self, archive: Archive) -> None:
        document, job = await revise(archive, content="a")
        await finish(archive, job)
        with pytest.raises(DocumentExists) as refusal:
            await revise(archive, content="a")
        assert refusal.value.document_id == document.document_id
        _, second = await revise(archive, content="b")
        with pytest.raises(DocumentExists):
            await revise(archive, content="b")
        with pytest.raises(DocumentExists):
            await archive.accept(content="b", name="another document")
        shown, third = await revise(archive, content="a")
        assert shown.newest_revision == third.revision == 3
        with pytest.raises(JobCancelled):
            await PostgresJobLedger(archive.pool).extend(
                Lease(second, document, 0, "blob"),
                60.0,
            )
        await finish(archive, third)

    async def test_a_revision_for_fewer_readers_is_not_told_of_to_the_others(
        self, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        document, job = await revise(archive)
        await finish(archive, job)
        _, second = await archive.accept(
            ANA,
            name="of ana alone",
            replaced_document_id=document.document_id,
            content="secret",
            access=AccessList("ana"),
        )
        assert (await catalog.get(BEN, document.document_id)).name == "report"
        _, _, accepted = await catalog.accept(BEN, archive.new(BEN, content="secret"))
        assert accepted, "ben may have the bytes, too, and must not learn that ana has them"
        await finish(archive, second)
        with pytest.raises(DocumentNotFound):
            await catalog.get(BEN, document.document_id)

    async def test_fifty_parallel_replacements_make_one_revision(
        self, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        document, job = await revise(archive)
        await finish(archive, job)

        def new() -> NewDocument:
            return archive.new(name="report", replace=True, content="x")

        outcomes = await asyncio.gather(*(catalog.accept(ANA, new()) for _ in range(50)), return_exceptions=True)
        accepted = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert len(accepted) == 1
        assert all(
            isinstance(outcome, DocumentExists) and outcome.document_id == document.document_id
            for outcome in outcomes
            if isinstance(outcome, BaseException)
        )
        assert await archive.scalar("SELECT count(*) FROM jobs WHERE state = 'pending'") == 1

    async def test_twenty_parallel_versions_end_as_the_newest_one(
        self, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        outcomes = await asyncio.gather(*(revise(archive) for _ in range(20)))
        assert len({document.document_id for document, _ in outcomes}) == 1
        assert sorted(job.revision for _, job in outcomes) == list(range(1, 21))
        assert await archive.scalar("SELECT revision FROM jobs WHERE state = 'pending'") == 20
        assert await archive.scalar("SELECT count(*) FROM outbox") == 1

    async def test_a_repeated_request_returns_its_own_job(
        self, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        await revise(archive, request_id="first")
        _, second = await revise(archive, request_id="second")
        shown, repeated, accepted = await catalog.accept(
            ANA, archive.new(name="report", replace=True, request_id="first")
        )
        assert (accepted, repeated.revision, shown.job_id) == (False, 1, second.job_id)

    async def test_a_deletion_takes_the_new_revision_with_it(
        self, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        first, job = await revise(archive)
        await finish(archive, job)
        await revise(archive)
        deletion = await catalog.delete(ANA, first.document_id)
        assert len(deletion.blob_keys) == 2
        assert await searchable(archive) == set()
        for table in ("replacements", "chunks", "outbox"):
            assert await archive.scalar(f"SELECT count(*) FROM {table}") == 0
        _, new = await revise(archive)
        assert new.revision == 1


class TestReindexing:
    async def test_the_kept_text_is_used_unless_it_is_to_be_read_anew(
        self, control: PostgresJobControl, archive: Archive
    ) -> None:
        document, job = await archive.accept()
        results = PostgresStageResults(archive.pool)
        lease = await archive.claim(job.job_id)
        await results.save(lease, Stage.EXTRACT, "page 1", b"text")
        await archive.commit(lease, chunks_of(lease, 2))
        for revision, anew, kept in ((2, False, {"page 1": b"text"}), (3, True, {}), (4, False, {"page 1": b"again"})):
            job = await control.reindex(ANA, NewIngestion(document.document_id, anew, "", "call"))
            assert (job.revision, job.trace_id) == (revision, "call")
            lease = await archive.claim(job.job_id)
            assert await results.load(lease, Stage.EXTRACT) == kept
            if anew:
                await results.save(lease, Stage.EXTRACT, "page 1", b"again")
            await archive.commit(lease, chunks_of(lease, 2))
            assert all(text.startswith(f"revision {revision}") for text in await searchable(archive))
        assert await archive.scalar("SELECT count(*) FROM stage_results") == 1

    async def test_a_document_with_work_to_do_is_busy(self, control: PostgresJobControl, archive: Archive) -> None:
        document, job = await revise(archive)
        wanted = NewIngestion(document.document_id, False, "", "")
        with pytest.raises(DocumentBusy) as refusal:
            await control.reindex(ANA, wanted)
        assert refusal.value.job_id == job.job_id
        await finish(archive, job)
        _, second = await revise(archive)
        await fail(archive, second)
        with pytest.raises(DocumentBusy) as refusal:
            await control.reindex(ANA, wanted)
        assert refusal.value.job_id == second.job_id
        await control.discard(ANA, second.job_id)
        assert (await control.reindex(ANA, wanted)).state is JobState.PENDING

    async def test_of_parallel_ones_one_begins(self, control: PostgresJobControl, archive: Archive) -> None:
        document, _ = await archive.ready()
        wanted = NewIngestion(document.document_id, False, "", "")
        outcomes = await asyncio.gather(*(control.reindex(ANA, wanted) for _ in range(10)), return_exceptions=True)
        assert len([outcome for outcome in outcomes if isinstance(outcome, Job)]) == 1
        assert len([outcome for outcome in outcomes if isinstance(outcome, DocumentBusy)]) == 9

    async def test_a_repeat_returns_the_first_ones_job(self, control: PostgresJobControl, archive: Archive) -> None:
        document, _ = await archive.ready()
        wanted = NewIngestion(document.document_id, False, "r", "")
        outcomes = await asyncio.gather(*(control.reindex(ANA, wanted) for _ in range(10)))
        assert len({job.job_id for job in outcomes}) == 1

    async def test_a_request_of_another_document_is_refused(
        self, control: PostgresJobControl, archive: Archive
    ) -> None:
        first, _ = await archive.ready()
        second, _ = await archive.ready()
        await control.reindex(ANA, NewIngestion(first.document_id, False, "the same", ""))
        with pytest.raises(InvalidField, match="request_id"):
            await control.reindex(ANA, NewIngestion(second.document_id, False, "the same", ""))

    async def test_a_failed_one_leaves_the_document_as_it_was(
        self, control: PostgresJobControl, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        document, _ = await archive.ready()
        before = await searchable(archive)
        await fail(archive, await control.reindex(ANA, NewIngestion(document.document_id, False, "", "")))
        shown = await catalog.get(ANA, document.document_id)
        assert (shown.state, shown.revision, shown.newest_revision) == (DocumentState.READY, 1, 2)
        assert await searchable(archive) == before

    async def test_a_failed_document_can_be_tried_again(
        self, control: PostgresJobControl, catalog: PostgresDocumentCatalog, archive: Archive
    ) -> None:
        document, job = await archive.accept()
        await control.cancel(ANA, job.job_id)
        again = await control.reindex(ANA, NewIngestion(document.document_id, False, "", ""))
        shown = await catalog.get(ANA, document.document_id)
        assert (shown.state, shown.revision, shown.failure) == (DocumentState.PROCESSING, 2, None)
        await finish(archive, again)
        assert (await catalog.get(ANA, document.document_id)).state is DocumentState.READY

    async def test_only_the_owner_may(self, control: PostgresJobControl, archive: Archive) -> None:
        document, _ = await archive.ready()
        for principal in (BEN, EVE):
            with pytest.raises(DocumentNotFound):
                await control.reindex(principal, NewIngestion(document.document_id, False, "", ""))


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 7, 100])
async def test_every_search_sees_one_whole_revision(archive: Archive, batch: int) -> None:
    """An index follows the log in batches: wherever it stands, it finds all of one revision, and none of another."""
    log = PostgresChangeLog(archive.pool)
    store = PostgresPassageStore(archive.pool)
    _, job = await revise(archive)
    await finish(archive, job, chunks=5)
    await archive.ready(name="a neighbour", chunks=1)
    indexed: set[str] = set()
    position = await _follow(log, 0, 1_000, indexed)
    _, job = await revise(archive)
    await finish(archive, job, chunks=4)
    neighbour, _ = await archive.ready(name="another neighbour", chunks=1)
    await PostgresDocumentCatalog(archive.pool).delete(ANA, neighbour.document_id)
    end = await log.head()
    seen = []
    while True:
        found = (await shown(store, ANA, sorted(indexed), position)).values()
        seen.append(
            {
                (passage.revision, len([p for p in found if p.document_name == "report"]))
                for passage in found
                if passage.document_name == "report"
            }
        )
        if position == end:
            break
        position = await _follow(log, position, batch, indexed)
    assert all(revisions in ({(1, 5)}, {(2, 4)}) for revisions in seen)
    assert seen[0] == {(1, 5)} and seen[-1] == {(2, 4)}
    assert await PostgresReplacedRevisions(archive.pool).forget_replaced(3_600.0, 10) == 0
    assert await PostgresReplacedRevisions(archive.pool).forget_replaced(0.0, 10) == 1
    assert await archive.scalar("SELECT count(*) FROM chunks WHERE revision = 1") == 1, "the neighbour's"
    assert len(await searchable(archive)) == 5


async def test_an_old_revision_keeps_its_readers(archive: Archive) -> None:
    """Also for an index that reads of it only when the new one, which more people may read, is in its place."""
    document, chunk_ids = await archive.ready(access=AccessList("ana", ("research",)))
    _, job = await archive.accept(replaced_document_id=document.document_id)
    await finish(archive, job, chunks=1)
    entries = await PostgresChangeLog(archive.pool).read(0, 100, MODEL)
    old, new = [[entry.chunk for entry in entries if entry.chunk][at] for at in (0, -1)]
    assert (old.groups, old.tenant_wide) == (("research",), False)
    assert (new.groups, new.tenant_wide) == ((), True)
    store = PostgresPassageStore(archive.pool)
    ruth = Principal("acme", "ruth", frozenset({"research"}))
    for principal, found in ((ANA, 2), (ruth, 2), (BEN, 0)):
        assert len(await shown(store, principal, chunk_ids, 2)) == found
    assert len(await shown(store, BEN, [new.chunk_id], 100)) == 1


async def _follow(log: PostgresChangeLog, after: int, batch: int, indexed: set[str]) -> int:
    entries = await log.read(after, batch, MODEL)
    for entry in entries:
        if entry.chunk is None:
            indexed.discard(entry.chunk_id)
        else:
            indexed.add(entry.chunk_id)
    return entries[-1].position
