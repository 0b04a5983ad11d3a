"""Asks many questions at once, with readers among the callers who are slow and others who leave, and watches what the
server's memory does meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

from bench.record import Sample, Series
from bench.suites.serving.workload import CrowdPlan, Question
from bench.targets import Endpoints
from pinakes import AsyncClient, ClientOptions, Completion, PinakesError, RetryPolicy

SERIES = "crowd"
FIRST_SOURCE = "first source at the caller"
UNFINISHED = "UNFINISHED"
_POLL_S = 0.1
# A retry would hide a refusal.
_ONCE = ClientOptions(retry=RetryPolicy(attempts=1))


@dataclass(slots=True)
class Memory:
    """Resident bytes of the process that listens at an address on this machine: at the beginning, and at most."""

    before: int
    most: int


@dataclass(frozen=True, slots=True)
class Crowd:
    """`memory` is None for a server elsewhere."""

    series: Series
    memory: Memory | None


async def measure_crowd(endpoints: Endpoints, questions: Sequence[Question], plan: CrowdPlan) -> Crowd:
    """All callers begin at the same time, over as many connections as they need. One who leaves has succeeded when the
    sources are there."""
    async with AsyncExitStack() as opened:
        count = -(-plan.callers // plan.callers_per_connection)
        clients = [
            await opened.enter_async_context(AsyncClient(endpoints.server, api_key=endpoints.api_key, options=_ONCE))
            for _ in range(count)
        ]
        memory = await opened.enter_async_context(_watched(endpoints.server))
        origin = asyncio.get_running_loop().time()
        calls = (
            _timed(clients[number % count], questions[number % len(questions)].question, number, origin, plan)
            for number in range(plan.callers)
        )
        samples = await asyncio.gather(*calls)
    return Crowd(Series(SERIES, "concurrent_callers", tuple(samples)), memory)


async def _timed(client: AsyncClient, question: str, number: int, origin: float, plan: CrowdPlan) -> Sample:
    clock = asyncio.get_running_loop().time
    sent_s = clock() - origin
    stages_s: dict[str, float] = {}
    error = UNFINISHED
    try:
        async with client.answer(question, timeout_s=plan.deadline_s, seed=number, no_cache=True) as events:
            async for event in events:
                stages_s.setdefault(FIRST_SOURCE, clock() - origin - sent_s)
                if isinstance(event, Completion) or number % plan.leaving_every == plan.leaving_every - 1:
                    error = ""
                    break
                if number % plan.slow_every == 0:
                    await asyncio.sleep(plan.pause_s)
    except PinakesError as exc:
        error = exc.reason or type(exc).__name__
    return Sample(number, sent_s, sent_s, clock() - origin - sent_s, stages_s, error)


@asynccontextmanager
async def _watched(address: str) -> AsyncIterator[Memory | None]:
    """Polls while the context lasts."""
    process = _listening(int(address.rpartition(":")[2]))
    if process is None:
        yield None
        return
    memory = Memory(*[process.memory_info().rss] * 2)

    async def poll() -> None:
        with suppress(psutil.NoSuchProcess):
            while True:
                memory.most = max(memory.most, process.memory_info().rss)
                await asyncio.sleep(_POLL_S)

    polling = asyncio.create_task(poll())
    try:
        yield memory
    finally:
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling


def _listening(port: int) -> psutil.Process | None:
    """None where there is no such process, or none that may be seen."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,)
            if listens and connection.pid:
                return psutil.Process(connection.pid)
    return None
