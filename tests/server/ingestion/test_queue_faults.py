"""Many documents, and a queue that loses what it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from server.domain.documents import Job, JobState
from server.embedded.nats import EmbeddedNats, NatsOptions
from server.embedded.process import free_port, running
from tests.server.ingestion.conftest import PATIENCE_S, Background, Workshop, stopped

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


class HalfWay:
    """Tells when some pages have been recognized, and lets no further ones through until then."""

    def __init__(self, workshop: Workshop, pages: int) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self._left = pages
        workshop.recognizer.before = self._pass

    async def _pass(self, text: str) -> None:
        self._left -= 1
        if self._left < 0:
            self.reached.set()
            await self.opened.wait()


async def test_a_purged_queue_loses_no_document(workshop: Workshop, background: Background) -> None:
    half_way = HalfWay(workshop, pages=3)
    jobs = await take_in_many(workshop)
    background.start(workshop.relay(), workshop.worker())
    async with asyncio.timeout(PATIENCE_S):
        await half_way.reached.wait()
    await (await workshop.nats.client()).jsm().purge_stream(workshop.stream)
    half_way.opened.set()
    await all_succeed(workshop, jobs)


async def test_workers_that_come_and_go_leave_no_document_behind(workshop: Workshop, background: Background) -> None:
    half_way = HalfWay(workshop, pages=3)
    jobs = await take_in_many(workshop)
    _, first = background.start(workshop.relay(), workshop.worker())
    async with asyncio.timeout(PATIENCE_S):
        await half_way.reached.wait()
    await stopped(first)
    half_way.opened.set()
    background.start(workshop.worker())
    await all_succeed(workshop, jobs)


@pytest.mark.stack
async def test_a_restart_of_the_queue_in_the_middle(
    make_workshop: Callable[[str], Awaitable[Workshop]],
    background: Background,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    server = EmbeddedNats(tmp_path / "nats", environment, NatsOptions(port=free_port()))
    with running(server, tmp_path / "first.log"):
        workshop = await make_workshop(server.url)
        half_way = HalfWay(workshop, pages=3)
        jobs = await take_in_many(workshop)
        background.start(workshop.relay(), workshop.worker())
        async with asyncio.timeout(PATIENCE_S):
            await half_way.reached.wait()
    half_way.opened.set()
    jobs.append((await workshop.take_in("Uploaded while the queue is away."))[1])
    with running(server, tmp_path / "second.log"):
        await all_succeed(workshop, jobs)
        await background.stop()
