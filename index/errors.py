"""What the index raises.

HybridIndexError
├── IndexCorrupt        a file is damaged or missing; rebuild the index from the log
├── IndexMismatch       the directory was made for other vectors, another analyzer or in another format
├── IndexLocked         another process (or object) has the directory open
├── GenerationRefused   a generation is not in the state that the call needs
├── InvalidOperation    an operation does not fit the index; nothing of its batch was applied
├── HelperFailed        a process that worked for the index ended, or cannot be started; try again
├── HelperStopped       the index is being closed, and with it what worked for it in the background
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

    def __reduce__(self) -> tuple[object, ...]:
        """Helper processes raise it, too."""
        return type(self), (self.path, self.problem)


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


class HelperFailed(HybridIndexError):
    def __init__(self, problem: str) -> None:
        super().__init__(f"a process that works for the index failed: {problem}")
        self.problem = problem

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problem,)


class HelperStopped(HybridIndexError):
    def __init__(self) -> None:
        super().__init__("the index is being closed")


class SearchStopped(HybridIndexError):
    def __init__(self) -> None:
        super().__init__("the search was stopped")
