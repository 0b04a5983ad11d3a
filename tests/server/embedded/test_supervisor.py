"""The supervisor, with small real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from server.embedded.errors import PartFailed
from server.embedded.events import PartChanged, PartState, StackEvent
from server.embedded.health import NotReady
from server.embedded.programs import ExternalPart
from server.embedded.supervisor import Supervised, Supervisor, SupervisorOptions, restart_delay_s
from tests.server.embedded.programs import SmallProgram, still_running

QUICK = SupervisorOptions(grace_s=20.0, first_delay_s=0.01, longest_delay_s=0.05, check_interval_s=0.05)


@asynccontextmanager
async def supervised(supervisor: Supervisor) -> AsyncIterator[asyncio.Task[None]]:
    """The supervisor, running and healthy; stopped at the end."""
    run = asyncio.create_task(supervisor.run())
    try:
        assert await supervisor.healthy()
        yield run
    finally:
        supervisor.stop()
        await run


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what happens in other processes sets no event
            await asyncio.sleep(0.01)


def changes(events: list[StackEvent], state: PartState) -> list[str]:
    return [event.part for event in events if isinstance(event, PartChanged) and event.state is state]


async def test_parts_start_after_what_they_need_and_stop_before_it(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    parts = [
        Supervised(SmallProgram("worker", tmp_path / "worker"), after=("database", "queue")),
        Supervised(SmallProgram("database", tmp_path / "database")),
        Supervised(SmallProgram("queue", tmp_path / "queue")),
    ]
    async with supervised(Supervisor(parts, tmp_path, events.append, QUICK)):
        pass
    assert changes(events, PartState.HEALTHY)[-1] == "worker"
    assert changes(events, PartState.STOPPED)[0] == "worker"
    assert sorted(changes(events, PartState.STOPPED)) == ["database", "queue", "worker"]
    assert (tmp_path / "worker" / "cleaned").exists()


async def test_a_part_may_start_beside_what_it_uses_and_still_stops_before_it(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    parts = [
        Supervised(SmallProgram("server", tmp_path / "server"), uses=("model",)),
        Supervised(SmallProgram("model", tmp_path / "model")),
    ]
    async with supervised(Supervisor(parts, tmp_path, events.append, QUICK)):
        pass
    order = [(event.part, event.state) for event in events if isinstance(event, PartChanged)]
    assert order.index(("server", PartState.STARTING)) < order.index(("model", PartState.HEALTHY))
    assert changes(events, PartState.STOPPED) == ["server", "model"]


async def test_a_crashed_part_is_started_again_and_its_log_kept(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    program = SmallProgram("part", tmp_path / "part")
    async with supervised(Supervisor([Supervised(program)], tmp_path, events.append, QUICK)):
        for crash in range(1, 4):
            os.kill(program.pids()[-1], signal.SIGKILL)
            await until(lambda wanted=crash + 1: len(program.pids()) == wanted)  # type: ignore[misc]
            await until(lambda wanted=crash + 1: len(changes(events, PartState.HEALTHY)) == wanted)  # type: ignore[misc]
    details = [event.detail for event in events if isinstance(event, PartChanged) and event.detail]
    assert len(details) == 3
    assert all(detail.startswith("killed by signal 9") for detail in details)
    assert not any(psutil.pid_exists(pid) for pid in program.pids())


def test_delays_double_up_to_the_longest_and_vary() -> None:
    options = SupervisorOptions(first_delay_s=1.0, longest_delay_s=10.0)
    assert [restart_delay_s(crashes, options, 1.0) for crashes in (1, 2, 3, 4, 5, 1000)] == [1, 2, 4, 8, 10, 10]
    assert restart_delay_s(3, options, 0.0) == 2.0


async def test_a_part_that_never_worked_ends_the_stack_with_its_log(tmp_path: Path) -> None:
    good = SmallProgram("good", tmp_path / "good")
    bad = SmallProgram("bad", tmp_path / "bad", mode="broken")
    supervisor = Supervisor([Supervised(good), Supervised(bad, after=("good",))], tmp_path, lambda _: None, QUICK)
    with pytest.raises(PartFailed, match="cannot work like this") as failure:
        await supervisor.run()
    assert failure.value.part == "bad"
    assert not psutil.pid_exists(good.pids()[0])


async def test_a_part_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    program = SmallProgram("part", tmp_path / "part", mode="stubborn")
    options = SupervisorOptions(grace_s=0.1)
    async with supervised(Supervisor([Supervised(program)], tmp_path, lambda _: None, options)):
        pass
    assert not psutil.pid_exists(program.pids()[0])


async def test_a_second_request_to_stop_does_not_wait(tmp_path: Path) -> None:
    program = SmallProgram("part", tmp_path / "part", mode="stubborn")
    supervisor = Supervisor([Supervised(program)], tmp_path, lambda _: None, SupervisorOptions(grace_s=10_000.0))
    async with supervised(supervisor):
        supervisor.stop()
    assert not psutil.pid_exists(program.pids()[0])


async def test_an_external_part_is_watched(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    broken = False

    def probe() -> None:
        if broken:
            raise NotReady("it is gone")

    async with supervised(Supervisor([Supervised(ExternalPart("far", probe))], tmp_path, events.append, QUICK)):
        broken = True
        await until(lambda: changes(events, PartState.UNHEALTHY) == ["far"])
        broken = False
        await until(lambda: len(changes(events, PartState.HEALTHY)) == 2)


async def test_stopping_while_a_part_starts_leaves_nothing(tmp_path: Path) -> None:
    never = SmallProgram("never", tmp_path / "never", mode="stubborn")
    waits = ExternalPart("waits", lambda: (_ for _ in ()).throw(NotReady("not yet")), start_deadline_s=600)
    parts = [Supervised(never), Supervised(waits), Supervised(SmallProgram("last", tmp_path / "last"), ("waits",))]
    supervisor = Supervisor(parts, tmp_path, lambda _: None, SupervisorOptions(grace_s=0.1))
    run = asyncio.create_task(supervisor.run())
    await until(lambda: bool(never.pids()))
    supervisor.stop()
    await run
    assert not psutil.pid_exists(never.pids()[0])
    assert not (tmp_path / "last" / "starts").exists()


@pytest.mark.parametrize("guarded", [False, True])
async def test_what_a_crashed_part_started_ends_too(tmp_path: Path, guarded: bool) -> None:
    program = SmallProgram("part", tmp_path / "part", mode="family", guarded=guarded)
    async with supervised(Supervisor([Supervised(program)], tmp_path, lambda _: None, QUICK)):
        child = program.child()
        assert child is not None
        process = psutil.Process(child)
        os.kill(program.pids()[0], signal.SIGKILL)
        await until(lambda: len(program.pids()) == 2)
        assert not still_running([process], within_s=0)


async def test_a_guarded_part_reports_how_it_ended(tmp_path: Path) -> None:
    events: list[StackEvent] = []
    program = SmallProgram("part", tmp_path / "part", guarded=True)
    async with supervised(Supervisor([Supervised(program)], tmp_path, events.append, QUICK)):
        os.kill(program.pids()[0], signal.SIGKILL)
        await until(lambda: len(program.pids()) == 2)
    assert any(isinstance(event, PartChanged) and "killed by signal 9" in event.detail for event in events)


KILLED = """
import asyncio, pathlib, sys
from server.embedded.supervisor import Supervised, Supervisor
from tests.server.embedded.programs import SmallProgram
home = pathlib.Path(sys.argv[1])
parts = [
    Supervised(SmallProgram("one", home / "one")),
    Supervised(SmallProgram("two", home / "two", "stubborn")),
    Supervised(SmallProgram("three", home / "three", "family", guarded=True)),
]
asyncio.run(Supervisor(parts, home, lambda event: print(event, flush=True)).run())
"""


def test_kill_9_of_the_supervisor_leaves_no_orphan(tmp_path: Path, environment: dict[str, str]) -> None:
    project = Path(__file__).resolve().parents[3]
    programs = [SmallProgram(name, tmp_path / name, guarded=name == "three") for name in ("one", "two", "three")]
    region = Path("/dev/shm", f"{programs[2].shared_memory_prefix}left")
    region.touch()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        cwd=project,
        env=environment | {"PYTHONPATH": str(project)},
        stdout=subprocess.PIPE,
        text=True,
    ) as supervisor:
        assert supervisor.stdout is not None
        healthy = 0
        while healthy < 3:
            line = supervisor.stdout.readline()
            assert line, "the supervisor ended"
            healthy += "PartState.HEALTHY" in line
        children = psutil.Process(supervisor.pid).children(recursive=True)
        assert {pid for program in programs for pid in program.pids()} < {child.pid for child in children}
        assert programs[2].child() in {child.pid for child in children}
        supervisor.kill()
    assert len(children) == 5
    assert not still_running(children, within_s=30)
    assert not region.exists()
