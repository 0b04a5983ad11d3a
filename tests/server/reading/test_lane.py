"""Threads are taken in turn, kept until the work is done, and ended."""

from __future__ import annotations

import asyncio
import threading

import pytest

from server.adapters.reading.lane import Lane
from server.domain.errors import DependencyUnavailable, Overloaded, StageDeadline
from tests.server.reading.conftest import PATIENCE_S


async def test_a_limit_passes_for_the_work_alone() -> None:
    lane = Lane("lane", 1, queue_wait_s=PATIENCE_S)
    done = threading.Event()
    with pytest.raises(StageDeadline, match="probe"):
        await lane.run(done.wait, 0.05, "probe")
    waiting = asyncio.create_task(lane.run(lambda: "read", 0.05, "probe"))
    await asyncio.sleep(0.2)
    assert not waiting.done(), "its limit has not begun"
    done.set()
    assert await waiting == "read"
    await lane.close()


async def test_who_finds_no_thread_is_told_so() -> None:
    lane = Lane("lane", 2, queue_wait_s=0.05)
    done = threading.Event()
    held = [asyncio.create_task(lane.run(done.wait, None, "probe")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await lane.run(lambda: None, None, "probe")
    done.set()
    await asyncio.gather(*held)
    assert await lane.run(lambda: 1, None, "probe") == 1
    await lane.close()


async def test_a_cancelled_caller_keeps_the_place_until_the_work_is_done() -> None:
    lane = Lane("lane", 1, queue_wait_s=0.05)
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        done.wait()

    caller = asyncio.create_task(lane.run(work, None, "probe"))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    await asyncio.wait((caller,))
    with pytest.raises(Overloaded):
        await lane.run(lambda: None, None, "probe")
    done.set()
    await lane.close()


async def test_what_is_left_for_later_is_done_in_turn_or_never() -> None:
    lane = Lane("lane", 1, queue_wait_s=PATIENCE_S)
    done = threading.Event()
    order: list[str] = []
    held = asyncio.create_task(lane.run(done.wait, None, "probe"))
    await asyncio.sleep(0)
    lane.later(lambda: order.append("later"))
    await asyncio.sleep(0)
    done.set()
    await lane.run(lambda: order.append("next"), None, "probe")
    await held
    assert order == ["later", "next"]
    closing = asyncio.create_task(lane.close())
    await asyncio.sleep(0)
    lane.later(lambda: order.append("too late"))
    await closing
    await asyncio.sleep(0)
    assert order == ["later", "next"]


async def test_closing_refuses_those_who_wait() -> None:
    lane = Lane("lane to close", 1, queue_wait_s=PATIENCE_S)
    done = threading.Event()
    held = asyncio.create_task(lane.run(done.wait, None, "probe"))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(lane.run(lambda: None, None, "probe"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(lane.close())
    await asyncio.sleep(0)
    done.set()
    await closing
    assert await held
    with pytest.raises(DependencyUnavailable):
        await waiting
    assert not any(thread.name.startswith("lane-to-close") for thread in threading.enumerate())
