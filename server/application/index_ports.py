"""What keeping the index needs from the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from server.domain.deadline import Deadline
from server.domain.generations import Generation, GenerationComparison, GenerationOptions, IndexCopy
from server.domain.passages import LogEntry


class ChangeLog(Protocol):
    """The order of all changes to the searchable chunks. Positions become visible in increasing order."""

    async def read(self, after: int, limit: int, fingerprint: str) -> list[LogEntry]:
        """Up to `limit` entries in order. An upsert that a later entry supersedes may come as a removal."""

    async def head(self) -> int:
        """The last position; 0 when empty."""


class LogView(Protocol):
    """What follows the change log. One task only calls `apply` and `commit`; `compact` may run beside it."""

    @property
    def position(self) -> int:
        """The last applied position."""

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        """In order; entries at or before `position` are ignored."""

    async def commit(self) -> None:
        """Makes what was applied durable, with its position."""

    async def compact(self) -> bool:
        """Takes the bytes of what had been removed or replaced before the call off the disk. Returns whether there were
        any. Raises DependencyUnavailable; another call then does what is left."""


class FollowedGenerations(Protocol):
    """The generations of the index, as who keeps them up to date sees them."""

    @property
    def serving(self) -> str:
        """The name of the one that is searched."""

    def views(self) -> Mapping[str, LogView]:
        """All of them, by name."""

    async def caught_up(self, name: str) -> None:
        """Says that this generation has come to the end of the log. Once more, or when it is gone, does nothing."""


class IndexGenerations(Protocol):
    """The generations of the index. What was begun here is built elsewhere, by who follows the change log."""

    async def all(self) -> tuple[Generation, ...]:
        """The oldest first."""

    async def begin(self, options: GenerationOptions) -> Generation:
        """An empty generation beside the serving one. Raises GenerationExists, DependencyUnavailable."""

    async def activate(self, name: str) -> tuple[Generation, str]:
        """Lets `name` serve; durable when it returns, with the name of the one before. Raises GenerationNotFound,
        WrongGenerationState unless `name` is complete."""

    async def retire(self, name: str) -> None:
        """Takes it off the list, for good. Raises GenerationNotFound, WrongGenerationState for the one that serves."""

    async def erase(self, name: str) -> None:
        """Deletes the files of a generation that was retired and that nobody follows any more."""


class IndexCare(Protocol):
    """Looks into what the index holds."""

    async def compare(self, name: str, samples: int, deadline: Deadline) -> GenerationComparison:
        """The serving generation and `name`, asked with `samples` of the stored passages. Raises GenerationNotFound,
        WrongGenerationState unless `name` is complete, StageDeadline, Overloaded."""

    async def copy(self, name: str, deadline: Deadline) -> IndexCopy:
        """The serving generation, written to a folder of its own. Raises SnapshotExists, StageDeadline,
        DependencyUnavailable."""

    async def verify(self, name: str) -> str:
        """Compares the generation's files with their checksums; what is wrong with it, or nothing. Cost: reading all of
        them once. Raises DependencyUnavailable when they cannot be read now, which says nothing about them."""
