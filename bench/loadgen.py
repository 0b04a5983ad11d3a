"""Sends calls and times them.

`open_loop` sends at the times of a schedule whether or not earlier calls have returned, as independent users do, and
counts latency from the *scheduled* send. A generator that waits for a slow reply before it sends again would leave out
exactly the calls that would have been slow ("coordinated omission", G. Tene, "How NOT to Measure Latency", 2015).
`single_caller` is that closed loop on purpose: one call at a time, what one patient caller sees of an idle server.
`alternating` compares operations one call at a time, in turns.

Everything is bounded in count and in time and ends by itself. Times are those of the running event loop's clock.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.record import Sample

NOT_SENT = "NOT_SENT"
UNFINISHED = "UNFINISHED"

Operation = Callable[[int], Awaitable[Mapping[str, float]]]
"""Makes the n-th call (from 0) and returns the seconds of its stages. Raises OperationFailed when the call fails; what
else it raises is a defect of the bench and ends the run."""


class OperationFailed(Exception):
    """The call failed, and that is a result. `reason` names why, without any text of the request."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Bounds:
    """After `limit_s` nothing more is sent; what still runs `drain_s` later is cancelled. With `max_in_flight` calls
    under way the next one is sent late, and its latency still counts from its schedule."""

    limit_s: float
    max_in_flight: int = 256
    drain_s: float = 10.0


def constant_schedule(rate_per_s: float, count: int) -> list[float]:
    """Send times in seconds from the start, evenly spaced."""
    _check_rate(rate_per_s)
    return [number / rate_per_s for number in range(count)]


def poisson_schedule(rate_per_s: float, count: int, rng: np.random.Generator) -> list[float]:
    """Send times in seconds from the start, with exponential gaps: callers who know nothing of each other."""
    _check_rate(rate_per_s)
    times: list[float] = np.cumsum(rng.exponential(1.0 / rate_per_s, count)).tolist()
    return times


async def open_loop(operation: Operation, schedule: Sequence[float], bounds: Bounds) -> tuple[Sample, ...]:
    """One sample per scheduled call, in the order of the schedule (ascending seconds from now).

    A call that was never sent, or was cancelled at the end, is a failed sample (NOT_SENT, UNFINISHED) whose latency is
    how long it had waited by then.
    """
    clock = asyncio.get_running_loop().time
    origin = clock()
    slots = asyncio.Semaphore(bounds.max_in_flight)
    done: dict[int, Sample] = {}
    sent_at: dict[int, float] = {}

    async def call(number: int) -> None:
        sent_at[number] = clock() - origin
        try:
            done[number] = await _timed(operation, number, origin, scheduled_s=schedule[number])
        finally:
            slots.release()

    tasks: list[asyncio.Task[None]] = []
    try:
        try:
            async with asyncio.timeout_at(origin + bounds.limit_s):
                for number, at_s in enumerate(schedule):
                    await asyncio.sleep(max(0.0, origin + at_s - clock()))
                    await slots.acquire()
                    _raise_defect(tasks)
                    tasks.append(asyncio.create_task(call(number)))
        except TimeoutError:
            pass
        if tasks:
            await asyncio.wait(tasks, timeout=bounds.drain_s)
        _raise_defect(tasks)
        end_s = clock() - origin
    finally:
        await _cancelled(tasks)
    return tuple(
        done.get(number) or _lost(number, at_s, sent_at.get(number), end_s) for number, at_s in enumerate(schedule)
    )


async def single_caller(operation: Operation, count: int, limit_s: float) -> tuple[Sample, ...]:
    """At most `count` calls, each sent when the one before has returned; none is begun after `limit_s`.

    For the latency of one caller only: it says nothing about a server under load.
    """
    samples = await alternating({"": operation}, count, limit_s)
    return samples[""]


async def alternating(
    operations: Mapping[str, Operation], rounds: int, limit_s: float
) -> dict[str, tuple[Sample, ...]]:
    """At most `rounds` rounds, in each of which every operation makes one call with the same number, one at a time.

    The order turns around from round to round (ABBA), so that neither a drift of the machine nor being second favours
    one. The n-th samples of all operations belong together.
    """
    clock = asyncio.get_running_loop().time
    origin = clock()
    samples: dict[str, list[Sample]] = {name: [] for name in operations}
    for number in range(rounds):
        if clock() - origin >= limit_s:
            break
        names = list(operations) if number % 2 == 0 else list(reversed(list(operations)))
        for name in names:
            samples[name].append(await _timed(operations[name], number, origin))
    return {name: tuple(series) for name, series in samples.items()}


async def _timed(operation: Operation, number: int, origin: float, scheduled_s: float | None = None) -> Sample:
    clock = asyncio.get_running_loop().time
    sent_s = clock() - origin
    due_s = sent_s if scheduled_s is None else scheduled_s
    stages_s: Mapping[str, float] = {}
    error = ""
    try:
        stages_s = await operation(number)
    except OperationFailed as failed:
        error = failed.reason
    return Sample(number, due_s, sent_s, clock() - origin - due_s, dict(stages_s), error)


def _lost(number: int, scheduled_s: float, sent_s: float | None, end_s: float) -> Sample:
    waited_s = max(0.0, end_s - scheduled_s)
    if sent_s is None:
        return Sample(number, scheduled_s, None, waited_s, {}, NOT_SENT)
    return Sample(number, scheduled_s, sent_s, waited_s, {}, UNFINISHED)


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _raise_defect(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()


def _check_rate(rate_per_s: float) -> None:
    if not (math.isfinite(rate_per_s) and rate_per_s > 0):
        raise ValueError(f"the rate must be positive, not {rate_per_s}")
