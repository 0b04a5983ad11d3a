"""What PostgreSQL says of credentials, kept in memory for as long as it is known to hold.

Every change is told (`IdentityChanges`), and what it concerns is read anew for the next call. While it is uncertain
whether changes are heard, nothing that is kept is used: each call asks PostgreSQL, and is refused if that does not
answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from cachetools import TTLCache

from server.application.identity_ports import IdentityChanges
from server.domain.errors import Overloaded, StageDeadline

_V = TypeVar("_V")

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StateOptions:
    """At most `entries` states are kept, each for `keep_s` at most. `reads` of them are read at a time, while `waiting`
    wait, `limit_s` at most: so many strangers as may come, they take no more of the database."""

    entries: int = 10_000
    keep_s: float = 60.0
    reads: int = 4
    waiting: int = 256
    limit_s: float = 5.0


class IdentityStates:
    """States by kind and id. The event loop owns it."""

    def __init__(
        self, changes: IdentityChanges, options: StateOptions, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._changes = changes
        self._options = options
        self._kept: TTLCache[_Key, Any] = TTLCache(options.entries, options.keep_s, now)
        self._reading: dict[_Key, asyncio.Task[Any]] = {}
        self._free = asyncio.Semaphore(options.reads)
        self._waiting = 0
        self.version = 0
        """Grows with every change that is heard."""
        changes.listen(self.forget)

    async def get(self, kind: str, name: str, read: Callable[[], Awaitable[_V]]) -> _V:
        """What `read` returned, now or since the last change. What there is not is read each time: there is no end of
        names. Raises what `read` raises, Overloaded, StageDeadline."""
        key = (kind, name)
        if not self._changes.heard:
            return await self._read(read)
        found: _V | None = self._kept.get(key)
        if found is not None:
            return found
        task = self._reading.get(key)
        if task is None:
            task = asyncio.create_task(self._read_and_keep(key, read))
            self._reading[key] = task
            task.add_done_callback(lambda ended: self._read_ended(key, ended))
        shared: _V = await asyncio.shield(task)
        return shared

    def forget(self, kind: str, name: str) -> None:
        """What was read before this is not used after it. A user's change concerns all sessions and keys; an
        empty kind, everything."""
        self.version += 1
        concerned = [key for key in {*self._kept, *self._reading} if _concerns(kind, name, key)]
        for key in concerned:
            self._kept.pop(key, None)
            self._reading.pop(key, None)

    async def _read_and_keep(self, key: _Key, read: Callable[[], Awaitable[_V]]) -> _V:
        version = self.version
        value = await self._read(read)
        # A change in between may not be in it yet.
        if value is not None and version == self.version and self._changes.heard:
            self._kept[key] = value
        return value

    def _read_ended(self, key: _Key, task: asyncio.Task[Any]) -> None:
        if self._reading.get(key) is task:
            del self._reading[key]
        if not task.cancelled():
            task.exception()  # told to those who wait; if they have all gone, to nobody

    async def _read(self, read: Callable[[], Awaitable[_V]]) -> _V:
        if self._waiting >= self._options.waiting:
            raise Overloaded("identity", retry_after_s=0.5)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._options.limit_s) as limit, self._free:
                return await read()
        except TimeoutError:
            if not limit.expired():
                raise
            raise StageDeadline("identity") from None
        finally:
            self._waiting -= 1


def _concerns(kind: str, name: str, key: _Key) -> bool:
    if kind == "user":
        return key[0] in ("session", "key")
    return not kind or key == (kind, name)
