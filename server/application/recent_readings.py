"""What a store says of a tenant, kept for a short time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cachetools import LRUCache

_V = TypeVar("_V")


@dataclass(eq=False, frozen=True, slots=True)
class _Reading(Generic[_V]):
    """What the store says, or will say, of `began`."""

    task: asyncio.Task[_V]
    began: float


class RecentReadings(Generic[_V]):
    """By tenant, of so many `tenants` at most. A reading is used by those who ask within `keep_s` of its beginning,
    so that nobody is told what was before a change that returned longer ago. The event loop owns it."""

    def __init__(
        self,
        read: Callable[[str], Coroutine[Any, Any, _V]],
        keep_s: float,
        tenants: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._keep_s = keep_s
        self._now = now
        self._readings: LRUCache[str, _Reading[_V]] = LRUCache(tenants)

    async def of(self, tenant: str) -> _V:
        """Raises what `read` raises; the next one who asks has it read anew then."""
        reading = self._readings.get(tenant)
        # However long it takes: who asks now must not be told what was before a change that has returned.
        if reading is None or self._now() - reading.began >= self._keep_s:
            began = self._now()
            reading = self._readings[tenant] = _Reading(asyncio.create_task(self._read(tenant)), began)
            reading.task.add_done_callback(lambda task: self._ended(tenant, task))
        return await asyncio.shield(reading.task)

    def forget(self, tenant: str) -> None:
        """Also a reading that goes on: who asks after this is told by one that begins after it."""
        self._readings.pop(tenant, None)

    def _ended(self, tenant: str, task: asyncio.Task[_V]) -> None:
        """A failure is told to those who wait for it, and to nobody after them."""
        failed = task.cancelled() or task.exception() is not None
        reading = self._readings.get(tenant)
        if failed and reading is not None and reading.task is task:
            del self._readings[tenant]
