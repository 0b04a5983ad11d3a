"""The schema is brought up to date once, and never under a program that it does not fit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest

from server.adapters.postgres.migrating import Migration, SchemaMismatch, migrate, shipped_migrations
from server.adapters.postgres.pool import PostgresOptions, PostgresPool
from server.domain.errors import DependencyUnavailable


@pytest.fixture
async def empty(postgres_dsn: str) -> AsyncIterator[PostgresPool]:
    async with PostgresPool(postgres_dsn) as pool:
        yield pool


async def test_parallel_starts_migrate_once(empty: PostgresPool) -> None:
    applied = await asyncio.gather(*(migrate(empty) for _ in range(4)))
    assert sorted(applied) == [0, 0, 0, len(shipped_migrations())]


async def test_a_changed_migration_is_refused(empty: PostgresPool) -> None:
    await migrate(empty)
    changed = shipped_migrations()
    changed[0] = replace(changed[0], statements=changed[0].statements + "-- changed")
    with pytest.raises(SchemaMismatch, match="was changed"):
        await migrate(empty, changed)


async def test_a_newer_database_is_refused(empty: PostgresPool) -> None:
    await migrate(empty)
    with pytest.raises(SchemaMismatch, match="newer"):
        await migrate(empty, shipped_migrations()[:-1])


async def test_a_failing_migration_leaves_nothing(empty: PostgresPool) -> None:
    shipped = shipped_migrations()
    broken = Migration(len(shipped) + 1, "broken", "CREATE TABLE half (a int); SELECT * FROM nothing;")
    with pytest.raises(psycopg.errors.UndefinedTable):
        await migrate(empty, [*shipped, broken])
    assert await migrate(empty) == len(shipped)


async def test_an_absent_database_is_an_unavailable_dependency() -> None:
    options = PostgresOptions(connect_timeout_s=1, pool_timeout_s=0.3)
    async with PostgresPool("host=127.0.0.1 port=1 user=nobody dbname=none", options) as pool:
        with pytest.raises(DependencyUnavailable):
            await migrate(pool)
