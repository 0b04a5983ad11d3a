from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from server.adapters.places import Places
from server.domain.deadline import Deadline
from server.domain.errors import Overloaded, StageDeadline


class Work:
    """Holds a place until it is told to end."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.running = 0
        self.most = 0
        self.end = asyncio.Event()

    async def run(self, seconds: float = 30.0) -> None:
        async with self._places.taken(Deadline.after(seconds)):
            self.running += 1
            self.most = max(self.most, self.running)
            await self.end.wait()
            self.running -= 1


async def begun(work: Work, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(work.run()) for _ in range(count)]
    await asyncio.sleep(0.01)
    return tasks


async def test_so_many_run_so_many_wait_and_the_next_is_refused() -> None:
    work = Work(Places("embed", count=2, waiting=3, retry_after_s=1.5))
    tasks = await begun(work, 5)
    with pytest.raises(Overloaded) as refused:
        await work.run()
    assert refused.value.retry_after_s == 1.5
    work.end.set()
    await asyncio.gather(*tasks)
    assert work.most == 2


async def test_who_waits_waits_no_longer_than_the_deadline() -> None:
    work = Work(Places("embed", count=1, waiting=1, retry_after_s=1.0))
    tasks = await begun(work, 1)
    for _ in range(2):
        with pytest.raises(StageDeadline):
            await work.run(0.01)
    work.end.set()
    await asyncio.gather(*tasks)


async def test_who_gives_up_or_fails_leaves_the_place_free() -> None:
    places = Places("embed", count=1, waiting=1, retry_after_s=1.0)
    work = Work(places)
    running, waiting = await begun(work, 2)
    for task in (waiting, running):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    with pytest.raises(ZeroDivisionError):
        async with places.taken(Deadline.after(30)):
            raise ZeroDivisionError
    work.end.set()
    await asyncio.gather(*await begun(work, 2))
