"""Keeps parts alive: starts them in the order of their dependencies, restarts what ends, stops all in reverse."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from server.embedded.errors import EmbeddedError, PartFailed
from server.embedded.events import PartChanged, PartState, StackEvent
from server.embedded.health import NotReady
from server.embedded.process import ChildProcess, Part, Program

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """`grace_s` is what a process gets between being asked to stop and being killed. A part that was healthy for
    `stable_s` starts its back-off anew. A part that fails `unhealthy_after` checks in a row is reported, not killed:
    under load a slow answer is no reason to lose work."""

    grace_s: float = 20.0
    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0
    stable_s: float = 60.0
    check_interval_s: float = 5.0
    unhealthy_after: int = 3


@dataclass(frozen=True, slots=True)
class Supervised:
    """A part, the names of those that have to be healthy before it starts (`after`), and of those that it may start
    beside (`uses`). It is stopped before all of them."""

    part: Part
    after: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


@dataclass(slots=True)
class _Kept:
    part: Part
    after: tuple[str, ...]
    uses: tuple[str, ...]
    process: ChildProcess | None = None
    crashes: int = 0
    was_healthy: bool = False
    healthy: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


def restart_delay_s(crashes: int, options: SupervisorOptions, jitter: float) -> float:
    """How long to wait after crash number `crashes` (from 1): doubling, half of it random (`jitter`, 0 to 1)."""
    full = min(options.first_delay_s * 2.0 ** min(crashes - 1, 32), options.longest_delay_s)
    return full * (0.5 + 0.5 * jitter)


class Supervisor:
    """Runs parts, given in any order, until told to stop. Used once.

    `inherited` are file descriptors that every process keeps open.
    """

    def __init__(
        self,
        parts: Iterable[Supervised],
        logs: Path,
        on_event: Callable[[StackEvent], None],
        options: SupervisorOptions | None = None,
        inherited: Sequence[int] = (),
    ) -> None:
        self._kept = {entry.part.name: _Kept(entry.part, entry.after, entry.uses) for entry in parts}
        self._logs = logs
        self._on_event = on_event
        self._options = options or SupervisorOptions()
        self._inherited = tuple(inherited)
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failure: EmbeddedError | None = None

    def stop(self) -> None:
        """Begins an orderly stop; the second call kills what still runs."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def healthy(self) -> bool:
        """Waits until every part was healthy (True) or the stop began (False)."""
        everything = asyncio.gather(*(kept.healthy.wait() for kept in self._kept.values()))
        return await self._unless_stopping(everything)

    async def run(self) -> None:
        """Returns when everything has ended after `stop`.

        A part that was never healthy is not started again: the others are stopped and its EmbeddedError is raised.
        """
        results = await asyncio.gather(*(self._keep(kept) for kept in self._kept.values()), return_exceptions=True)
        if self._failure is not None:
            raise self._failure
        for result in results:
            if result is not None:
                raise result

    async def _keep(self, kept: _Kept) -> None:
        try:
            await self._unless_stopping(self._live(kept))
        except EmbeddedError as exc:
            self._report(kept, PartState.FAILED, exc.reason if isinstance(exc, PartFailed) else str(exc))
            self._failure = self._failure or exc
        finally:
            # Also after an error of our own: nothing may be left running.
            self._stopping.set()
            await self._end(kept)

    async def _live(self, kept: _Kept) -> None:
        while True:
            self._report(kept, PartState.WAITING)
            for name in kept.after:
                await self._kept[name].healthy.wait()
            try:
                healthy_at = await self._start(kept)
                reason = await self._watch(kept)
                if time.monotonic() - healthy_at >= self._options.stable_s:
                    kept.crashes = 0
            except EmbeddedError as exc:
                if not kept.was_healthy:
                    raise
                reason = str(exc)
                if kept.process is not None:
                    await self._end_process(kept, kept.process)
            kept.healthy.clear()
            kept.crashes += 1
            delay_s = restart_delay_s(kept.crashes, self._options, random.random())
            self._report(kept, PartState.RESTARTING, f"{reason}; again in {delay_s:.1f} s")
            await asyncio.sleep(delay_s)

    async def _start(self, kept: _Kept) -> float:
        """Returns when it was seen healthy, on the monotonic clock."""
        began = time.monotonic()
        part = kept.part
        if isinstance(part, Program):
            self._report(kept, PartState.PREPARING)
            await _in_thread(part.prepare)
            # In this thread, which lives as long as the stack: a child dies with the thread that started it.
            kept.process = ChildProcess(part.name, part.launch(), self._logs / f"{part.name}.log", self._inherited)
        self._report(kept, PartState.STARTING)
        while (problem := await self._problem(kept)) is not None:
            if time.monotonic() - began > part.start_deadline_s:
                raise self._failed(kept, f"not healthy after {part.start_deadline_s:.0f} s: {problem}")
            await asyncio.sleep(_POLL_S)
        kept.was_healthy = True
        kept.healthy.set()
        self._report(kept, PartState.HEALTHY, seconds=time.monotonic() - began)
        return time.monotonic()

    async def _watch(self, kept: _Kept) -> str:
        """Returns why the part ended; an external part never does."""
        failures = 0
        next_check = time.monotonic() + self._options.check_interval_s
        while True:
            await asyncio.sleep(_POLL_S)
            if kept.process is not None and kept.process.exit_status is not None:
                return _how_it_ended(kept.process.exit_status)
            if time.monotonic() < next_check:
                continue
            problem = await self._problem(kept)
            next_check = time.monotonic() + self._options.check_interval_s
            if problem is None and failures >= self._options.unhealthy_after:
                self._report(kept, PartState.HEALTHY)
            failures = failures + 1 if problem is not None else 0
            if problem is not None and failures == self._options.unhealthy_after:
                self._report(kept, PartState.UNHEALTHY, problem)

    async def _problem(self, kept: _Kept) -> str | None:
        """What is wrong with the part now. Raises PartFailed when its process ended."""
        if kept.process is not None and kept.process.exit_status is not None:
            raise self._failed(kept, f"{_how_it_ended(kept.process.exit_status)} while starting")
        try:
            await _in_thread(kept.part.check)
        except NotReady as exc:
            return str(exc)
        return None

    def _failed(self, kept: _Kept, reason: str) -> PartFailed:
        return kept.process.failure(reason) if kept.process else PartFailed(kept.part.name, reason)

    async def _end(self, kept: _Kept) -> None:
        """Stops the part after those that depend on it."""
        name = kept.part.name
        for other in self._kept.values():
            if name in other.after or name in other.uses:
                await other.ended.wait()
        try:
            if kept.process is not None and isinstance(kept.part, Program):
                await self._end_process(kept, kept.process)
                await _in_thread(kept.part.clean)
        finally:
            kept.ended.set()

    async def _end_process(self, kept: _Kept, process: ChildProcess) -> None:
        began = time.monotonic()
        self._report(kept, PartState.STOPPING)
        process.ask_to_stop()
        while process.exit_status is None:
            if self._hurry.is_set() or time.monotonic() - began > self._options.grace_s:
                process.kill()
            await asyncio.sleep(_POLL_S)
        self._report(kept, PartState.STOPPED, seconds=time.monotonic() - began)

    async def _unless_stopping(self, work: Awaitable[object]) -> bool:
        """Awaits `work`, or cancels it when the stop begins. Returns whether it finished."""
        task = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
        if task.cancelled():
            return False
        await task
        return True

    def _report(self, kept: _Kept, state: PartState, detail: str = "", seconds: float = 0.0) -> None:
        self._on_event(PartChanged(kept.part.name, state, detail, seconds))


def _how_it_ended(status: int) -> str:
    # The launcher of a guarded program says it as a shell does, with 128 and the signal.
    number = -status if status < 0 else status - 128
    return f"killed by signal {number}" if number > 0 else f"ended with status {status}"


async def _in_thread(call: Callable[[], None]) -> None:
    """Runs a blocking call; when cancelled, still waits for it, so that it never runs beside what comes next."""
    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise
