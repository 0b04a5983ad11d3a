"""Our own halves as parts, and parts that run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from server.embedded.health import NotReady
from server.embedded.process import Launch


@dataclass(frozen=True, slots=True)
class ExternalPart:
    """Something that somebody else runs: only its health is watched."""

    name: str
    probe: Callable[[], None]
    start_deadline_s: float = 30.0

    def check(self) -> None:
        self.probe()


@dataclass(slots=True)
class PythonProgram:
    """A command of ours. Without a `probe` it counts as healthy once it has lived for `settle_s`."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    probe: Callable[[], None] | None = None
    start_deadline_s: float = 120.0
    settle_s: float = 1.0
    _launched_at: float = field(default=0.0, init=False)

    def prepare(self) -> None:
        """Needs nothing."""

    def launch(self) -> Launch:
        self._launched_at = time.monotonic()
        # Its pools are processes too.
        return Launch(self.argv, self.environment, self.directory, guarded=True)

    def check(self) -> None:
        if self.probe is not None:
            self.probe()
        elif time.monotonic() - self._launched_at < self.settle_s:
            raise NotReady("it has just started")

    def clean(self) -> None:
        """Leaves nothing."""
