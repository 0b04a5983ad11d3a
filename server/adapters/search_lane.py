"""The threads that search: few, with a bounded queue before them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from index import SearchStopped, Stop
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, Overloaded, StageDeadline

T = TypeVar("T")


class SearchLane:
    """Used by one event loop."""

    def __init__(self, threads: int, waiting: int, retry_after_s: float) -> None:
        """More than `waiting` searches before the threads are refused, with the advice to wait `retry_after_s`."""
        self._most = threads + waiting
        self._retry_after_s = retry_after_s
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="index-search")
        self._admitted = 0
        self._refusing = False
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def run(self, search: Callable[[Stop], T], deadline: Deadline, stage: str) -> T:
        """What `search` returns. It is told to stop when the deadline has passed or the caller is gone; one that has
        not begun by then never does. Raises StageDeadline, Overloaded; DependencyUnavailable if it comes after `refuse`
        or has not begun by then."""
        left = deadline.budget(stage)
        if self._refusing:
            raise _closed()
        if self._admitted >= self._most:
            raise Overloaded("the index", self._retry_after_s)
        abandoned = threading.Event()

        def stop() -> bool:
            return abandoned.is_set() or deadline.remaining() <= 0

        loop = asyncio.get_running_loop()
        work = self._threads.submit(search, stop)
        self._admitted += 1
        self._quiet.clear()
        work.add_done_callback(lambda _: _on_loop(loop, self._release))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(work), left)
        except (TimeoutError, SearchStopped) as error:
            raise StageDeadline(stage) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise _closed() from error  # the caller is still there: it was `refuse` that cancelled the search
        finally:
            abandoned.set()

    async def quiet(self, limit_s: float) -> None:
        """Returns when no search runs or waits, at the latest after `limit_s`: for work that gives way to searches, but
        not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._quiet.wait()

    def refuse(self) -> None:
        """Ends what waits; what runs goes on. What comes from now on is refused."""
        self._refusing = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def close(self) -> None:
        """Returns when the last search has ended."""
        self.refuse()
        await asyncio.to_thread(self._threads.shutdown)

    def _release(self) -> None:
        self._admitted -= 1
        if not self._admitted:
            self._quiet.set()


def _closed() -> DependencyUnavailable:
    return DependencyUnavailable("the index", "it is closed")


def _on_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts any more
        loop.call_soon_threadsafe(callback)
