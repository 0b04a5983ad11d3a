"""One child process: how it is started, watched and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from server.embedded.errors import PartFailed
from server.embedded.health import NotReady
from server.embedded.service_user import ServiceUser

_LAUNCHER = str(Path(__file__).with_name("launcher.py"))
_ORPHAN_GRACE_S = 10.0
_POLL_S = 0.02
_LOG_LIMIT_BYTES = 16 * 1024 * 1024
_TAIL_BYTES = 64 * 1024
_TAIL_LINE = 500


@dataclass(frozen=True, slots=True)
class Launch:
    """What to execute. `stop_signal` asks for an orderly end.

    When the starting process dies without asking, the kernel sends `orphan_signal`. A program that has processes of
    its own is `guarded` instead (see `launcher`): it gets `stop_signal`, then they all are killed, and files in
    /dev/shm that begin with `shared_memory_prefix` are removed.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    user: ServiceUser | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    guarded: bool = False
    shared_memory_prefix: str = ""

    def command(self) -> tuple[str, ...]:
        """What a child of this process executes to end with it."""
        user = "-" if self.user is None else f"{self.user.uid}:{self.user.gid}:{self.user.capability}"
        guard = f"{int(self.stop_signal)}:{_ORPHAN_GRACE_S}:{self.shared_memory_prefix}" if self.guarded else "-"
        facts = (str(os.getpid()), str(int(self.orphan_signal)), user, guard)
        return (sys.executable, "-I", "-S", _LAUNCHER, *facts, *self.argv)


@runtime_checkable
class Part(Protocol):
    """Something that the stack needs, here or elsewhere."""

    @property
    def name(self) -> str: ...

    @property
    def start_deadline_s(self) -> float:
        """How long it may take until `check` passes."""

    def check(self) -> None:
        """Returns when the part answers; raises NotReady. Blocks for at most `health.CHECK_S`."""


@runtime_checkable
class Program(Part, Protocol):
    """A part that Pinakes runs: what to do before, how to start it, what to remove after."""

    def prepare(self) -> None:
        """Makes files and removes what a crashed predecessor left. Idempotent; blocks. Raises EmbeddedError."""

    def launch(self) -> Launch: ...

    def clean(self) -> None:
        """After its process ended: removes what it leaves outside its data directory."""


class ChildProcess:
    """A process in a group of its own whose output goes to a log file.

    Start it from a thread that lives as long as it should: the kernel ends it when that thread ends.
    `inherited` are file descriptors that it keeps open (the lock of the data directory).
    """

    def __init__(self, name: str, launch: Launch, log: Path, inherited: Sequence[int] = ()) -> None:
        self.name = name
        self.log = log
        self._launch = launch
        self._rotate()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                launch.command(),
                env=dict(launch.environment),
                cwd=launch.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=tuple(inherited),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative for a signal. Once it is known, the rest of its group is gone too."""
        if self._process.returncode is None and self._ended():
            # Before the process is reaped, so that its number cannot have passed to somebody else.
            self.kill()
            self._process.wait()
        return self._process.returncode

    def ask_to_stop(self) -> None:
        if self.exit_status is None:
            self._process.send_signal(signal.SIGTERM if self._launch.guarded else self._launch.stop_signal)

    def kill(self) -> None:
        """Ends the whole group at once."""
        if self._process.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)

    def stop(self, grace_s: float) -> bool:
        """Blocks until it ended: asks, and after `grace_s` kills. Returns whether asking was enough."""
        self.ask_to_stop()
        deadline = time.monotonic() + grace_s
        while self.exit_status is None and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        orderly = self.exit_status is not None
        self.kill()
        self._process.wait()
        return orderly

    def failure(self, reason: str) -> PartFailed:
        return PartFailed(self.name, reason, self.log, tail(self.log))

    def _ended(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def _rotate(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(self.log.suffix + ".1"))


@contextmanager
def running(program: Program, log: Path, grace_s: float = 10.0) -> Iterator[ChildProcess]:
    """`program`, started and healthy, while the context lasts. Raises PartFailed."""
    program.prepare()
    process = ChildProcess(program.name, program.launch(), log)
    try:
        _wait_until_healthy(program, process)
        yield process
    finally:
        process.stop(grace_s)
        program.clean()


def _wait_until_healthy(program: Program, process: ChildProcess) -> None:
    deadline = time.monotonic() + program.start_deadline_s
    while True:
        status = process.exit_status
        if status is not None:
            raise process.failure(f"it ended with status {status} while starting")
        try:
            program.check()
            return
        except NotReady as exc:
            if time.monotonic() > deadline:
                raise process.failure(f"not healthy after {program.start_deadline_s:.0f} s: {exc}") from exc
        time.sleep(_POLL_S)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, without the tables that Triton draws; "" if there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = file.read().decode(errors="replace")
    kept = [line[:_TAIL_LINE] for line in text.splitlines() if line.strip() and not line.startswith(("|", "+-"))]
    return "\n".join(kept[-lines:])
