"""The index follows the log: in order, from where it was, through failures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from server.adapters.local_bell import LocalBell
from server.adapters.postgres.change_log import PostgresChangeLog
from server.adapters.postgres.pool import PostgresPool
from server.application.follow_log import FollowLog, FollowOptions, IndexAhead
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable
from server.domain.passages import IndexQuery, IndexResult, LogEntry
from tests.server.ingestion.conftest import PATIENCE_S, stopped
from tests.server.postgres.conftest import ANA, MODEL, Archive

QUICK = FollowOptions(batch=3, poll_s=0.02)


class ListIndex:
    """Remembers what it was told. `failures`: how many calls of `apply` fail first."""

    def __init__(self, position: int = 0, failures: int = 0) -> None:
        self.position = position
        self.applied: list[LogEntry] = []
        self.durable = position
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


async def test_an_index_of_another_database_is_not_touched(archive: Archive, pool: PostgresPool) -> None:
    await archive.ready(ANA, chunks=1)
    index = ListIndex(position=7)
    with pytest.raises(IndexAhead):
        await FollowLog(PostgresChangeLog(pool), index, LocalBell(), MODEL, QUICK).catch_up()
    assert index.applied == []
