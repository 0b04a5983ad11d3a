"""Plain text in memory that other processes can open like a file."""

from __future__ import annotations

import asyncio
import fcntl
import os
import weakref
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from server.domain.errors import Overloaded

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class MemoryFile:
    """An anonymous file (memfd_create(2)), which is on no disk but where the machine swaps. It cannot be changed once
    it is there. Its path can be opened by processes of the same user, until it is closed; what they opened stays."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        """Raises OSError, and whatever `parts` raises."""
        self._descriptor = os.memfd_create("blob", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        # Also when whoever waited for it was cancelled, and nobody has it.
        self._close = weakref.finalize(self, os.close, self._descriptor)
        try:
            for part in parts:
                _write(self._descriptor, part)
            fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path:
        return Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")

    def close(self) -> None:
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class MemoryBudget:
    """At most `limit_bytes` are taken at a time, or one share that is larger. Shares are given in the order in which
    they were asked for, so that small ones do not keep a large one out. Of one event loop."""

    def __init__(self, name: str, limit_bytes: int, wait_s: float) -> None:
        self._name = name
        self._limit = limit_bytes
        self._wait_s = wait_s
        self._changed = asyncio.Condition()
        self._line: deque[object] = deque()
        self.taken_bytes = 0

    @asynccontextmanager
    async def share(self, size: int) -> AsyncIterator[None]:
        """Raises Overloaded when there is no room in time."""
        async with self._changed:
            place = object()
            self._line.append(place)
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._changed.wait_for(lambda: self._line[0] is place and self._fits(size))
            except TimeoutError as exc:
                raise Overloaded(self._name, retry_after_s=1.0) from exc
            finally:
                self._line.remove(place)
                self._changed.notify_all()
            self.taken_bytes += size
        try:
            yield
        finally:
            self.taken_bytes -= size
            # Whoever waits looks again; a lock that is taken right now is given up to somebody who looks.
            await asyncio.shield(self._tell())

    def _fits(self, size: int) -> bool:
        return self.taken_bytes == 0 or self.taken_bytes + size <= self._limit

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _write(descriptor: int, part: bytes) -> None:
    rest = memoryview(part)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
