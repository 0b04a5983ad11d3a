"""Connections that broke while nobody used them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from server.adapters.postgres.pool import PostgresOptions, PostgresPool


async def _backend(pool: PostgresPool) -> int:
    async with pool.as_login() as connection:
        return connection.info.backend_pid


async def test_a_connection_that_the_server_has_closed_is_replaced_before_anybody_gets_it(postgres_dsn: str) -> None:
    async with PostgresPool(postgres_dsn, PostgresOptions(max_connections=1)) as pool:
        before = await _backend(pool)
        async with await psycopg.AsyncConnection.connect(postgres_dsn) as other:
            await other.execute("SELECT pg_terminate_backend(%s, 5000)", (before,))
        assert await _backend(pool) != before


async def test_the_server_is_not_asked_about_connections_that_have_nothing_to_read(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counting(check: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def counted(connection: psycopg.AsyncConnection[object]) -> None:
            asked.append(connection.info.backend_pid)
            await check(connection)

        return counted

    monkeypatch.setattr(AsyncConnectionPool, "check_connection", counting(AsyncConnectionPool.check_connection))
    async with PostgresPool(postgres_dsn, PostgresOptions(max_connections=1)) as pool:
        before = [await _backend(pool) for _ in range(3)]
        assert asked == []
        async with await psycopg.AsyncConnection.connect(postgres_dsn) as other:
            await other.execute("SELECT pg_terminate_backend(%s, 5000)", (before[0],))
        await _backend(pool)
    assert asked == before[:1]
