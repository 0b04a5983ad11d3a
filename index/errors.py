"""What the index raises.

HybridIndexError
├── IndexCorrupt        a file is damaged or missing; rebuild the index from the log
├── IndexMismatch       the directory was made for other vectors, another analyzer or a newer format
├── IndexLocked         another process (or object) has the directory open
├── GenerationRefused   a generation is not in the state that the call needs
├── InvalidOperation    an operation does not fit the index; nothing of its batch was applied
└── SearchStopped       the caller's stop signal came during a search
"""

from __future__ import annotations

from pathlib import Path


class HybridIndexError(Exception):
    """Root of the tree."""


class IndexCorrupt(HybridIndexError):
    """`path` cannot be trusted; `problem` says why. No state is lost that the log does not hold."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} is corrupt: {problem}")
        self.path = path
        self.problem = problem


class IndexMismatch(HybridIndexError):
    """`what` of the stored index is `stored`, the caller wants `wanted`."""

    def __init__(self, what: str, stored: object, wanted: object) -> None:
        super().__init__(f"the index has {what} {stored}, and {wanted} was asked for")
        self.what = what
        self.stored = stored
        self.wanted = wanted


class IndexLocked(HybridIndexError):
    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is open elsewhere")
        self.path = path


class GenerationRefused(HybridIndexError):
    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"the generation {name}: {problem}")
        self.name = name
        self.problem = problem


class InvalidOperation(HybridIndexError):
    """`position` is the operation's."""

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(f"the operation at position {position} is refused: {problem}")
        self.position = position
        self.problem = problem


class SearchStopped(HybridIndexError):
    def __init__(self) -> None:
        super().__init__("the search was stopped")
