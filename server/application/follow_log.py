"""Keeps the index up to date with the change log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.application.background import repeat
from server.application.index_ports import ChangeLog, LogView
from server.application.job_ports import Bell
from server.domain.errors import IndexAhead


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """What is applied can be searched at once. It is made durable when the log is quiet, or after `commit_every_s`.
    What was removed leaves the disk soon after, at most every `compact_every_s`, since parts are rewritten for it."""

    batch: int = 512
    background_batch: int = 64
    """The batch of a generation that does not serve."""
    gather_s: float = 0.1
    """While the log grows, batches that are not full begin so long after one another at least: each costs some 5 ms
    beside what its changes do."""
    poll_s: float = 0.5
    commit_every_s: float = 10.0
    compact_every_s: float = 300.0


class FollowLog:
    """The only task that changes this index. `fingerprint` is that of the embedding model of this index."""

    def __init__(
        self,
        log: ChangeLog,
        index: LogView,
        bell: Bell,
        fingerprint: str,
        options: FollowOptions,
        caught_up: Callable[[], Awaitable[None]] | None = None,
        serves: Callable[[], bool] = lambda: True,
        committed: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        """`caught_up` is called each time when the index has come to what was the end of the log; `serves` before each
        batch, to know how large it may be; `committed` with each position that has become durable."""
        self._log = log
        self._index = index
        self._bell = bell
        self._fingerprint = fingerprint
        self._options = options
        self._caught_up = caught_up
        self._serves = serves
        self._committed = committed
        self._durable = index.position
        self._commit_at = 0.0
        self._gathered_at = 0.0
        # True also at first: the process before this one may have ended between a commit and its compaction.
        self._changed = True
        self._settled = asyncio.Event()

    async def run(self) -> None:
        """Ends with IndexAhead, in a group, when the database is replaced by an older copy of itself while this runs: a
        new process makes the index anew."""
        async with asyncio.TaskGroup() as group:
            group.create_task(repeat("follow_log", self.catch_up, fatal=(IndexAhead,)))
            group.create_task(repeat("compact_index", self._compact))

    async def catch_up(self) -> None:
        """Applies all there is, then waits for a ring. Raises IndexAhead, and changes nothing then."""
        head = await self._log.head()
        if head < self._index.position:
            raise IndexAhead(self._index.position, head)
        if 0 < head - self._index.position < self._batch:
            await asyncio.sleep(self._gathered_at - time.monotonic())
        while self._index.position < head:
            entries = await self._log.read(self._index.position, self._batch, self._fingerprint)
            if not entries:
                break
            self._gathered_at = time.monotonic() + self._options.gather_s
            await self._index.apply(entries)
            self._changed = True
            if time.monotonic() >= self._commit_at:
                await self._commit()
        if self._durable < self._index.position:
            await self._commit()
        if self._caught_up is not None and self._index.position >= head:
            await self._caught_up()
        if self._changed:
            self._changed = False
            self._settled.set()
        await self._bell.wait(self._options.poll_s)

    @property
    def _batch(self) -> int:
        return self._options.batch if self._serves() else self._options.background_batch

    async def _compact(self) -> None:
        """Waits until the log is quiet after a change. Changes go on to be applied meanwhile."""
        await self._settled.wait()
        self._settled.clear()
        try:
            compacted = await self._index.compact()
        except Exception:
            self._settled.set()
            raise
        if compacted:
            await asyncio.sleep(self._options.compact_every_s)

    async def _commit(self) -> None:
        await self._index.commit()
        self._durable = self._index.position
        self._commit_at = time.monotonic() + self._options.commit_every_s
        if self._committed is not None:
            await self._committed(self._durable)
