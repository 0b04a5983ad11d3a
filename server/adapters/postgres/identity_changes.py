"""Hears what was revoked or changed, by whatever process: PostgreSQL's NOTIFY, which is sent at commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from server.application.background import repeat
from server.domain.errors import DependencyUnavailable

_CHANNEL = "pinakes_identity"


@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """Every `ask_every_s` the connection is asked whether it still is there; what was told before the answer has been
    heard with it. Without an answer for `stale_s` nothing that is kept is used."""

    ask_every_s: float = 1.0
    stale_s: float = 3.0
    connect_timeout_s: int = 5


class PostgresIdentityChanges:
    """A connection of its own, outside of the pool, made again whenever it is lost; everything is forgotten then."""

    def __init__(
        self, dsn: str, options: ChangeOptions | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._dsn = dsn
        self._options = options or ChangeOptions()
        self._now = now
        self._heard_until = float("-inf")
        self._listeners: list[Callable[[str, str], None]] = []

    @property
    def heard(self) -> bool:
        return self._now() - self._heard_until < self._options.stale_s

    def listen(self, changed: Callable[[str, str], None]) -> None:
        self._listeners.append(changed)

    async def run(self) -> None:
        """Until cancelled."""
        await repeat("identity_changes", self._follow, longest_pause_s=1.0)

    async def _follow(self) -> None:
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                connection = await psycopg.AsyncConnection.connect(
                    self._dsn,
                    autocommit=True,
                    connect_timeout=self._options.connect_timeout_s,
                    application_name="pinakes identity",
                )
            async with connection:
                await connection.execute(f"LISTEN {_CHANNEL}".encode())
                self._tell("", "")
                while True:
                    await self._ask(connection)
                    async for told in connection.notifies(timeout=self._options.ask_every_s):
                        self._tell(*told.payload.split(" ", 1))
        except (psycopg.Error, TimeoutError) as exc:
            raise DependencyUnavailable("PostgreSQL", type(exc).__name__) from exc
        finally:
            self._heard_until = float("-inf")

    async def _ask(self, connection: psycopg.AsyncConnection) -> None:
        asked = self._now()
        async with asyncio.timeout(self._options.stale_s):
            await connection.execute("SELECT 1")
        # What came before the answer.
        async for told in connection.notifies(timeout=0):
            self._tell(*told.payload.split(" ", 1))
        self._heard_until = asked

    def _tell(self, kind: str, name: str) -> None:
        for listener in self._listeners:
            listener(kind, name)
