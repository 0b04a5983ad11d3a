"""The generations of the index in one directory, and the one that serves as the port `PassageIndex`."""

from __future__ import annotations

import asyncio
import errno
import functools
import shutil
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import structlog

import index
import kernels
from index.hybrid import LOCK_FILE
from server.adapters.database_binding import BINDING_FILE, bind
from server.adapters.hybrid_passage_index import HybridPassageIndex, PassageIndexOptions
from server.adapters.index_failures import EXPECTED, index_unavailable
from server.adapters.reading.lane import Lane
from server.adapters.search_lane import SearchLane
from server.domain.deadline import Deadline
from server.domain.errors import (
    DependencyUnavailable,
    GenerationExists,
    GenerationNotFound,
    IndexAhead,
    IndexBehind,
    SnapshotExists,
    StageDeadline,
    WrongDatabase,
    WrongGenerationState,
)
from server.domain.generations import (
    Generation,
    GenerationComparison,
    GenerationOptions,
    GenerationState,
    IndexCopy,
    IndexSegment,
)
from server.domain.passages import IndexQuery, IndexResult

_log = structlog.get_logger()
_MOST_GENERATIONS = 2
_DERIVED = frozenset({"analyzer", "format", "format of generations"})
"""Mismatches that come from a new version of this program; the log has all that a rebuild needs."""
_ATTEMPTS = 2 * _MOST_GENERATIONS + 2
_SWAP_LIMIT_S = 10.0
"""A generation has so long to come to where the serving one is, before they change places."""
_CARE_WAIT_S = 5.0
"""Comparisons go one at a time; whoever has waited so long for that is refused."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FollowedLog:
    """The change log that an index follows: its database, and its last position now."""

    database_id: str
    head: int


class HybridIndexGenerations:
    """The event loop owns this."""

    def __init__(
        self,
        copies: Path,
        generations: index.Generations,
        lane: SearchLane,
        options: PassageIndexOptions,
        sound_from: int,
    ) -> None:
        """Use `open`."""
        self._copies = copies
        self._generations = generations
        self._lane = lane
        self._options = options
        self._views = {each.name: self._view(each) for each in generations.all()}
        self._retired: dict[str, HybridPassageIndex] = {}
        self._complete: set[str] = set()
        self._damage: dict[str, str] = {}
        self._sound_from = sound_from
        self._changing = asyncio.Lock()
        self._care = Lane("the index's care", 1, _CARE_WAIT_S)
        self._give_way()

    @classmethod
    async def open(
        cls,
        directory: Path,
        copies: Path,
        dimension: int,
        fingerprint: str,
        options: PassageIndexOptions | None = None,
        log: FollowedLog | None = None,
    ) -> HybridIndexGenerations:
        """Opens or creates the index, and compiles its kernels (half a minute the first time on a machine). Copies are
        written below `copies`.

        A generation that is damaged, was made by another version of this program or holds more than `log` (which was
        restored from an older copy) is emptied; its position is then 0, and the change log is to be applied from its
        start. All are deleted if they follow another database's log. Raises DependencyUnavailable if one was made for
        another embedding model or the index is open in another process.
        """
        chosen = options or PassageIndexOptions()
        generations = await asyncio.to_thread(_open, directory, dimension, fingerprint, chosen.index, log)
        return cls(copies, generations, chosen.lane(), chosen, 0 if log is None else log.head)

    # --- the port PassageIndex ---------------------------------------------------------------------------------------

    @property
    def _serving(self) -> HybridPassageIndex:
        return self._views[self.serving]

    @property
    def position(self) -> int:
        return self._serving.position

    @property
    def fingerprint(self) -> str:
        return self._generations.serving.fingerprint

    async def search(
        self, query: IndexQuery, vector: npt.NDArray[np.float32] | None, deadline: Deadline
    ) -> IndexResult:
        return await self._serving.search(query, vector, deadline)

    async def wait_for(self, position: int, deadline: Deadline) -> None:
        while self.position < position:
            waiting_on = self._serving
            await waiting_on.wait_for(position, deadline, functools.partial(self._replaced, waiting_on))

    def _replaced(self, view: HybridPassageIndex) -> bool:
        return view is not self._serving

    def rarities(self, query: str) -> Mapping[str, float]:
        """How much each token of a query weighs in the serving generation; for any thread."""
        return self._generations.snapshot().rarities(query)

    # --- the port IndexGenerations -----------------------------------------------------------------------------------

    @property
    def sound(self) -> bool:
        """Whether the serving generation is whole: none of its files is damaged, and it holds what the log held when
        this was opened: one that had to be begun anew lacks much of that, perhaps over several starts."""
        return self.serving not in self._damage and self.position >= self._sound_from

    @property
    def serving(self) -> str:
        return self._generations.serving.name

    def views(self) -> Mapping[str, HybridPassageIndex]:
        return dict(self._views)

    async def caught_up(self, name: str) -> None:
        if name in self._views and name not in self._complete:
            self._complete.add(name)
            _log.info("generation_complete", generation=name, position=self._views[name].position)

    async def all(self) -> tuple[Generation, ...]:
        return tuple([self._told(each) for each in self._generations.all()])

    async def begin(self, options: GenerationOptions) -> Generation:
        async with self._changing:
            if len(self._views) >= _MOST_GENERATIONS:
                raise GenerationExists(next(name for name in self._views if name != self.serving))
            serving = self._generations.serving
            begin = functools.partial(
                self._generations.begin,
                dimension=serving.dimension,
                fingerprint=serving.fingerprint,
                **{"graph.degree": options.graph_degree, "graph.effort": options.build_effort},
            )
            begun = await _translated(asyncio.to_thread(begin))
            self._views[begun.name] = self._view(begun)
            self._give_way()
            _log.info("generation_begun", generation=begun.name)
            return self._told(begun)

    async def compare(self, name: str, samples: int, deadline: Deadline) -> GenerationComparison:
        other = self._ready(name)
        ours, theirs = self._serving.snapshot(), other.snapshot()

        def stop() -> bool:
            return deadline.remaining() <= 0

        def compare() -> index.Comparison:
            return index.compare(ours, theirs, samples, stop)

        try:
            found = await self._care.run(compare, deadline.budget("compare"), "compare")
        except index.SearchStopped as error:
            raise StageDeadline("compare") from error
        return GenerationComparison(found.recall, found.other_recall, found.overlap, found.samples)

    async def activate(self, name: str) -> tuple[Generation, str]:
        async with self._changing:
            previous = self.serving
            if name != previous:
                await self._swap(self._ready(name))
                _log.info("generation_activated", generation=name, previous=previous)
            return self._told(self._generation(name)), previous

    async def _swap(self, other: HybridPassageIndex) -> None:
        """No position that was served is lost: the serving generation stands still until the other one is there."""
        name, previous = other.generation, self._serving
        async with previous.standing_still():
            try:
                await other.wait_for(self.position, Deadline.after(_SWAP_LIMIT_S))
                await other.write(functools.partial(self._generations.activate, name))
            except IndexBehind as error:
                raise WrongGenerationState(name, "does not keep up with the change log") from error
        self._give_way()
        await previous.wake()

    async def retire(self, name: str) -> None:
        async with self._changing:
            self._generation(name)
            if name == self.serving:
                raise WrongGenerationState(name, "serves")
            self._retired[name] = self._views.pop(name)
            self._complete.discard(name)

    async def erase(self, name: str) -> None:
        async with self._changing:
            await self._retired[name].close()
            await _translated(asyncio.to_thread(self._generations.delete, name))
            del self._retired[name]
            self._damage.pop(name, None)
            _log.info("generation_deleted", generation=name)

    async def copy(self, name: str, deadline: Deadline) -> IndexCopy:
        target = self._copies / name
        serving = self._serving

        def sized() -> int:
            return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())

        try:
            async with asyncio.timeout(deadline.budget("copy")):
                position = await serving.copy(target)
        except FileExistsError as error:
            raise SnapshotExists(name) from error
        except TimeoutError as error:
            raise StageDeadline("copy") from error
        # The copy is there: what it takes to look at its files is no reason to say otherwise.
        size = await _translated(asyncio.to_thread(sized))
        _log.info("index_copied", generation=serving.generation, path=str(target), position=position)
        return IndexCopy(str(target), position, size)

    async def verify(self, name: str) -> str:
        view = self._views.get(name)
        if view is None:
            return ""
        try:
            await view.verify()
        except (index.IndexCorrupt, OSError) as error:
            if name not in self._views:
                return ""
            if isinstance(error, OSError) and error.errno != errno.EIO:
                raise index_unavailable(error) from error
            _log.error("index_damaged", generation=name, problem=str(error))
            told = f"the file {error.path.name} is damaged" if isinstance(error, index.IndexCorrupt) else error.strerror
            self._damage[name] = told or "a file cannot be read"
        return self._damage.get(name, "")

    async def close(self) -> None:
        """Ends after running searches, changes and rebuilds; what was not committed comes again from the log."""
        self._lane.refuse()
        for view in (*self._views.values(), *self._retired.values()):
            await view.close()
        await asyncio.to_thread(self._generations.close)
        await self._lane.close()
        await self._care.close()

    # -----------------------------------------------------------------------------------------------------------------

    def _view(self, generation: index.Generation) -> HybridPassageIndex:
        return HybridPassageIndex(generation.name, generation.index, self._lane, self._options)

    def _generation(self, name: str) -> index.Generation:
        """Of those that are not being deleted."""
        for each in self._generations.all():
            if each.name == name and name in self._views:
                return each
        raise GenerationNotFound(name)

    def _ready(self, name: str) -> HybridPassageIndex:
        """Complete, or the one that serves."""
        self._generation(name)
        view = self._views[name]
        if name != self.serving and name not in self._complete:
            raise WrongGenerationState(name, f"cannot be built: {view.failure}" if view.failure else "is being built")
        return view

    def _told(self, generation: index.Generation) -> Generation:
        view = self._views.get(generation.name) or self._retired[generation.name]
        state = self._state(view)
        return Generation(
            name=generation.name,
            state=state,
            position=generation.index.position,
            fingerprint=generation.fingerprint,
            create_time=datetime.fromtimestamp(generation.created_unix_s, UTC),
            segments=tuple(
                IndexSegment(part.name, part.rows, part.removed, part.graph) for part in index.describe(view.snapshot())
            ),
            options=GenerationOptions(generation.options.graph.degree, generation.options.graph.effort),
            failure=view.failure if state is GenerationState.FAILED else "",
        )

    def _state(self, view: HybridPassageIndex) -> GenerationState:
        if view.generation == self.serving:
            return GenerationState.SERVING
        if view.generation in self._complete:
            return GenerationState.READY
        return GenerationState.FAILED if view.failure else GenerationState.BUILDING

    def _give_way(self) -> None:
        for name, view in self._views.items():
            view.gives_way = name != self.serving


def _open(
    directory: Path, dimension: int, fingerprint: str, options: index.IndexOptions, log: FollowedLog | None
) -> index.Generations:
    kernels.warm_up()
    try:
        if log is not None:
            _bind(directory, log.database_id)
        for _ in range(_ATTEMPTS):
            try:
                opened = index.Generations.open(
                    directory, dimension=dimension, fingerprint=fingerprint, options=options
                )
            except index.IndexCorrupt as error:
                _empty(directory, error.path, str(error))
            except index.IndexMismatch as error:
                if error.what not in _DERIVED:
                    raise
                _empty(directory, directory, str(error))
            else:
                ahead = _ahead(opened, log)
                if not ahead:
                    return _checked(opened, dimension, fingerprint)
                opened.close()
                for name, problem in ahead.items():
                    _empty(directory, directory / name, problem)
        raise DependencyUnavailable("the index", "it stays damaged, however often it is begun anew")
    except (index.HybridIndexError, OSError) as error:
        raise index_unavailable(error) from error


def _bind(directory: Path, database_id: str) -> None:
    try:
        bind(directory, database_id)
    except WrongDatabase as error:
        _log.warning("index_rebuild", reason=str(error))
        shutil.rmtree(directory)
        bind(directory, database_id)


def _empty(directory: Path, damaged: Path, problem: str) -> None:
    """Deletes the files of the generation that the damaged file belongs to, which is begun anew then; those of all of
    them, and their list, if it belongs to none."""
    _log.warning("index_rebuild", reason=problem)
    inside = damaged.relative_to(directory).parts
    if inside and (directory / inside[0]).is_dir():
        shutil.rmtree(directory / inside[0])
        return
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in (BINDING_FILE, LOCK_FILE):
            path.unlink()


def _ahead(opened: index.Generations, log: FollowedLog | None) -> dict[str, str]:
    """Those that hold more than the log, with what is to be said of it."""
    if log is None:
        return {}
    return {
        each.name: str(IndexAhead(each.index.position, log.head))
        for each in opened.all()
        if each.index.position > log.head
    }


def _checked(opened: index.Generations, dimension: int, fingerprint: str) -> index.Generations:
    """Closes it again and raises IndexMismatch if a generation is of another embedding model than the one there is."""
    for each in opened.all():
        for what, stored, wanted in (
            ("fingerprint", each.fingerprint, fingerprint),
            ("dimension", each.dimension, dimension),
        ):
            if stored != wanted:
                opened.close()
                raise index.IndexMismatch(what, stored, wanted)
    return opened


async def _translated(work: Awaitable[T]) -> T:
    try:
        return await work
    except EXPECTED as error:
        raise index_unavailable(error) from error
