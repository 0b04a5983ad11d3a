"""What server and worker share: the database, the queue, the blobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from server.adapters.database_binding import bind
from server.adapters.document_reader import FileDocumentReader
from server.adapters.encrypted_storage import EncryptedStorage, encrypted_storage
from server.adapters.file_blobs import FileBlobStore
from server.adapters.jetstream import JetStreamWorkQueue
from server.adapters.jetstream_events import JetStreamEvents
from server.adapters.nats_bell import NatsBell
from server.adapters.nats_connection import NatsConnection
from server.adapters.postgres.database_identity import database_id
from server.adapters.postgres.events import PostgresEventOutbox
from server.adapters.postgres.migrating import migrate
from server.adapters.postgres.pool import PostgresPool
from server.settings import Settings

_LOG_SUBJECT = "pinakes.log"


@dataclass(frozen=True, slots=True)
class Stores:
    """What server and worker share: the database, the queue, the blobs."""

    pool: PostgresPool
    database_id: str
    nats: NatsConnection
    queue: JetStreamWorkQueue
    log_bell: NatsBell
    events: JetStreamEvents
    event_outbox: PostgresEventOutbox
    storage: EncryptedStorage
    reader: FileDocumentReader

    @property
    def blobs(self) -> FileBlobStore:
        return self.storage.blobs


@asynccontextmanager
async def opened_stores(settings: Settings) -> AsyncIterator[Stores]:
    async with AsyncExitStack() as opened:
        pool = PostgresPool(settings.postgres.dsn.get_secret_value(), settings.postgres.pool)
        nats = NatsConnection(settings.nats.url.get_secret_value(), settings.nats.connection)
        # The role that the pool works as is there from the first migration on.
        await _migrate(settings)
        await opened.enter_async_context(pool)
        own_database = await _own_database(settings, pool)
        await opened.enter_async_context(nats)
        queue = await opened.enter_async_context(JetStreamWorkQueue(nats, settings.nats.queue))
        log_bell = await opened.enter_async_context(NatsBell(nats, _LOG_SUBJECT))
        storage = await opened.enter_async_context(encrypted_storage(settings.data_dir, pool, settings.encryption))
        reader = FileDocumentReader(settings.reader)
        opened.push_async_callback(reader.close)
        events, event_outbox = JetStreamEvents(nats, settings.nats.events), PostgresEventOutbox(pool)
        yield Stores(pool, own_database, nats, queue, log_bell, events, event_outbox, storage, reader)


async def _migrate(settings: Settings) -> None:
    own = settings.postgres
    dsn = own.owner_dsn.get_secret_value() or own.dsn.get_secret_value()
    async with PostgresPool(dsn, own.pool) as pool:
        await migrate(pool)


async def _own_database(settings: Settings, pool: PostgresPool) -> str:
    """The id of the database. Raises WrongDatabase if the data directory belongs to another one, whose blobs the sweep
    would take for garbage."""
    found = await database_id(pool)
    await asyncio.to_thread(bind, settings.data_dir, found)
    return found
