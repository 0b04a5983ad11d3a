"""Threads for work that blocks, so that one kind of it does not hold up another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from server.domain.errors import DependencyUnavailable, Overloaded, StageDeadline

_T = TypeVar("_T")


class Lane:
    """A few threads. Time counts from when a thread takes the work; the wait before that is nobody's fault."""

    def __init__(self, name: str, threads: int, queue_wait_s: float) -> None:
        self._name = name
        self._queue_wait_s = queue_wait_s
        self._free = asyncio.Semaphore(threads)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name.replace(" ", "-"))
        self._under_way: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def run(self, work: Callable[[], _T], limit_s: float | None, stage: str) -> _T:
        """What `work` returns or raises. A thread cannot be stopped: after `limit_s`, or when the caller is cancelled,
        it goes on with what it does, and its place stays taken until it has done it.

        Raises Overloaded when no thread is free in time, StageDeadline, DependencyUnavailable when closed.
        """
        try:
            async with asyncio.timeout(self._queue_wait_s):
                await self._free.acquire()
        except TimeoutError as exc:
            raise Overloaded(self._name, retry_after_s=1.0) from exc
        if self._closed:
            self._free.release()
            raise DependencyUnavailable(self._name, "it is closed")
        task = self._started(self._hold(work))
        await asyncio.wait((task,), timeout=limit_s)
        if not task.done():
            raise StageDeadline(stage)
        return task.result()

    def later(self, work: Callable[[], None]) -> None:
        """Does it when a thread is free, if that comes before `close`. Not awaited, it also follows a caller that was
        cancelled."""
        self._started(self._in_turn(work))

    async def close(self) -> None:
        """Waits for the work that the threads are at. Whoever waits for a thread is refused."""
        self._closed = True
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    def _started(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    async def _in_turn(self, work: Callable[[], None]) -> None:
        await self._free.acquire()
        if self._closed:
            self._free.release()
        else:
            await self._hold(work)

    async def _hold(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._free.release()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, also where nobody waits any more
