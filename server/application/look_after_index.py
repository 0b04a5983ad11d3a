"""Tells what the index consists of; builds, compares, swaps and copies its generations."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TypeVar

from server.application.follow_generations import FollowGenerations
from server.application.index_ports import ChangeLog, IndexCare, IndexGenerations
from server.application.query import bounded
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField
from server.domain.generations import Generation, GenerationComparison, GenerationOptions, IndexCopy

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LEAST_DEGREE, _MOST_DEGREE = 8, 96
_MOST_EFFORT = 1_000
_DEFAULT_SAMPLES = 100
_MOST_SAMPLES = 1_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BuildCommand:
    """A generation as the caller asked for it, not yet checked; None takes the server's setting."""

    graph_degree: int | None = None
    build_effort: int | None = None


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """All generations, the oldest first, and the end of the change log."""

    generations: tuple[Generation, ...]
    log_position: int


class LookAfterIndex:
    """What changes the list of generations is done whole, also when the caller has gone meanwhile."""

    def __init__(
        self,
        generations: IndexGenerations,
        care: IndexCare,
        following: FollowGenerations,
        log: ChangeLog,
        defaults: GenerationOptions,
    ) -> None:
        """`defaults`: the server's own settings of a generation."""
        self._generations = generations
        self._care = care
        self._following = following
        self._log = log
        self._defaults = defaults
        self._under_way: set[asyncio.Task[object]] = set()

    async def status(self) -> IndexStatus:
        """Raises DependencyUnavailable."""
        # The log first: no generation may seem to be ahead of it.
        position = await self._log.head()
        return IndexStatus(await self._generations.all(), position)

    async def build(self, command: BuildCommand) -> Generation:
        """Begins a generation, which is built in the background. Raises InvalidField, GenerationExists,
        DependencyUnavailable."""
        degree = command.graph_degree if command.graph_degree is not None else self._defaults.graph_degree
        if not _LEAST_DEGREE <= degree <= _MOST_DEGREE:
            raise InvalidField(
                "options.graph_degree", f"must lie between {_LEAST_DEGREE} and {_MOST_DEGREE}, and is {degree:,}"
            )
        effort = command.build_effort if command.build_effort is not None else max(degree, self._defaults.build_effort)
        if not degree <= effort <= _MOST_EFFORT:
            rule = f"must lie between the graph's degree, {degree}, and {_MOST_EFFORT:,}, and is {effort:,}"
            raise InvalidField("options.build_effort", rule)
        return await self.begin(GenerationOptions(degree, effort))

    async def begin(self, options: GenerationOptions) -> Generation:
        """Begins a generation with options that are known to be good, and has it followed. Raises GenerationExists,
        DependencyUnavailable."""

        async def begin() -> Generation:
            generation = await self._generations.begin(options)
            self._following.follow(generation.name)
            return generation

        return await self._whole(begin())

    async def compare(self, name: str, samples: int, deadline: Deadline) -> GenerationComparison:
        """Asks the serving generation and `name` the same questions. Raises InvalidField, GenerationNotFound,
        WrongGenerationState, StageDeadline, Overloaded."""
        questions = bounded("samples", samples, 1, _MOST_SAMPLES, _DEFAULT_SAMPLES)
        return await self._care.compare(_named(name), questions, deadline)

    async def activate(self, name: str) -> tuple[Generation, str]:
        """Lets `name` serve; also returns the name of the one that served before. Raises InvalidField,
        GenerationNotFound, WrongGenerationState."""
        return await self._whole(self._generations.activate(_named(name)))

    async def delete(self, name: str) -> None:
        """Raises InvalidField, GenerationNotFound, WrongGenerationState."""
        _named(name)

        async def delete() -> None:
            await self._generations.retire(name)
            await self._following.let_go(name)
            await self._generations.erase(name)

        await self._whole(delete())

    async def copy(self, name: str, deadline: Deadline) -> IndexCopy:
        """Copies the serving generation while it serves. Raises InvalidField, SnapshotExists, StageDeadline,
        DependencyUnavailable."""
        return await self._care.copy(_named(name), deadline)

    async def _whole(self, work: Coroutine[None, None, T]) -> T:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)


def _named(name: str) -> str:
    """A name never leads out of the folder that it is looked for in."""
    if _NAME.fullmatch(name) is None:
        raise InvalidField("name", "must have 1 to 64 characters, each a letter, a digit, - or _")
    return name
