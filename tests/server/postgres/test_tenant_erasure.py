"""A deleted tenant leaves nothing, and takes nothing of another one along."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from server.adapters.encrypted_storage import EncryptedStorage, EncryptionOptions, encrypted_storage
from server.adapters.jetstream_events import JetStreamEventOptions, JetStreamEvents
from server.adapters.nats_connection import NatsConnection
from server.adapters.postgres.change_log import PostgresChangeLog
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.tenant_erasure import KEPT, PostgresTenantErasure, tables_of_tenants
from server.application.delete_tenant import DeleteTenant, DeleteTenantOptions
from server.application.document_ports import StoredBlob
from server.application.local_bell import LocalBell
from server.domain.errors import DependencyUnavailable, DocumentNotFound, InvalidField, KeyUnusable, LeaseLost
from server.domain.events import DocumentUploaded, Event
from server.domain.principals import Principal
from tests.server.jetstream.test_events import LONG_AGO, happened
from tests.server.postgres.conftest import ANA, EVE, MODEL, Archive, make_chunks

OTHERS = """
    INSERT INTO tenants (tenant) VALUES (%(tenant)s) ON CONFLICT DO NOTHING;
    INSERT INTO tenant_turns (tenant, turn) VALUES (%(tenant)s, 1);
    WITH made AS (
        INSERT INTO conversations (conversation_id, tenant, owner, title)
        VALUES (gen_random_uuid(), %(tenant)s, 'ana', 't') RETURNING conversation_id
    ), answered AS (
        INSERT INTO answers (answer_id, tenant, owner, question, state, uncited, layout, create_time, end_time,
                             conversation_id, turn)
        SELECT gen_random_uuid(), %(tenant)s, 'ana', 'q', 'completed', '', '{}', now(), now(), conversation_id, 1
        FROM made RETURNING answer_id
    ), read AS (
        INSERT INTO answer_sources (answer_id, tenant, ordinal, document_id)
        SELECT answer_id, %(tenant)s, 1, gen_random_uuid() FROM answered
    )
    INSERT INTO answer_citations (answer_id, tenant, ordinal, document_id, sentence_start, sentence_end)
    SELECT answer_id, %(tenant)s, 1, gen_random_uuid(), 0, 1 FROM answered;
    WITH added AS (
        INSERT INTO users (user_id, tenant, name, role, password_hash)
        VALUES (gen_random_uuid(), %(tenant)s, 'ana', 'admin', 'h') RETURNING user_id
    ), opened AS (
        INSERT INTO sessions (session_id, tenant, user_id, expire_time)
        SELECT gen_random_uuid(), %(tenant)s, user_id, now() FROM added RETURNING session_id
    )
    INSERT INTO refresh_tokens (token_id, tenant, session_id, digest)
    SELECT gen_random_uuid(), %(tenant)s, session_id, '' FROM opened;
    INSERT INTO api_keys (key_id, tenant, name, user_name, scopes, creator, secret_check, secret_hash)
    VALUES (%(tenant)s || '-key', %(tenant)s, 'k', 'ana', '{search}', 'ana', '', 'h');
    INSERT INTO privacy_policies (tenant, version, actions, updated_by) VALUES (%(tenant)s, 1, '{}', 'ana');
"""


class BreakingEvents:
    """Fails as often as it is told, then does what it should."""

    def __init__(self, events: JetStreamEvents) -> None:
        self.events = events
        self.failures = 0
        self.broken = ""
        """A tenant."""

    async def forget(self, tenant: str) -> None:
        if tenant == self.broken:
            raise DependencyUnavailable("NATS", "it lost the tenant's stream")
        if self.failures:
            self.failures -= 1
            raise DependencyUnavailable("NATS", "it is down")
        await self.events.forget(tenant)


@pytest.fixture
async def storage(pool: PostgresPool, tmp_path: Path) -> AsyncIterator[EncryptedStorage]:
    async with encrypted_storage(tmp_path, pool, EncryptionOptions()) as opened:
        yield opened


@pytest.fixture
async def events(nats_url: str) -> AsyncIterator[BreakingEvents]:
    name = uuid.uuid4().hex
    options = JetStreamEventOptions(stream=f"E_{name}", subject=f"e.{name}", max_bytes=2**20, request_timeout_s=10.0)
    async with NatsConnection(nats_url) as connection:
        yield BreakingEvents(JetStreamEvents(connection, options))


@pytest.fixture
def deletion(pool: PostgresPool, storage: EncryptedStorage, events: BreakingEvents) -> DeleteTenant:
    options = DeleteTenantOptions(batch=2, every_s=3_600)
    erasure = PostgresTenantErasure(pool)
    return DeleteTenant(erasure, storage.keys, storage.blobs, events, LocalBell(), "operator", options)


async def one(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


async def stored(storage: EncryptedStorage, archive: Archive, principal: Principal, text: str) -> tuple[str, str]:
    """A searchable document with its bytes; its id, and their key."""
    blob = await storage.blobs.put(principal.tenant, one(text), 99)
    document, _ = await archive.ready(principal, blob=blob)
    return document.document_id, blob.key


async def rows_of(pool: PostgresPool, tenant: str) -> dict[str, int]:
    """How many the tenant has in each table that has any of its rows."""
    counts = {}
    async with pool.spanning() as connection:
        for table in await tables_of_tenants(connection):
            statement = sql.SQL("SELECT count(*) AS rows FROM {} WHERE tenant = %s").format(sql.Identifier(table))
            row = await (await connection.execute(statement, (tenant,))).fetchone()
            assert row is not None
            counts[table] = row["rows"]
    return {table: count for table, count in counts.items() if count}


async def told(events: JetStreamEvents, tenant: str) -> Sequence[Event]:
    """The tenant's events, up to one that is published now."""
    last = happened(DocumentUploaded("last", 1, "j"), tenant)
    await events.publish([last])
    found: list[Event] = []
    async with aclosing(events.read(tenant, (), LONG_AGO, 60.0)) as batches, asyncio.timeout(60):
        async for batch in batches:
            found += [event for _, event in batch.events]
            if any(event.event_id == last.event_id for event in found):
                return found
    raise AssertionError


async def test_nothing_is_left_of_a_tenant_and_all_of_the_others(
    pool: PostgresPool,
    archive: Archive,
    storage: EncryptedStorage,
    events: BreakingEvents,
    deletion: DeleteTenant,
    tmp_path: Path,
) -> None:
    mine = [await stored(storage, archive, ANA, f"text {number}") for number in range(3)]
    theirs, their_key = await stored(storage, archive, EVE, "their text")
    replacement = await storage.blobs.put("acme", one("newer text"), 99)
    await archive.accept(replaced_document_id=mine[0][0], blob=replacement)
    await storage.blobs.put_derived("acme", mine[0][1], "thumbnail", b"picture")
    orphan = await storage.blobs.put("acme", one("of nobody"), 99)
    _, running = await archive.accept(blob=StoredBlob(orphan.key[:-1] + "0", "f" * 64, 1))
    lease = await archive.claim(running.job_id)
    for tenant in ("acme", "rival"):
        async with await psycopg.AsyncConnection.connect(await _dsn(pool), autocommit=True) as connection:
            for statement in OTHERS.split(";\n"):
                if statement.strip():
                    await connection.execute(statement.encode(), {"tenant": tenant})
        await events.events.publish([happened(DocumentUploaded("d", 1, "j"), tenant)])
    before = await rows_of(pool, "rival")
    assert set(before) <= set(await rows_of(pool, "acme"))

    # It breaks at the end, and is taken up again; once more does no harm.
    events.failures = 1
    with pytest.raises(DependencyUnavailable):
        await deletion.delete("acme")
    erasure = PostgresTenantErasure(pool)
    assert await erasure.begun() == ["acme"]
    background = asyncio.create_task(deletion.run())
    async with asyncio.timeout(60):
        while await erasure.begun():  # noqa: ASYNC110 - the work knows no test
            await asyncio.sleep(0.02)
    background.cancel()
    await asyncio.wait((background,))
    assert (await deletion.delete("acme")).documents == 0
    assert await erasure.begun() == []

    assert set(await rows_of(pool, "acme")) == {"tenants", "data_keys", "chunk_log"} <= KEPT
    assert await rows_of(pool, "rival") == before
    log = await PostgresChangeLog(pool).read(0, 1_000, MODEL)
    assert len([entry for entry in log if entry.chunk]) == 2, "the index keeps the other tenant's chunks alone"
    assert len([entry for entry in log if not entry.chunk]) >= 6
    with pytest.raises(DocumentNotFound):
        await _get(pool, ANA, mine[0][0])
    await _get(pool, EVE, theirs)
    with pytest.raises(LeaseLost):
        await archive.commit(lease, make_chunks(lease.document, 1))

    files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert [path.name for path in files] == [their_key]
    async with storage.blobs.open("rival", their_key) as path:
        assert path.read_text() == "their text"
    with pytest.raises(KeyUnusable):
        await storage.blobs.put("acme", one("again"), 9)
    assert len(await told(events.events, "acme")) == 1
    assert len(await told(events.events, "rival")) == 2


async def test_a_tenant_that_comes_back_with_an_older_copy_is_deleted_anew(
    pool: PostgresPool, archive: Archive, storage: EncryptedStorage, deletion: DeleteTenant
) -> None:
    await stored(storage, archive, ANA, "text")
    await stored(storage, archive, EVE, "their text")
    await storage.masters.forget("acme")
    background = asyncio.create_task(deletion.run())
    async with asyncio.timeout(60):
        while "documents" in await rows_of(pool, "acme"):  # noqa: ASYNC110 - the work knows no test
            await asyncio.sleep(0.02)
    background.cancel()
    await asyncio.wait((background,))
    assert "documents" in await rows_of(pool, "rival")


async def test_a_deletion_that_fails_keeps_no_other_one_waiting(
    pool: PostgresPool, events: BreakingEvents, deletion: DeleteTenant
) -> None:
    events.broken = "acme"
    erasure = PostgresTenantErasure(pool)
    for tenant in ("acme", "rival"):
        await erasure.begin(tenant)
    background = asyncio.create_task(deletion.run())
    async with asyncio.timeout(60):
        while await erasure.begun() != ["acme"]:  # noqa: ASYNC110 - the work knows no test
            await asyncio.sleep(0.02)
    background.cancel()
    await asyncio.wait((background,))


async def test_the_operators_tenant_is_not_deleted(deletion: DeleteTenant) -> None:
    for tenant in ("operator", "", "t" * 129):
        with pytest.raises(InvalidField):
            await deletion.delete(tenant)


async def test_an_unknown_tenant_is_deleted_too(deletion: DeleteTenant, storage: EncryptedStorage) -> None:
    deleted = await deletion.delete("never seen")
    assert (deleted.documents, deleted.position) == (0, 0)
    with pytest.raises(KeyUnusable):
        await storage.keys.current("never seen")


async def _get(pool: PostgresPool, principal: Principal, document_id: str) -> None:
    await PostgresDocumentCatalog(pool).get(principal, document_id)


async def _dsn(pool: PostgresPool) -> str:
    async with pool.as_login() as connection:
        return connection.info.dsn
