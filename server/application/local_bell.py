"""A bell that is heard in this process."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class LocalBell:
    """The port `Bell`. One waiter at a time hears it."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    async def ring(self) -> None:
        self._rung.set()

    async def wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        self._rung.clear()
