"""Connections to PostgreSQL, and where its errors become ours."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg
import psycopg_pool
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, Overloaded

Connection = psycopg.AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """`statement_timeout_s` bounds every statement, `pool_timeout_s` the wait for a free connection. A connection that
    cannot be made is given up after `reconnect_s`, and tried anew for the next caller: the pool's own back-off would
    double for minutes, and keep callers waiting that long after the database is back."""

    min_connections: int = 1
    max_connections: int = 8
    max_waiting: int = 256
    connect_timeout_s: int = 5
    pool_timeout_s: float = 10.0
    reconnect_s: float = 2.0
    statement_timeout_s: float = 30.0
    application_name: str = "pinakes"


class PostgresPool:
    """`async with PostgresPool(dsn, options) as pool:`; entering does not need the server to be there yet.

    Connections are checked when they are handed out, so that a restart of the server costs callers nothing.
    """

    def __init__(self, dsn: str, options: PostgresOptions | None = None) -> None:
        self._options = options or PostgresOptions()
        milliseconds = int(self._options.statement_timeout_s * 1000)
        session = {
            "statement_timeout": milliseconds,
            "lock_timeout": milliseconds,
            "idle_in_transaction_session_timeout": 2 * milliseconds,
            "TimeZone": "UTC",
        }
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            kwargs={
                "row_factory": dict_row,
                "application_name": self._options.application_name,
                "connect_timeout": self._options.connect_timeout_s,
                "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
            },
            min_size=self._options.min_connections,
            max_size=self._options.max_connections,
            max_waiting=self._options.max_waiting,
            timeout=self._options.pool_timeout_s,
            reconnect_timeout=self._options.reconnect_s,
            check=_check,
            open=False,
        )

    async def __aenter__(self) -> Self:
        await self._pool.open(wait=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, *, flushed: bool = True) -> AsyncIterator[Connection]:
        """One transaction: committed at the end, rolled back by any exception. With `flushed=False` a crash of the
        server may forget it (never half of it): for what costs only time to do again.

        Raises DependencyUnavailable when the server does not answer or gave up (it is then unknown whether a commit
        happened), Overloaded when too many wait for a connection. Errors of our own SQL pass through: they are defects.
        """
        try:
            async with self._pool.connection() as connection:
                if not flushed:
                    await connection.execute("SET LOCAL synchronous_commit = off")
                yield connection
        except psycopg_pool.TooManyRequests as exc:
            raise Overloaded("PostgreSQL", retry_after_s=1.0) from exc
        except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
            # The server's own words may hold values of parameters: only their class is told.
            raise DependencyUnavailable("PostgreSQL", type(exc).__name__) from exc

    async def answers(self, deadline: Deadline) -> bool:
        """Whether the database does, before the deadline."""
        try:
            async with asyncio.timeout(deadline.remaining()), self.transaction() as connection:
                await connection.execute("SELECT 1")
        except (TimeoutError, DependencyUnavailable, Overloaded):
            return False
        return True


async def _check(connection: Connection) -> None:
    """Raises psycopg.OperationalError for a connection that is broken. A server that has ended has closed it, and one
    that ends says so before: only where there is something to read is the server asked, which costs as much as a
    statement."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        await AsyncConnectionPool.check_connection(connection)
