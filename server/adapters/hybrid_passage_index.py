"""The port `PassageIndex` over the index in this process."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import structlog

import index
import kernels
from index import IndexOptions
from server.adapters.database_binding import bind
from server.domain.deadline import Deadline
from server.domain.errors import (
    DependencyUnavailable,
    IndexAhead,
    IndexBehind,
    Overloaded,
    StageDeadline,
    WrongDatabase,
)
from server.domain.passages import (
    BranchScore,
    ConvexFusion,
    Fusion,
    IndexHit,
    IndexQuery,
    IndexResult,
    LogEntry,
    SearchFilter,
    SearchMode,
    SegmentPlan,
)

_log = structlog.get_logger()
_STAGE = "search"
_DERIVED = frozenset({"analyzer", "format"})
"""Mismatches that come from a new version of this program; the log has all that a rebuild needs."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PassageIndexOptions:
    search_threads: int = 2
    waiting_searches: int = 64
    """More searches than these wait for a thread: they are refused."""
    retry_after_s: float = 0.5
    index: IndexOptions = field(default_factory=IndexOptions)


@dataclass(frozen=True, slots=True)
class FollowedLog:
    """The change log that an index follows: its database, and its last position now."""

    database_id: str
    head: int


class HybridPassageIndex:
    """Searches run in a few threads, changes and rebuilds in one each; the event loop only waits, and owns this."""

    def __init__(self, opened: index.HybridIndex, writer: ThreadPoolExecutor, options: PassageIndexOptions) -> None:
        """Use `open`."""
        self._index = opened
        self._writer = writer
        self._options = options
        self._searchers = ThreadPoolExecutor(options.search_threads, thread_name_prefix="index-search")
        self._rebuilder = ThreadPoolExecutor(1, thread_name_prefix="index-rebuild")
        self._rebuilding: asyncio.Task[bool] | None = None
        self._admitted = 0
        self._advanced = asyncio.Condition()

    @classmethod
    async def open(
        cls,
        directory: Path,
        dimension: int,
        fingerprint: str,
        options: PassageIndexOptions | None = None,
        log: FollowedLog | None = None,
    ) -> HybridPassageIndex:
        """Opens or creates the index, and compiles its kernels (half a minute the first time on a machine).

        An index that is damaged, was made by another version of this program, follows another database's log or holds
        more than `log` (which was restored from an older copy) is deleted; `position` is then 0 and the change log is
        to be applied from its start. Raises DependencyUnavailable if it was made for another
        embedding model or is open in another process.
        """
        chosen = options or PassageIndexOptions()
        writer = ThreadPoolExecutor(1, thread_name_prefix="index-writer")
        try:
            opened = await asyncio.wrap_future(
                writer.submit(_open, directory, dimension, fingerprint, chosen.index, log)
            )
        except BaseException:
            writer.shutdown(wait=False, cancel_futures=True)
            raise
        return cls(opened, writer, chosen)

    @property
    def position(self) -> int:
        return self._index.position

    async def search(
        self, query: IndexQuery, vector: npt.NDArray[np.float32] | None, deadline: Deadline
    ) -> IndexResult:
        left = deadline.budget(_STAGE)
        if self._admitted >= self._options.search_threads + self._options.waiting_searches:
            raise Overloaded("the index", self._options.retry_after_s)
        abandoned = threading.Event()
        request = _request(query, vector)

        def stop() -> bool:
            return abandoned.is_set() or deadline.remaining() <= 0

        def run() -> index.SearchResult:
            return self._index.snapshot().search(request, stop)

        self._admitted += 1
        loop = asyncio.get_running_loop()
        work = self._searchers.submit(run)
        work.add_done_callback(lambda _: _on_loop(loop, self._release))
        try:
            return _result(await asyncio.wait_for(asyncio.wrap_future(work), left))
        except (TimeoutError, index.SearchStopped) as error:
            raise StageDeadline(_STAGE) from error
        finally:
            abandoned.set()

    def _release(self) -> None:
        self._admitted -= 1

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        await self._write(lambda: self._index.apply([_operation(entry) for entry in entries]))
        async with self._advanced:
            self._advanced.notify_all()

    async def commit(self) -> None:
        """Makes what was applied durable. Segments that are due for it are rebuilt in the background."""
        await self._write(self._index.commit)
        if self._rebuilding is None or self._rebuilding.done():
            self._start_rebuilding(self._rebuild_due())

    async def compact(self) -> bool:
        """Takes the bytes of all that was removed off the disk. Cost: rewriting each segment that has some, while
        changes and searches go on; only writing the head holds changes up, for a second at most."""
        if not await self._write(lambda: self._index.holds_removed):
            return False
        while self._rebuilding is not None and not self._rebuilding.done():
            await asyncio.wait([self._rebuilding])
        compacting = self._start_rebuilding(self._rebuild_removed())
        await asyncio.wait([compacting])
        if not compacting.result():
            raise DependencyUnavailable("the index", "it could not be compacted")
        return True

    def _start_rebuilding(self, work: Coroutine[None, None, None]) -> asyncio.Task[bool]:
        self._rebuilding = asyncio.create_task(_succeeded(work), name="index-rebuild")
        return self._rebuilding

    async def _rebuild_due(self) -> None:
        while rebuild := await self._write(self._index.plan_rebuild):
            await self._rebuild(rebuild)

    async def _rebuild_removed(self) -> None:
        if rebuild := await self._write(self._index.plan_compaction):
            await self._rebuild(rebuild)

    async def _rebuild(self, rebuild: index.Rebuild) -> None:
        try:
            await asyncio.wrap_future(self._rebuilder.submit(rebuild.run))
        finally:
            await self._write(functools.partial(self._index.install, rebuild))

    async def wait_for(self, position: int, deadline: Deadline) -> None:
        if self.position >= position:
            return
        try:
            async with asyncio.timeout(max(0.0, deadline.remaining())), self._advanced:
                await self._advanced.wait_for(lambda: self.position >= position)
        except TimeoutError as error:
            raise IndexBehind(position, self.position) from error

    async def close(self) -> None:
        """Ends after running searches, changes and rebuilds; what was not committed comes again from the log."""
        self._searchers.shutdown(wait=False, cancel_futures=True)
        if self._rebuilding is not None:
            await asyncio.wait([self._rebuilding])
        self._rebuilder.shutdown()
        await self._write(self._index.close)
        await asyncio.to_thread(self._searchers.shutdown)
        self._writer.shutdown()

    async def _write(self, change: Callable[[], Result]) -> Result:
        try:
            return await asyncio.wrap_future(self._writer.submit(change))
        except (index.HybridIndexError, OSError, ValueError) as error:  # Tantivy raises ValueError for most things
            raise DependencyUnavailable("the index", str(error)) from error


def _open(
    directory: Path, dimension: int, fingerprint: str, options: index.IndexOptions, log: FollowedLog | None
) -> index.HybridIndex:
    kernels.warm_up()
    open_index = functools.partial(
        index.HybridIndex.open, directory, dimension=dimension, fingerprint=fingerprint, options=options
    )
    try:
        try:
            return _checked(open_index(), directory, log)
        except (index.IndexCorrupt, WrongDatabase, IndexAhead) as error:
            _log.warning("index_rebuild", reason=str(error))
        except index.IndexMismatch as error:
            if error.what not in _DERIVED:
                raise
            _log.warning("index_rebuild", reason=str(error))
        shutil.rmtree(directory)
        return _checked(open_index(), directory, log)
    except (index.HybridIndexError, OSError) as error:
        raise DependencyUnavailable("the index", str(error)) from error


def _checked(opened: index.HybridIndex, directory: Path, log: FollowedLog | None) -> index.HybridIndex:
    """Closes it again and raises WrongDatabase or IndexAhead if it cannot follow this log."""
    try:
        if log is not None:
            bind(directory, log.database_id)
            if opened.position > log.head:
                raise IndexAhead(opened.position, log.head)
    except BaseException:
        opened.close()
        raise
    return opened


async def _succeeded(rebuilding: Coroutine[None, None, None]) -> bool:
    """A failure is logged; the next commit or compaction tries again."""
    try:
        await rebuilding
    except (DependencyUnavailable, OSError, ValueError) as error:
        _log.warning("index_rebuild_failed", reason=str(error))
        return False
    return True


def _on_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts any more
        loop.call_soon_threadsafe(callback)


def _operation(entry: LogEntry) -> index.Operation:
    chunk = entry.chunk
    if chunk is None:
        return index.Remove(entry.position, entry.chunk_id)
    return index.Upsert(
        position=entry.position,
        chunk_id=entry.chunk_id,
        vector=np.frombuffer(chunk.embedding, "<f4"),
        text=chunk.text,
        heading=" ".join(chunk.heading_path),
        attributes=index.Attributes(
            tenant=chunk.tenant,
            owner=chunk.owner,
            document_id=chunk.document_id,
            groups=chunk.groups,
            tenant_wide=chunk.tenant_wide,
            tags=chunk.tags,
            language=chunk.language,
            first_page=chunk.first_page,
            last_page=chunk.last_page,
            created_unix_s=chunk.created_unix_s,
        ),
    )


def _request(query: IndexQuery, vector: npt.NDArray[np.float32] | None) -> index.SearchRequest:
    if query.mode is not SearchMode.LEXICAL and vector is None:
        raise ValueError(f"{query.mode} needs a vector")
    principal, wanted = query.principal, query.filter
    return index.SearchRequest(
        filter=index.Filter(
            reader=index.Reader(principal.tenant, principal.user, principal.groups),
            condition=_condition(wanted),
        ),
        limit=query.limit,
        vector=None if query.mode is SearchMode.LEXICAL else vector,
        text=None if query.mode is SearchMode.DENSE else query.text,
        fusion=_fusion(query.fusion),
    )


def _condition(wanted: SearchFilter) -> index.Condition | None:
    """One of the documents, every tag and one of the languages; an empty list is no condition."""
    conditions: list[index.Condition] = [index.Tagged((tag,)) for tag in wanted.tags]
    if wanted.document_ids:
        conditions.append(index.OfDocuments(wanted.document_ids))
    if wanted.languages:
        conditions.append(index.InLanguages(wanted.languages))
    return index.AllOf(tuple(conditions)) if conditions else None


def _fusion(fusion: Fusion) -> index.Fusion:
    if isinstance(fusion, ConvexFusion):
        return index.ConvexFusion(fusion.dense_weight)
    return index.ReciprocalRankFusion(fusion.k, fusion.dense_weight)


def _result(found: index.SearchResult) -> IndexResult:
    return IndexResult(
        hits=tuple(IndexHit(hit.chunk_id, hit.score, _place(hit.dense), _place(hit.lexical)) for hit in found.hits),
        position=found.position,
        plans=tuple(SegmentPlan(part.name, part.plan, part.allowed, part.distances) for part in found.parts),
        lexical_candidates=found.lexical_candidates,
    )


def _place(place: index.BranchPlace | None) -> BranchScore | None:
    return None if place is None else BranchScore(place.rank, place.score)
