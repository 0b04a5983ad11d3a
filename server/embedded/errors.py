"""What can go wrong while the embedded parts run.

EmbeddedError
├── PrerequisiteMissing     the machine lacks something; `fix` is the command that brings it
├── PartFailed              a part did not start, or cannot run; carries the end of its log
└── StackRunning            another stack owns the data directory
"""

from __future__ import annotations

from pathlib import Path


class EmbeddedError(Exception):
    """Root of the tree. `str(error)` is for the person at the terminal."""


class PrerequisiteMissing(EmbeddedError):
    """The machine lacks `what`; `fix` is one command that brings it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; fix it with: {fix}")
        self.what = what
        self.fix = fix


class PartFailed(EmbeddedError):
    """The part `part` failed because of `reason`. `log_tail` is the end of `log`, possibly empty."""

    def __init__(self, part: str, reason: str, log: Path | None = None, log_tail: str = "") -> None:
        message = f"{part}: {reason}"
        if log_tail:
            message += f"\nthe end of {log}:\n{log_tail}"
        super().__init__(message)
        self.part = part
        self.reason = reason
        self.log = log
        self.log_tail = log_tail


class StackRunning(EmbeddedError):
    """Another stack, of process `pid` (None: it is still going down), owns `directory`."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        who = "processes of a Pinakes that was killed" if pid is None else f"another Pinakes (process {pid})"
        super().__init__(f"{who} still use {directory}; stop them first, or choose another data directory")
        self.directory = directory
        self.pid = pid
