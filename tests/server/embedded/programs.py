"""Small programs that stand for parts in the supervisor's tests."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from server.embedded.health import NotReady
from server.embedded.process import Launch

# Says that it is up by creating a file named after its pid, and ends as it is told to.
LIVES = """
import os, pathlib, signal, sys, time
mode, home = sys.argv[1], pathlib.Path(sys.argv[2])
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode == "broken":
    sys.exit("cannot work like this")
with (home / "starts").open("a") as starts:
    starts.write(f"{os.getpid()}\\n")
time.sleep(600)
"""


@dataclass(frozen=True)
class SmallProgram:
    """Healthy once it has written its pid to `home/starts`."""

    name: str
    home: Path
    mode: str = "obedient"
    start_deadline_s: float = 30.0

    def prepare(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    def launch(self) -> Launch:
        return Launch((sys.executable, "-c", LIVES, self.mode, str(self.home)), {}, self.home)

    def check(self) -> None:
        if not self.pids():
            raise NotReady("no pid yet")

    def clean(self) -> None:
        (self.home / "cleaned").touch()

    def pids(self) -> list[int]:
        """Of every start so far."""
        file = self.home / "starts"
        return [int(line) for line in file.read_text().split()] if file.exists() else []
