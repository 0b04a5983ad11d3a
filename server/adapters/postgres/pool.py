"""Connections to PostgreSQL, and where its errors become ours."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg
import psycopg_pool
from psycopg import sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, Overloaded

Connection = psycopg.AsyncConnection[DictRow]

# See migrations/0016_tenants.sql.
_TENANT_ROLE, _SPANNING_ROLE = "pinakes_tenant", "pinakes_spanning"


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
                # Transactions begin with what `_begun` says.
                "autocommit": True,
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

    def transaction(
        self, tenant: str | None = None, *, flushed: bool = True
    ) -> AbstractAsyncContextManager[Connection]:
        """One transaction: committed at the end, rolled back by any exception. It sees and writes the rows of `tenant`
        alone, and those of tables that belong to no tenant; without a `tenant` only these. With `flushed=False` a
        crash of the server may forget it (never half of it): for what costs only time to do again.

        Raises DependencyUnavailable when the server does not answer or gave up (it is then unknown whether a commit
        happened), Overloaded when too many wait for a connection. Errors of our own SQL pass through: they are defects.
        """
        return self._begun(_beginning(_TENANT_ROLE, tenant or "", flushed=flushed))

    def spanning(self, *, flushed: bool = True) -> AbstractAsyncContextManager[Connection]:
        """As `transaction`, for what is done for all tenants at once, in the background or before it is known whose it
        is: it sees and writes all rows. `tests/server/postgres/test_row_security.py` names who does."""
        return self._begun(_beginning(_SPANNING_ROLE, "", flushed=flushed))

    def as_login(self) -> AbstractAsyncContextManager[Connection]:
        """As `transaction`, with the rights of whoever the dsn names: for changes of the schema."""
        return self._begun(b"BEGIN")

    @asynccontextmanager
    async def _begun(self, beginning: bytes) -> AsyncIterator[Connection]:
        try:
            async with self._pool.connection() as connection:
                # As one message, which costs no round trip beside that of BEGIN.
                await connection.execute(beginning)
                yield connection
        except psycopg_pool.TooManyRequests as exc:
            raise Overloaded("PostgreSQL", retry_after_s=1.0) from exc
        except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
            # The server's own words may hold values of parameters: only their class is told.
            raise DependencyUnavailable("PostgreSQL", type(exc).__name__) from exc

    async def answers(self, deadline: Deadline) -> bool:
        """Whether the database does, before the deadline."""
        try:
            async with asyncio.timeout(deadline.remaining()), self.as_login() as connection:
                await connection.execute("SELECT 1")
        except (TimeoutError, DependencyUnavailable, Overloaded):
            return False
        return True


@asynccontextmanager
async def among_all_tenants(connection: Connection) -> AsyncIterator[None]:
    """Within a `transaction` of a tenant's, what concerns all of them."""
    await connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(_SPANNING_ROLE)))
    yield
    # After an error the whole transaction is rolled back.
    await connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(_TENANT_ROLE)))


def _beginning(role: str, tenant: str, *, flushed: bool) -> bytes:
    parts: list[sql.Composable] = [
        sql.SQL("BEGIN; SET LOCAL ROLE {}; SET LOCAL pinakes.tenant = {}").format(
            sql.Identifier(role), sql.Literal(tenant)
        )
    ]
    if not flushed:
        parts.append(sql.SQL("SET LOCAL synchronous_commit = off"))
    return sql.SQL("; ").join(parts).as_bytes(None)


async def _check(connection: Connection) -> None:
    """Raises psycopg.OperationalError for a connection that is broken. A server that has ended has closed it, and one
    that ends says so before: only where there is something to read is the server asked, which costs as much as a
    statement."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        await AsyncConnectionPool.check_connection(connection)
