"""A cache of bounded size, for what is costly to make and cheap to keep."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class LeastRecentlyUsed(Generic[Value]):
    """Keeps what was asked for last, `capacity_bytes` of it by the sizes that its user states. Safe for many threads.

    Two threads that miss the same key both make its value; either is kept.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._entries: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    @property
    def bytes(self) -> int:
        """Stated sizes of all that is kept."""
        return self._bytes

    def clear(self) -> None:
        """Drops everything."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def get(self, key: Hashable) -> Value | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: Hashable, value: Value, size_bytes: int) -> None:
        """Drops what was not asked for longest; keeps nothing that is larger than the capacity."""
        if size_bytes > self._capacity_bytes:
            return
        with self._lock:
            _, replaced = self._entries.pop(key, (None, 0))
            self._entries[key] = (value, size_bytes)
            self._bytes += size_bytes - replaced
            while self._bytes > self._capacity_bytes:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._bytes -= dropped
