"""One index in this process: the port `PassageIndex`, and the `LogView` that keeps it up to date."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import structlog

import index
from index import IndexOptions
from server.adapters.index_failures import EXPECTED, index_unavailable
from server.adapters.index_terms import operation, search_request, search_result
from server.adapters.search_lane import SearchLane
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, IndexBehind
from server.domain.passages import IndexQuery, IndexResult, LogEntry

_log = structlog.get_logger()
_STAGE = "search"
_REBUILDS = 2
"""At a time: one of new chunks and one of what is merged, so that a long merge holds nothing up."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PassageIndexOptions:
    search_threads: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """One per core: more make every search slower and none faster."""
    waiting_searches: int = 64
    """More searches than these wait for a thread: they are refused."""
    retry_after_s: float = 0.5
    give_way_s: float = 1.0
    """For so long at most a generation that does not serve waits, before each batch of changes, for searches to end."""
    index: IndexOptions = field(default_factory=IndexOptions)

    def lane(self) -> SearchLane:
        return SearchLane(self.search_threads, self.waiting_searches, self.retry_after_s)


class HybridPassageIndex:
    """Searches run in the lane's threads, changes in one of their own and rebuilds in two; the event loop only waits,
    and owns this."""

    def __init__(
        self, generation: str, opened: index.HybridIndex, lane: SearchLane, options: PassageIndexOptions
    ) -> None:
        """`lane` may be shared; whoever made it, and `opened`, closes them."""
        self.generation = generation
        self.gives_way = False
        """Whether changes wait, for a moment, while there are searches: of the generation that serves."""
        self.failure = ""
        """Why the last change failed; empty after one that succeeded."""
        self._index = opened
        self._lane = lane
        self._options = options
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{generation}-writer")
        self._rebuilders = ThreadPoolExecutor(_REBUILDS, thread_name_prefix=f"{generation}-rebuild")
        self._rebuilding: set[asyncio.Task[bool]] = set()
        self._applying = asyncio.Lock()
        self._planning = asyncio.Lock()
        self._closing = False
        self._advanced = asyncio.Condition()

    @property
    def position(self) -> int:
        return self._index.position

    async def search(
        self, query: IndexQuery, vector: npt.NDArray[np.float32] | None, deadline: Deadline
    ) -> IndexResult:
        request = search_request(query, vector)

        def run(stop: index.Stop) -> index.SearchResult:
            return self._index.snapshot().search(request, stop)

        return search_result(await self._lane.run(run, deadline, _STAGE), self.generation)

    def snapshot(self) -> index.Snapshot:
        return self._index.snapshot()

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        if self.gives_way:
            await self._lane.quiet(self._options.give_way_s)
        async with self._applying:
            await self._change(lambda: self._index.apply([operation(entry) for entry in entries]))
        await self.wake()

    @contextlib.asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """Nothing is applied while the context lasts."""
        async with self._applying:
            yield

    async def commit(self) -> None:
        """Makes what was applied durable. Parts that are due for it are rebuilt in the background."""
        await self._change(self._index.commit)
        await self._start_due()

    async def compact(self) -> bool:
        """Takes the bytes of all that was removed off the disk. Cost: rewriting each part that has some, while changes
        and searches go on."""
        if not await self._write(lambda: self._index.holds_removed):
            return False
        up_to = self.position
        while True:
            rebuild = await self._write(functools.partial(self._index.plan_compaction, up_to))
            if rebuild is not None:
                if not await self._start(rebuild):
                    raise DependencyUnavailable("the index", "it could not be compacted")
            elif self._rebuilding:
                # What another rebuild is made of cannot be planned for; it may take some of the work off.
                await asyncio.wait(self._rebuilding, return_when=asyncio.FIRST_COMPLETED)
            else:
                return True

    async def verify(self) -> None:
        """Compares every file with its checksum, unless it is closed meanwhile. Raises index.IndexCorrupt, OSError.
        Cost: reading all of them once."""
        with contextlib.suppress(index.HelperStopped):
            await asyncio.to_thread(self._index.verify)

    async def write(self, change: Callable[[], Result]) -> Result:
        """What `change` returns, in the one thread that may change the index."""
        return await self._write(change)

    async def copy(self, target: Path) -> int:
        """Writes a copy that can be opened like any index; returns its position. Raises FileExistsError."""

        def save() -> int:
            self._index.save_snapshot(target)
            return self._index.committed_position

        return await self._write(save, FileExistsError)

    async def wait_for(self, position: int, deadline: Deadline, replaced: Callable[[], bool] = lambda: False) -> None:
        """Also returns when `replaced`, which is asked after each change and by `wake`. Raises IndexBehind."""

        def over() -> bool:
            return self.position >= position or replaced()

        if over():
            return
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining())), self._advanced:
                await self._advanced.wait_for(over)
        except TimeoutError as error:
            raise IndexBehind(position, self.position) from error

    async def wake(self) -> None:
        """Lets whoever waits for a position look again."""
        async with self._advanced:
            self._advanced.notify_all()

    async def close(self) -> None:
        """Ends after running changes. Rebuilds are given up, and so is a comparison with checksums."""
        self._closing = True
        await asyncio.to_thread(self._index.stop_background)
        while self._rebuilding:
            await asyncio.wait(self._rebuilding)
        await asyncio.to_thread(self._rebuilders.shutdown)
        await asyncio.to_thread(self._writer.shutdown)

    async def _start_due(self) -> None:
        """Starts what is due. Only one caller asks at a time: a plan is not there to be asked for twice."""
        async with self._planning:
            while len(self._rebuilding) < _REBUILDS and not self._closing:
                rebuild = await self._write(self._index.plan_rebuild)
                if rebuild is None:
                    return
                self._start(rebuild)

    def _start(self, rebuild: index.Rebuild) -> asyncio.Task[bool]:
        task = asyncio.create_task(self._rebuild(rebuild), name="index-rebuild")
        self._rebuilding.add(task)
        return task

    async def _rebuild(self, rebuild: index.Rebuild) -> bool:
        """Whether it succeeded. A failure is logged; the next commit or compaction tries again."""
        try:
            try:
                await asyncio.wrap_future(self._rebuilders.submit(rebuild.run))
            finally:
                await self._write(functools.partial(self._index.install, rebuild))
        except index.HelperStopped:
            return False
        except (*EXPECTED, DependencyUnavailable) as error:
            _log.warning("index_rebuild_failed", generation=self.generation, reason=str(error))
            return False
        finally:
            task = asyncio.current_task()
            assert task is not None
            self._rebuilding.discard(task)
        await self._start_due()
        return True

    async def _change(self, change: Callable[[], object]) -> None:
        try:
            await self._write(change)
        except DependencyUnavailable as error:
            self.failure = error.problem
            raise
        self.failure = ""

    async def _write(self, change: Callable[[], Result], *told: type[Exception]) -> Result:
        """`told`: what is raised as it is."""
        try:
            return await asyncio.wrap_future(self._writer.submit(change))
        except told:
            raise
        except EXPECTED as error:
            raise index_unavailable(error) from error
