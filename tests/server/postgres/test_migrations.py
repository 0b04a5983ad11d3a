"""The schema is brought up to date once, and never under a program that it does not fit."""

from __future__ import annotations

import asyncio
import uuid
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


# What a database of before tenants were kept apart holds of one document, and of one answer.
_EARLIER = """
    INSERT INTO documents (document_id, tenant, owner, groups, tenant_wide, name, media_type, size_bytes, sha256,
                           blob_key, tags, state)
    VALUES (%(id)s, 'acme', 'ana', '{}', true, 'a/Plan_B.md', 'text/plain', 70, 's', 'b', '{}', 'ready');
    INSERT INTO jobs (job_id, tenant, document_id, revision) VALUES (%(id)s, 'acme', %(id)s, 1);
    INSERT INTO outbox (job_id) VALUES (%(id)s);
    INSERT INTO stage_results VALUES (%(id)s, 1, 'extract', 'h', '');
    INSERT INTO replacements VALUES (%(id)s, 2, 'acme', '{}', true, 'n', 'text/plain', 5, 't', 'c', '{}');
    INSERT INTO pages VALUES (%(id)s, 1, 1, 595, 842);
    INSERT INTO chunks VALUES (%(id)s, 'acme', %(id)s, 1, 0, 'text', '{}', 'en', 1, 1, '[]');
    INSERT INTO embeddings VALUES (%(id)s, 'model', '');
    INSERT INTO chunk_log VALUES (1, %(id)s, false), (2, gen_random_uuid(), true);
    INSERT INTO answers (answer_id, tenant, owner, question, state, uncited, layout, create_time, end_time)
    VALUES (%(id)s, 'acme', 'ana', 'q', 'completed', '', '{}', now(), now());
    INSERT INTO answer_sources VALUES (%(id)s, 1, %(id)s, NULL);
    INSERT INTO answer_citations VALUES (%(id)s, 1, %(id)s, 0, 1, NULL, NULL);
"""


async def test_what_an_earlier_version_kept_gets_its_tenant_and_is_counted(postgres_dsn: str) -> None:
    async with PostgresPool(postgres_dsn) as pool:
        await migrate(pool, shipped_migrations()[:13])
        async with pool.as_login() as connection:
            await connection.execute(_EARLIER.replace("%(id)s", f"'{uuid.uuid4()}'").encode())
        await migrate(pool)
        for table in (
            *("documents", "jobs", "outbox", "stage_results", "replacements", "pages", "chunks", "embeddings"),
            *("answers", "answer_sources", "answer_citations", "tenants", "chunk_log"),
        ):
            async with pool.transaction("acme") as connection:
                row = await (await connection.execute(f"SELECT count(*) AS rows FROM {table}".encode())).fetchone()
            assert row == {"rows": 1}, table
        async with pool.transaction("acme") as connection:
            row = await (await connection.execute("SELECT documents, bytes FROM tenant_usage")).fetchone()
            assert row == {"documents": 1, "bytes": 75}
            row = await (await connection.execute("SELECT title, users, access_version FROM documents")).fetchone()
            assert row == {"title": "plan b", "users": [], "access_version": 1}
        async with pool.spanning() as connection:
            row = await (await connection.execute("SELECT tenant FROM chunk_log WHERE position = 2")).fetchone()
        # Of a chunk that is gone nobody knows whose it was.
        assert row == {"tenant": ""}
