"""Small programs that stand for parts in the supervisor's tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from server.embedded.health import NotReady
from server.embedded.process import Launch

# A process of a program: says that it is up, and hears nothing.
CHILD = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1], "child").write_text(str(os.getpid()))
time.sleep(600)
"""

# Says that it is up by creating a file named after its pid, and ends as it is told to.
LIVES = f"""
CHILD = {CHILD!r}
import os, pathlib, signal, sys, time
mode, home = sys.argv[1], pathlib.Path(sys.argv[2])
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode == "family":
    import subprocess
    subprocess.Popen([sys.executable, "-c", CHILD, str(home)])
if mode == "broken":
    sys.exit("cannot work like this")
with (home / "starts").open("a") as starts:
    starts.write(str(os.getpid()) + "\\n")
time.sleep(600)
"""


def still_running(processes: Iterable[psutil.Process], within_s: float) -> list[psutil.Process]:
    """Those that have not ended within that time. A zombie has ended; init reaps it when it likes."""
    deadline = time.monotonic() + within_s
    left = list(processes)
    while (left := [process for process in left if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class SmallProgram:
    """Healthy once it has written its pid to `home/starts`."""

    name: str
    home: Path
    mode: str = "obedient"
    guarded: bool = False
    start_deadline_s: float = 30.0

    def prepare(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    def launch(self) -> Launch:
        command = (sys.executable, "-c", LIVES, self.mode, str(self.home))
        return Launch(command, {}, self.home, guarded=self.guarded, shared_memory_prefix=self.shared_memory_prefix)

    def check(self) -> None:
        if not self.pids() or (self.mode == "family" and not self.child()):
            raise NotReady("no pid yet")

    def clean(self) -> None:
        (self.home / "cleaned").touch()

    @property
    def shared_memory_prefix(self) -> str:
        return f"pinakes-test-{self.home.parent.name}-" if self.guarded else ""

    def child(self) -> int | None:
        file = self.home / "child"
        return int(file.read_text()) if file.exists() and file.read_text() else None

    def pids(self) -> list[int]:
        """Of every start so far."""
        file = self.home / "starts"
        return [int(line) for line in file.read_text().split()] if file.exists() else []
