"""What is kept of earlier calls, and what calls at the same time share."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Generic, Protocol, TypeVar

from cachetools import TTLCache

from server.domain.deadline import Deadline
from server.domain.errors import StageDeadline

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")

_OBJECT_BYTES = 100


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """At most so many entries, of so many bytes together (as estimated, texts above all), each kept for `keep_s` at
    most; those unused for longest go first. Without entries nothing is kept, and nothing shared."""

    entries: int = 4_096
    size_bytes: int = 64 * 2**20
    keep_s: float = 3_600.0
    share_from_s: float = 5.0
    """Calls share work only while each has more time left than this: with less, one may have to do with a worse result
    than another."""


@dataclass(slots=True)
class CacheUse:
    """Since the process began. `hits` were answered by what was kept, `shared` by another call's work, `misses` by work
    of their own. A `stale` entry could not be used any more: the index has moved on, or the reader's rights or the
    documents have changed. A `bypassed` call asked for fresh work."""

    hits: int = 0
    shared: int = 0
    misses: int = 0
    stale: int = 0
    bypassed: int = 0
    evicted: int = 0


@dataclass(frozen=True, slots=True)
class _Entry(Generic[_V]):
    version: Hashable
    value: _V
    size_bytes: int


class CacheView(Protocol):
    """A cache, as who watches it sees it, from any thread."""

    @property
    def use(self) -> CacheUse: ...

    @property
    def entries(self) -> int: ...

    @property
    def size_bytes(self) -> int: ...


class BoundedCache(Generic[_K, _V]):
    """Values by key, each of a version: of another version than is asked for, it is as if it were not there. With the
    first value of a new version all others go, so that what was deleted does not stay in memory."""

    def __init__(
        self,
        options: CacheOptions,
        size_of: Callable[[_K, _V], int],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """size_of: bytes that a key and its value take, about."""
        self.use = CacheUse()
        self._options = options
        self._size_of = size_of
        self._entries: TTLCache[_K, _Entry[_V]] = TTLCache(
            max(1, options.size_bytes), options.keep_s, now, lambda entry: entry.size_bytes
        )
        # To ask the entries themselves is to change them: those whose time has passed go then.
        self._held = 0, 0
        self._version: Hashable = None

    @property
    def on(self) -> bool:
        return self._options.entries > 0

    @property
    def entries(self) -> int:
        return self._held[0]

    @property
    def size_bytes(self) -> int:
        return self._held[1]

    def find(self, key: _K, version: Hashable) -> _V | None:
        """Counts what it finds as a hit, unless `refuse` follows."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.version != version:
            self._drop(key)
            self.use.stale += 1
            return None
        self.use.hits += 1
        return entry.value

    def refuse(self, key: _K) -> None:
        """Drops what `find` returned: it may not be used."""
        self._drop(key)
        self.use.hits -= 1
        self.use.stale += 1

    def keep(self, key: _K, version: Hashable, value: _V) -> None:
        """`version`: of now. Does nothing for a value that is larger than all entries together may be."""
        entry = _Entry(version, value, self._size_of(key, value))
        if not self.on or entry.size_bytes > self._options.size_bytes:
            return
        if version != self._version:
            self._version = version
            self.use.stale += len(self._entries)
            self._entries.clear()
        self._drop(key)
        before = len(self._entries)
        while len(self._entries) >= self._options.entries:
            self._entries.popitem()
        self._entries[key] = entry
        self.use.evicted += before + 1 - len(self._entries)
        self._count()

    def _drop(self, key: _K) -> None:
        self._entries.pop(key, None)
        self._count()

    def _count(self) -> None:
        self._held = len(self._entries), int(self._entries.currsize)


def held_bytes(value: object) -> int:
    """Bytes that a tree of frozen dataclasses, tuples, frozen sets and strings takes, about. Cost: a microsecond for
    each object."""
    match value:
        case str():
            return sys.getsizeof(value)
        case tuple() | frozenset():
            return sys.getsizeof(value) + sum(map(held_bytes, value))
        case _ if is_dataclass(value):
            return _OBJECT_BYTES + sum(held_bytes(getattr(value, each.name)) for each in fields(value))
        case _:
            return 0


@dataclass(slots=True)
class _Work(Generic[_V]):
    task: asyncio.Task[_V]
    deadline: Deadline
    callers: int = field(default=0)


class SharedWork(Generic[_K, _V]):
    """Callers that ask for the same at the same time wait for one task. It is cancelled when all of them have gone."""

    def __init__(self, share_from_s: float) -> None:
        self._share_from_s = share_from_s
        self._works: dict[_K, _Work[_V]] = {}

    async def run(
        self, key: _K, stage: str, deadline: Deadline, make: Callable[[], Coroutine[Any, Any, _V]]
    ) -> tuple[_V, bool]:
        """What `make` returned, to this caller or to another one (True), who then had time to spare, as this one has.
        Raises what `make` raises, but not for another caller's deadline, and StageDeadline for `stage` when this
        caller's time has passed."""
        if deadline.remaining() < self._share_from_s:
            return await make(), False
        work = self._works.get(key)
        joined = work is not None and work.deadline.remaining() >= self._share_from_s
        if work is None or not joined:
            work = _Work(asyncio.create_task(make()), deadline)
            self._works[key] = work
        work.callers += 1
        try:
            async with asyncio.timeout(deadline.remaining()) as limit:
                return await asyncio.shield(work.task), joined
        except StageDeadline:
            if not joined:
                raise
        except TimeoutError:
            if not limit.expired():
                raise
            raise StageDeadline(stage) from None
        finally:
            work.callers -= 1
            if self._works.get(key) is work and (work.task.done() or not work.callers):
                del self._works[key]
            if not work.callers:
                await _ended(work.task)
        # It was the other one's time that has passed.
        return await make(), False


async def _ended(task: asyncio.Task[Any]) -> None:
    """Cancels it and waits; its failure has been told to whoever waited for it."""
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()
