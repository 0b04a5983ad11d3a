"""Work that is repeated ends when it is cancelled, whatever its steps make of that."""

from __future__ import annotations

import asyncio

import pytest

from server.application.background import repeat


async def test_a_step_that_loses_its_cancellation_is_the_last() -> None:
    waiting, steps = asyncio.Event(), 0

    async def step() -> None:
        nonlocal steps
        steps += 1
        waiting.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return

    async with asyncio.timeout(60):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(repeat("some work", step))
            await waiting.wait()
            task.cancel()
    assert task.cancelled()
    assert steps == 1


async def test_a_step_whose_time_is_up_is_followed_by_another() -> None:
    done, steps = asyncio.Event(), 0

    async def step() -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            done.set()
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(3600)
        except TimeoutError:
            return

    task = asyncio.create_task(repeat("some work", step))
    async with asyncio.timeout(60):
        await done.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
