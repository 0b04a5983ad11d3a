"""The index follows the log: in order, from where it was, through failures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from index import IndexOptions
from server.adapters.hybrid_passage_index import PassageIndexOptions
from server.adapters.index_generations import HybridIndexGenerations
from server.adapters.postgres.change_log import PostgresChangeLog
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.pool import PostgresPool
from server.application.follow_log import FollowLog, FollowOptions
from server.application.local_bell import LocalBell
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, IndexAhead
from server.domain.passages import IndexQuery, IndexResult, LogEntry
from tests.server.ingestion.conftest import PATIENCE_S, stopped
from tests.server.postgres.conftest import ANA, DIMENSION, MODEL, Archive

QUICK = FollowOptions(batch=3, poll_s=0.02)


class ListIndex:
    """Remembers what it was told. `failures`: how many calls of `apply` fail first."""

    def __init__(self, position: int = 0, failures: int = 0) -> None:
        self.position = position
        self.applied: list[LogEntry] = []
        self.durable = position
        self.compactions = 0
        self.failing_compactions = 0
        self.compacted = asyncio.Event()
        self._failures = failures
        self._committed = asyncio.Event()

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        if self._failures:
            self._failures -= 1
            raise RuntimeError("a defect")
        self.applied += entries
        self.position = entries[-1].position

    async def commit(self) -> None:
        self.durable = self.position
        self._committed.set()

    async def compact(self) -> bool:
        if self.failing_compactions:
            self.failing_compactions -= 1
            raise DependencyUnavailable("the index", "the disk is full")
        removed = any(entry.chunk is None for entry in self.applied)
        self.compactions += removed
        self.compacted.set()
        return removed

    async def search(
        self, query: IndexQuery, vector: npt.NDArray[np.float32] | None, deadline: Deadline
    ) -> IndexResult:
        raise NotImplementedError

    async def wait_for(self, position: int, deadline: Deadline) -> None:
        async with asyncio.timeout(deadline.remaining()):
            while self.durable < position:
                await self._committed.wait()
                self._committed.clear()


@pytest.fixture
def archive(pool: PostgresPool) -> Archive:
    return Archive(pool)


async def test_everything_is_applied_in_order_and_made_durable(archive: Archive, pool: PostgresPool) -> None:
    for _ in range(3):
        await archive.ready(ANA, chunks=3)
    index, bell = ListIndex(), LocalBell()
    task = asyncio.create_task(FollowLog(PostgresChangeLog(pool), index, bell, MODEL, QUICK).run())
    await index.wait_for(9, Deadline.after(PATIENCE_S))
    await archive.ready(ANA, chunks=2)
    await bell.ring()
    await index.wait_for(11, Deadline.after(PATIENCE_S))
    await stopped(task)
    assert [entry.position for entry in index.applied] == list(range(1, 12))


class GrowingLog:
    """A log of removals."""

    def __init__(self, length: int) -> None:
        self.length = length

    async def head(self) -> int:
        return self.length

    async def read(self, after: int, limit: int, fingerprint: str) -> list[LogEntry]:
        return [LogEntry(position, "gone", None) for position in range(after + 1, min(self.length, after + limit) + 1)]


async def test_few_changes_wait_for_more_while_the_log_grows() -> None:
    log, index = GrowingLog(1), ListIndex()
    following = FollowLog(log, index, LocalBell(), MODEL, FollowOptions(batch=3, gather_s=3_600, poll_s=0))
    await following.catch_up()
    assert index.position == 1, "the first one found it quiet"
    log.length = 3
    waiting = asyncio.create_task(following.catch_up())
    done, _ = await asyncio.wait((waiting,), timeout=0.05)
    assert (done, index.position) == (set(), 1)
    await stopped(waiting)
    log.length = 6
    async with asyncio.timeout(PATIENCE_S):
        await following.catch_up()
    assert index.position == 6, "there was a full batch, and what was left joined it"


async def test_it_goes_on_where_the_index_is(archive: Archive, pool: PostgresPool) -> None:
    await archive.ready(ANA, chunks=5)
    index = ListIndex(position=3)
    await FollowLog(PostgresChangeLog(pool), index, LocalBell(), MODEL, QUICK).catch_up()
    assert [entry.position for entry in index.applied] == [4, 5]


async def test_failures_do_not_end_it(archive: Archive, pool: PostgresPool) -> None:
    await archive.ready(ANA, chunks=2)
    index = ListIndex(failures=2)
    log = PostgresChangeLog(pool)
    head, outages = log.head, [DependencyUnavailable("PostgreSQL", "it is down")]

    async def failing_once() -> int:
        if outages:
            raise outages.pop()
        return await head()

    log.head = failing_once  # type: ignore[method-assign]
    task = asyncio.create_task(FollowLog(log, index, LocalBell(), MODEL, QUICK).run())
    await index.wait_for(2, Deadline.after(PATIENCE_S))
    await stopped(task)
    assert [entry.position for entry in index.applied] == [1, 2]


async def test_a_database_restored_from_an_older_copy_ends_it(archive: Archive, pool: PostgresPool) -> None:
    await archive.ready(ANA, chunks=1)
    index = ListIndex(position=7)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(PATIENCE_S):
            await FollowLog(PostgresChangeLog(pool), index, LocalBell(), MODEL, QUICK).run()
    assert caught.group_contains(IndexAhead, match="position 7, and the log ends at 1")
    assert index.applied == []


@pytest.mark.parametrize("seal_rows", [100, 6])
async def test_a_deleted_text_leaves_the_index_directory(
    archive: Archive, pool: PostgresPool, tmp_path: Path, seal_rows: int
) -> None:
    """From the journal, and from a segment that has too few removed rows to be rebuilt without being asked."""
    directory = tmp_path / "index"
    await archive.ready(ANA, chunks=5)
    secret, _ = await archive.ready(ANA, chunks=1, name="zzqold")
    options = PassageIndexOptions(index=IndexOptions(seal_rows=seal_rows))
    opened = await HybridIndexGenerations.open(directory, tmp_path / "copies", DIMENSION, MODEL, options)
    index = opened.views()[opened.serving]
    compact, compacted = index.compact, asyncio.Event()

    async def watched_compact() -> bool:
        if done := await compact():
            compacted.set()
        return done

    index.compact = watched_compact  # type: ignore[method-assign]
    log, bell = PostgresChangeLog(pool), LocalBell()
    await FollowLog(log, index, bell, MODEL, FollowOptions(poll_s=0.0)).catch_up()
    assert files_with(b"zzqold", directory)
    task = asyncio.create_task(FollowLog(log, index, bell, MODEL, QUICK).run())
    await PostgresDocumentCatalog(pool).delete(ANA, secret.document_id)
    await bell.ring()
    async with asyncio.timeout(PATIENCE_S):
        await compacted.wait()
    await stopped(task)
    assert files_with(b"zzqold", directory) == []
    assert index.position == 7
    assert len(index_files(directory)) > 1, "the other document is still there"
    await opened.close()


async def test_compactions_follow_removals_seldom_and_are_repeated_when_they_fail(
    archive: Archive, pool: PostgresPool
) -> None:
    index, bell = ListIndex(), LocalBell()
    index.failing_compactions = 1
    catalog = PostgresDocumentCatalog(pool)
    documents = [(await archive.ready(ANA, chunks=1))[0] for _ in range(3)]
    task = asyncio.create_task(FollowLog(PostgresChangeLog(pool), index, bell, MODEL, QUICK).run())
    async with asyncio.timeout(PATIENCE_S):
        await index.compacted.wait()
    assert index.compactions == 0, "nothing was removed yet"
    for number, document in enumerate(documents):
        index.failing_compactions = 1 if number == 0 else 0
        index.compacted.clear()
        await catalog.delete(ANA, document.document_id)
        await bell.ring()
        await index.wait_for(4 + number, Deadline.after(PATIENCE_S))
        if number == 0:
            async with asyncio.timeout(PATIENCE_S):
                await index.compacted.wait()
    for _ in range(10):
        await asyncio.sleep(0)  # the other loop gets its turns
    await stopped(task)
    assert index.compactions == 1, "the later removals wait for the next one"


def files_with(marker: bytes, directory: Path) -> list[Path]:
    return [path for path in index_files(directory) if marker in path.read_bytes()]


def index_files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
