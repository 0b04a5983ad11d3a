"""What tests of several parts of the server share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from server.adapters.postgres.migrating import migrate
from server.adapters.postgres.pool import PostgresOptions, PostgresPool
from server.embedded.postgres import EmbeddedPostgres

_DATABASE = "server_tests"
_EMPTY = """
    TRUNCATE documents, jobs, outbox, stage_results, pages, chunks, embeddings, chunk_log, model_aliases
        RESTART IDENTITY;
    UPDATE chunk_log_head SET position = 0;
"""


@pytest.fixture(scope="session")
def migrated_dsn(postgres_server: EmbeddedPostgres) -> str:
    """A database with our schema, for one test at a time; take `pool`."""
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_DATABASE} TEMPLATE template0".encode())
    dsn = postgres_server.dsn_of(_DATABASE)

    async def prepare() -> None:
        async with PostgresPool(dsn) as pool:
            await migrate(pool)

    asyncio.run(prepare())
    return dsn


@pytest.fixture
async def pool(migrated_dsn: str) -> AsyncIterator[PostgresPool]:
    """A migrated database without a row."""
    async with PostgresPool(migrated_dsn, PostgresOptions(max_connections=8)) as opened:
        async with opened.transaction() as connection:
            await connection.execute(_EMPTY.encode())
        yield opened
