"""Any sequence of what callers and workers may do leaves a document that is searchable as a whole, or not at all."""

from __future__ import annotations

import ast
import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import server
from server.adapters.postgres.change_log import PostgresChangeLog
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.job_control import PostgresJobControl
from server.adapters.postgres.job_ledger import PostgresJobLedger
from server.adapters.postgres.passage_store import PostgresPassageStore
from server.adapters.postgres.replaced_revisions import PostgresReplacedRevisions
from server.application.job_ports import NewIngestion
from server.domain.documents import DocumentState, Failure, JobState, Lease
from server.domain.errors import (
    DeadLetterNotFound,
    DocumentBusy,
    DocumentExists,
    DocumentNotFound,
    JobCancelled,
    LeaseLost,
)
from tests.server.postgres.conftest import ANA, MODEL, Archive
from tests.server.postgres.test_job_control import chunks_of

FAILURE = Failure("UnreadableDocument", "it is broken")


@dataclass
class Life:
    """One document by name, what is done to it, and the leases that workers believe to hold."""

    archive: Archive
    name: str
    leases: list[Lease] = field(default_factory=list)
    served: bool = False
    """Whether a revision of it has been searchable."""

    async def upload(self) -> None:
        await self.archive.accept(ANA, name=self.name, replace=True)

    async def upload_the_first_bytes_again(self) -> None:
        with suppress(DocumentExists):
            await self.archive.accept(ANA, name=self.name, replace=True, content=f"first bytes of {self.name}")

    async def begin(self) -> None:
        job_id = await self._newest_job()
        if job_id:
            # At once run out, so that another worker may begin while this one goes on.
            lease = await PostgresJobLedger(self.archive.pool).claim(job_id, "worker", 0.0)
            if isinstance(lease, Lease):
                self.leases.append(lease)

    async def commit(self) -> None:
        if self.leases:
            lease = self.leases.pop(0)
            with suppress(LeaseLost, JobCancelled):
                await self.archive.commit(lease, chunks_of(lease, 1 + lease.job.revision % 3))

    async def fail(self) -> None:
        if self.leases:
            with suppress(LeaseLost, JobCancelled):
                await PostgresJobLedger(self.archive.pool).release(self.leases.pop(0), FAILURE, None)

    async def put_back(self) -> None:
        if self.leases:
            with suppress(LeaseLost, JobCancelled):
                await PostgresJobLedger(self.archive.pool).release(self.leases.pop(0), FAILURE, 0.0)

    async def cancel(self) -> None:
        job_id = await self._newest_job()
        if job_id:
            await PostgresJobControl(self.archive.pool).cancel(ANA, job_id)

    async def replay(self) -> None:
        job_id = await self._newest_job()
        if job_id:
            with suppress(DeadLetterNotFound):
                await PostgresJobControl(self.archive.pool).replay(ANA, job_id)

    async def discard(self) -> None:
        job_id = await self._newest_job()
        if job_id:
            with suppress(DeadLetterNotFound):
                await PostgresJobControl(self.archive.pool).discard(ANA, job_id)

    async def reindex(self) -> None:
        with suppress(DocumentNotFound, DocumentBusy):
            wanted = NewIngestion(await self._document() or "", False, "", "")
            await PostgresJobControl(self.archive.pool).reindex(ANA, wanted)

    async def forget(self) -> None:
        await PostgresReplacedRevisions(self.archive.pool).forget_replaced(0.0, 10)

    async def delete(self) -> None:
        document_id = await self._document()
        if document_id:
            await PostgresDocumentCatalog(self.archive.pool).delete(ANA, document_id)
            self.served = False

    async def check(self) -> None:
        document_id = await self._document()
        texts = await self._found()
        if document_id is None:
            assert texts == []
            return
        found = await PostgresDocumentCatalog(self.archive.pool).get(ANA, document_id)
        rows = await self._rows("SELECT revision, state FROM jobs WHERE document_id = %s", document_id)
        jobs = {int(str(revision)): JobState(state) for revision, state in rows}
        assert max(jobs) == found.newest_revision >= found.revision
        assert [revision for revision, state in jobs.items() if not state.terminal] in ([], [found.newest_revision])
        ready = found.state is DocumentState.READY
        assert ready or not self.served, "what was searchable once stays so"
        self.served = ready
        newest = jobs[found.newest_revision]
        if ready:
            assert jobs[found.revision] is JobState.SUCCEEDED
            assert texts == [f"revision {found.revision}"] * found.chunk_count != []
        else:
            assert (found.revision, texts) == (found.newest_revision, [])
            assert (found.state is DocumentState.PROCESSING) == (not newest.terminal)
            assert (found.failure is not None) == newest.terminal
        waiting = await self._rows("SELECT revision FROM replacements WHERE document_id = %s", document_id)
        assert waiting in ([], [(found.newest_revision,)])
        if waiting:
            assert ready and newest in (JobState.PENDING, JobState.RUNNING, JobState.FAILED)

    async def _found(self) -> list[str]:
        log = PostgresChangeLog(self.archive.pool)
        entries = await log.read(0, 10_000, MODEL)
        store = PostgresPassageStore(self.archive.pool)
        ids = [entry.chunk_id for entry in entries if entry.chunk]
        passages = (await store.passages(ANA, ids, await log.head())).values()
        return sorted(passage.text.split(",")[0] for passage in passages if passage.document_name == self.name)

    async def _document(self) -> str | None:
        [(document_id,)] = await self._rows(
            "SELECT max(document_id::text) FROM documents WHERE name = %s AND delete_time IS NULL", self.name
        )
        return None if document_id is None else str(document_id)

    async def _newest_job(self) -> str | None:
        rows = await self._rows(
            """SELECT j.job_id FROM jobs j JOIN documents d USING (document_id)
               WHERE d.name = %s AND d.delete_time IS NULL ORDER BY j.revision DESC LIMIT 1""",
            self.name,
        )
        return str(rows[0][0]) if rows else None

    async def _rows(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        async with self.archive.pool.spanning() as connection:
            cursor = await connection.execute(query.encode(), parameters)
            return [tuple(row.values()) for row in await cursor.fetchall()]


DEEDS = [
    Life.upload,
    Life.upload_the_first_bytes_again,
    Life.begin,
    Life.begin,
    Life.commit,
    Life.commit,
    Life.fail,
    Life.put_back,
    Life.cancel,
    Life.replay,
    Life.discard,
    Life.reindex,
    Life.forget,
    Life.delete,
]
_lives = iter(range(10**9))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=st.lists(st.sampled_from(DEEDS), min_size=5, max_size=30))
async def test_any_life_of_a_document(archive: Archive, deeds: list[object]) -> None:
    name = f"life {next(_lives)}"
    life = Life(archive, name)
    await archive.accept(ANA, name=name, content=f"first bytes of {name}")
    for deed in deeds:
        await deed(life)  # type: ignore[operator]
        await life.check()


async def test_deeds_at_the_same_time_wait_for_each_other(archive: Archive) -> None:
    """A deadlock would end one of them with DependencyUnavailable."""
    name = f"life {next(_lives)}"
    await archive.accept(ANA, name=name, content=f"first bytes of {name}")
    seed = random.randrange(10**6)

    async def live(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        life = Life(archive, name)
        for _ in range(25):
            await chance.choice(DEEDS)(life)

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(live(number))
    await Life(archive, name).check()


def test_one_file_alone_writes_the_states_of_jobs() -> None:
    folder = Path(server.__file__).parent / "adapters" / "postgres"
    writers = {
        path.name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "UPDATE jobs" in node.value
        and "state =" in node.value.partition("SET")[2].partition("WHERE")[0]
    }
    assert writers == {"job_states.py"}
