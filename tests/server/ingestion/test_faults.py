"""Many documents, and a queue and a database that are killed in the middle."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from server.adapters.postgres.migrating import migrate
from server.adapters.postgres.pool import PostgresOptions, PostgresPool
from server.application.upload_document import UploadHeader, UploadOptions
from server.domain.deadline import Deadline
from server.domain.documents import Job, JobState
from server.domain.errors import DependencyUnavailable
from server.embedded.nats import EmbeddedNats, NatsOptions
from server.embedded.postgres import EmbeddedPostgres
from server.embedded.process import free_port, running
from tests.server.ingestion.conftest import ANA, PATIENCE_S, Workshop, in_background, opened_workshop, parts_of

DOCUMENTS = 6


async def take_in_many(workshop: Workshop) -> list[Job]:
    return [
        (await workshop.take_in(f"scan:Document {n}, page 1.\fscan:Document {n}, page 2."))[1] for n in range(DOCUMENTS)
    ]


async def all_succeed(workshop: Workshop, jobs: list[Job]) -> None:
    ended = await asyncio.gather(*(workshop.ended(job) for job in jobs))
    assert [job.state for job in ended] == [JobState.SUCCEEDED] * len(jobs)
    chunks = sum(job.chunk_count for job in ended)
    assert await workshop.row("SELECT count(*) AS entries, count(DISTINCT chunk_id) AS chunks FROM chunk_log") == (
        chunks,
        chunks,
    )
    assert await workshop.row("SELECT count(*) FROM documents WHERE state = 'ready'") == (len(jobs),)


async def back(pool: PostgresPool) -> None:
    """Callers are told of the outage until the pool has connected again."""
    async with asyncio.timeout(10):
        while not await pool.answers(Deadline.after(2)):  # noqa: ASYNC110 - the server is another process
            await asyncio.sleep(0.05)


class HalfWay:
    """Tells when some pages have been recognized, and lets no further ones through until then."""

    def __init__(self, workshop: Workshop, pages: int) -> None:
        self._reached = asyncio.Event()
        self.opened = asyncio.Event()
        self._left = pages
        workshop.recognizer.before = self._pass

    async def _pass(self, text: str) -> None:
        self._left -= 1
        if self._left < 0:
            self._reached.set()
            await self.opened.wait()

    async def wait(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._reached.wait()


async def test_a_purged_queue_loses_no_document(workshop: Workshop) -> None:
    half_way = HalfWay(workshop, pages=3)
    jobs = await take_in_many(workshop)
    async with in_background(workshop.relay(), workshop.worker()):
        await half_way.wait()
        await (await workshop.nats.client()).jsm().purge_stream(workshop.stream)
        half_way.opened.set()
        await all_succeed(workshop, jobs)


async def test_workers_that_come_and_go_leave_no_document_behind(workshop: Workshop) -> None:
    half_way = HalfWay(workshop, pages=3)
    jobs = await take_in_many(workshop)
    async with in_background(workshop.relay()):
        async with in_background(workshop.worker()):
            await half_way.wait()
        half_way.opened.set()
        async with in_background(workshop.worker()):
            await all_succeed(workshop, jobs)


@pytest.mark.stack
async def test_a_killed_queue_loses_no_document(
    pool: PostgresPool, tmp_path: Path, environment: dict[str, str]
) -> None:
    server = EmbeddedNats(tmp_path / "nats", environment, NatsOptions(port=free_port()))
    with ExitStack() as first:
        process = first.enter_context(running(server, tmp_path / "first.log"))
        async with opened_workshop(pool, server.url, tmp_path) as workshop:
            half_way = HalfWay(workshop, pages=3)
            jobs = await take_in_many(workshop)
            async with in_background(workshop.relay(), workshop.worker()):
                await half_way.wait()
                process.kill()
                first.close()
                half_way.opened.set()
                jobs.append((await workshop.take_in("Uploaded while the queue is away."))[1])
                with running(server, tmp_path / "second.log"):
                    await back(pool)
                    await all_succeed(workshop, jobs)


@pytest.mark.stack
async def test_a_killed_database_loses_no_document(nats_url: str, tmp_path: Path, environment: dict[str, str]) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", environment)
    with ExitStack() as first:
        process = first.enter_context(running(server, tmp_path / "first.log"))
        async with (
            PostgresPool(server.dsn, PostgresOptions(pool_timeout_s=1.0)) as pool,
            opened_workshop(pool, nats_url, tmp_path) as workshop,
        ):
            await migrate(pool)
            half_way = HalfWay(workshop, pages=3)
            jobs = await take_in_many(workshop)
            async with in_background(workshop.relay(), workshop.worker()):
                await half_way.wait()
                process.kill()
                first.close()
                half_way.opened.set()
                with pytest.raises(DependencyUnavailable):
                    await workshop.take_in("Refused while the database is away.")
                with running(server, tmp_path / "second.log"):
                    await back(pool)
                    await all_succeed(workshop, jobs)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "small", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_refuses_uploads_and_leaves_nothing_of_them(
    pool: PostgresPool, nats_url: str, small_disk: Path
) -> None:
    async with opened_workshop(pool, nats_url, small_disk) as workshop:
        upload = workshop.uploader(UploadOptions())
        accepted = [(await workshop.take_in(f"Document {number}."))[1] for number in range(3)]
        # Not only at the end of the bytes: what is buffered meets the full disk when the file is closed.
        for size in (300_000, 252_000, 250_000):
            with pytest.raises(DependencyUnavailable, match="No space left"):
                await upload.run(ANA, UploadHeader("large"), parts_of("x" * size, 7_000), Deadline.after(PATIENCE_S))
            assert len([path for path in small_disk.rglob("*") if path.is_file()]) == 3
        accepted.append((await workshop.take_in("There is room again."))[1])
        assert await workshop.row("SELECT count(*) FROM documents") == (4,)
        async with in_background(workshop.relay(), workshop.worker()):
            await all_succeed(workshop, accepted)
