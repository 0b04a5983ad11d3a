"""So many calls at a time, and a bounded queue for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.domain.deadline import Deadline
from server.domain.errors import Overloaded, StageDeadline


class Places:
    """For calls of one slot's model, of all callers, in the order in which they come. The event loop owns it."""

    def __init__(self, slot: str, count: int, waiting: int, retry_after_s: float) -> None:
        """`count` calls run at a time; while `waiting` more wait, the next is refused, to be retried after
        `retry_after_s`."""
        self._slot = slot
        self._free = asyncio.Semaphore(count)
        self._most_waiting = waiting
        self._waiting = 0
        self._retry_after_s = retry_after_s

    @asynccontextmanager
    async def taken(self, deadline: Deadline) -> AsyncIterator[None]:
        """Holds a place while the context lasts. Raises Overloaded, StageDeadline."""
        await self._take(deadline)
        try:
            yield
        finally:
            self._free.release()

    async def _take(self, deadline: Deadline) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        if self._waiting >= self._most_waiting:
            raise Overloaded(f"the model {self._slot}", self._retry_after_s)
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline.budget(self._slot)):
                await self._free.acquire()
        except TimeoutError as error:
            raise StageDeadline(self._slot) from error
        finally:
            self._waiting -= 1
