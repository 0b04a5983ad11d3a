"""What the database does is told, in order, once it is done; to those who may read the document when they are told."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import psycopg
import pytest

from server.adapters.jetstream_events import JetStreamEventOptions, JetStreamEvents
from server.adapters.nats_connection import NatsConnection
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.events import PostgresEventAccess, PostgresEventOutbox, tell
from server.adapters.postgres.job_ledger import PostgresJobLedger
from server.adapters.postgres.pool import PostgresOptions, PostgresPool
from server.application.announcing import OutboxAnnouncer
from server.application.event_ports import EventBatch
from server.application.relay_events import EventRelayOptions, RelayEvents
from server.application.subscribe_events import SubscribeCommand, SubscribeEvents, SubscribeOptions, Told
from server.domain.deadline import Deadline
from server.domain.documents import Failure, Stage
from server.domain.errors import DependencyUnavailable, StageDeadline
from server.domain.events import (
    DocumentDeleted,
    DocumentFailed,
    DocumentProcessed,
    DocumentUploaded,
    Event,
    EventBody,
    EventType,
    JobProgress,
    ModelLoaded,
    StreamPosition,
)
from server.domain.principals import AccessList, Principal
from tests.server.postgres.conftest import ANA, BEN, EVE, Archive, make_chunks

EVERYTHING = SubscribeCommand(frozenset(), datetime(2000, 1, 1, tzinfo=UTC))


class ListStream:
    """Stores what it is given, or the first `room` of it."""

    session = 1

    def __init__(self) -> None:
        self.stored: list[Event] = []
        self.room = 10_000

    async def answers(self) -> bool:
        return True

    async def publish(self, events: Sequence[Event]) -> int:
        taken = events[: self.room]
        if not taken:
            raise DependencyUnavailable("NATS", "it is full")
        self.stored += taken
        return len(taken)

    @property
    def bodies(self) -> list[EventBody]:
        return [event.body for event in self.stored]


@pytest.fixture
def outbox(pool: PostgresPool) -> PostgresEventOutbox:
    return PostgresEventOutbox(pool)


async def relayed(outbox: PostgresEventOutbox) -> list[EventBody]:
    stream = ListStream()
    while await outbox.relay(stream, 100):
        pass
    return stream.bodies


async def test_the_life_of_a_document_is_told(
    pool: PostgresPool, archive: Archive, outbox: PostgresEventOutbox
) -> None:
    document, job = await archive.accept()
    lease = await archive.claim(job.job_id)
    await PostgresJobLedger(pool).progress(lease, Stage.EXTRACT, 1, 2)
    position = await archive.commit(lease, make_chunks(document, 3))
    await PostgresDocumentCatalog(pool).delete(ANA, document.document_id)
    names = document.document_id, 1, job.job_id
    assert await relayed(outbox) == [
        DocumentUploaded(*names),
        JobProgress(*names, Stage.EXTRACT, 1, 2),
        DocumentProcessed(*names, page_count=2, chunk_count=3, log_position=position),
        DocumentDeleted(document.document_id),
    ]
    assert await relayed(outbox) == []


async def test_a_failure_is_told_and_a_retry_is_not(
    pool: PostgresPool, archive: Archive, outbox: PostgresEventOutbox
) -> None:
    document, job = await archive.accept()
    ledger = PostgresJobLedger(pool)
    await ledger.release(await archive.claim(job.job_id), Failure("UnreadableDocument", "once more"), 0.0)
    await ledger.release(await archive.claim(job.job_id), Failure("UnreadableDocument", "no"), None)
    names = document.document_id, 1, job.job_id
    assert await relayed(outbox) == [DocumentUploaded(*names), DocumentFailed(*names, "UnreadableDocument")]


async def test_what_is_rolled_back_is_not_told(
    pool: PostgresPool, archive: Archive, outbox: PostgresEventOutbox
) -> None:
    document, _ = await archive.accept()
    with pytest.raises(ZeroDivisionError):
        async with pool.spanning() as connection:
            await tell(connection, DocumentDeleted(document.document_id))
            raise ZeroDivisionError
    assert [body.type for body in await relayed(outbox)] == [EventType.DOCUMENT_UPLOADED]


async def test_what_the_stream_did_not_take_stays_in_its_order(archive: Archive, outbox: PostgresEventOutbox) -> None:
    documents = [(await archive.accept())[0].document_id for _ in range(5)]
    stream = ListStream()
    stream.room = 2
    assert await outbox.relay(stream, 4) == 2
    stream.room = 0
    with pytest.raises(DependencyUnavailable):
        await outbox.relay(stream, 4)
    stream.room = 100
    assert await outbox.relay(stream, 100) == 3
    assert [body.document_id for body in stream.bodies if isinstance(body, DocumentUploaded)] == documents


async def test_what_a_crash_may_have_lost_is_published_again(
    archive: Archive, outbox: PostgresEventOutbox, pool: PostgresPool
) -> None:
    await archive.accept()
    first, again = ListStream(), ListStream()
    assert await outbox.relay(first, 10) == 1
    assert await outbox.relay(again, 10) == 0
    await outbox.publish_again()
    assert await outbox.relay(again, 10) == 1
    assert again.stored == first.stored, "with the same id"
    assert await outbox.forget(60.0, 60.0) == 0
    await outbox.publish_again()
    assert await outbox.relay(again, 10) == 1, "it had not settled"
    assert await outbox.forget(0.0, 60.0) == 0
    assert await archive.scalar("SELECT count(*) FROM event_outbox") == 0


async def test_what_cannot_be_published_for_too_long_is_dropped(archive: Archive, outbox: PostgresEventOutbox) -> None:
    await archive.accept()
    assert await outbox.forget(0.0, 60.0) == 0
    assert await outbox.forget(0.0, 0.0) == 1
    assert await relayed(outbox) == []


async def test_a_lost_connection_has_the_latest_published_again(archive: Archive, outbox: PostgresEventOutbox) -> None:
    enough = asyncio.Event()

    class Lost(ListStream):
        """Connects when it is first used, and loses and finds the connection after the second publication."""

        session = 0

        async def publish(self, events: Sequence[Event]) -> int:
            stored = await super().publish(events)
            self.session = min(len(self.stored), 2)
            if len(self.stored) == 3:
                enough.set()
            return stored

    lost = Lost()
    await archive.accept()
    relay = asyncio.create_task(RelayEvents(outbox, lost, EventRelayOptions(poll_s=0.0)).run())
    async with asyncio.timeout(20):
        await enough.wait()
    relay.cancel()
    await asyncio.wait((relay,))
    assert len({event.event_id for event in lost.stored}) == 1


async def test_nothing_is_forgotten_while_the_stream_may_have_crashed(
    archive: Archive, outbox: PostgresEventOutbox
) -> None:
    looked, again = asyncio.Event(), asyncio.Event()

    class Away(ListStream):
        looks = 0

        async def publish(self, events: Sequence[Event]) -> int:
            stored = await super().publish(events)
            if len(self.stored) == 2:
                again.set()
            return stored

        async def answers(self) -> bool:
            self.looks += len(self.stored)
            if self.looks >= 3:
                looked.set()
            return False

    away = Away()
    await archive.accept()
    options = EventRelayOptions(settled_s=0.0, forget_every_s=0.0, poll_s=0.0)
    relay = asyncio.create_task(RelayEvents(outbox, away, options).run())
    async with asyncio.timeout(20):
        await looked.wait()
        away.session = 2
        await again.wait()
    relay.cancel()
    await asyncio.wait((relay,))
    assert len({event.event_id for event in away.stored}) == 1


async def test_one_relay_at_a_time_publishes(archive: Archive, outbox: PostgresEventOutbox) -> None:
    class Slow(ListStream):
        def __init__(self) -> None:
            super().__init__()
            self.entered, self.go_on = asyncio.Event(), asyncio.Event()

        async def publish(self, events: Sequence[Event]) -> int:
            self.entered.set()
            await self.go_on.wait()
            return await super().publish(events)

    await archive.accept()
    slow, other = Slow(), ListStream()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(outbox.relay(slow, 10))
        await slow.entered.wait()
        await archive.accept()
        assert await outbox.relay(other, 10) == 0
        slow.go_on.set()
    assert (first.result(), len(slow.stored)) == (1, 1)
    assert len(await relayed(outbox)) == 1, "what came meanwhile was not forgotten"


async def test_an_event_of_a_newer_server_does_not_stop_the_others(
    pool: PostgresPool, archive: Archive, outbox: PostgresEventOutbox
) -> None:
    async with pool.spanning() as connection:
        await connection.execute(
            "INSERT INTO event_outbox (event_id, type, body) VALUES (gen_random_uuid(), 'moon.full', '{}')"
        )
    await archive.accept()
    assert [body.type for body in await relayed(outbox)] == [EventType.DOCUMENT_UPLOADED]


async def test_what_cannot_be_told_fails_nobody(outbox: PostgresEventOutbox) -> None:
    await OutboxAnnouncer(outbox).tell(ModelLoaded("m@1", "f"))
    assert await relayed(outbox) == [ModelLoaded("m@1", "f")]
    async with PostgresPool(psycopg.conninfo.make_conninfo(host="127.0.0.1", port=1)) as nowhere:
        await OutboxAnnouncer(PostgresEventOutbox(nowhere)).tell(ModelLoaded("m@1", "f"))


class Telling:
    """What a principal is told, of all that was relayed to a JetStream."""

    def __init__(self, pool: PostgresPool, stream: JetStreamEvents) -> None:
        self._outbox = PostgresEventOutbox(pool)
        self._stream = stream
        self.subscribe = SubscribeEvents(stream, PostgresEventAccess(pool), SubscribeOptions(idle_s=0.0))

    async def relay(self) -> None:
        while await self._outbox.relay(self._stream, 100):
            pass

    async def to(self, principal: Principal, sequence: int, command: SubscribeCommand = EVERYTHING) -> list[Told]:
        """What it is told until it knows that it has come to `sequence`."""
        told: list[Told] = []
        async with aclosing(self.subscribe.run(principal, command, Deadline.after(20))) as each:
            async for several in each:
                told += several
                if told[-1].position.sequence >= sequence:
                    return told
        raise AssertionError("the stream ended")


@pytest.fixture
async def telling(pool: PostgresPool, nats_url: str) -> AsyncIterator[Telling]:
    name = uuid.uuid4().hex
    async with NatsConnection(nats_url) as connection:
        options = JetStreamEventOptions(f"EVENTS_{name}", f"events.{name}", max_bytes=2**20)
        yield Telling(pool, JetStreamEvents(connection, options))


def documents_in(told: list[Told]) -> list[str]:
    return [
        each.event.body.document_id for each in told if each.event and isinstance(each.event.body, DocumentUploaded)
    ]


async def test_readers_are_told_others_are_not_and_know_where_they_are(
    pool: PostgresPool, archive: Archive, telling: Telling
) -> None:
    own, _ = await archive.accept(access=AccessList("ana"))
    shared, _ = await archive.accept(access=AccessList("ana", ("sales",)))
    foreign, _ = await archive.accept(EVE)
    await PostgresEventOutbox(pool).append(ModelLoaded("m@1", "f"))
    await telling.relay()
    to_ana, to_ben, to_eve = [await telling.to(principal, 4) for principal in (ANA, BEN, EVE)]
    assert documents_in(to_ana) == [own.document_id, shared.document_id]
    assert documents_in(to_ben) == [shared.document_id]
    assert documents_in(to_eve) == [foreign.document_id]
    assert all(told[0].event is None for told in (to_ana, to_ben, to_eve)), "where it begins comes first"
    assert all(told[-1].event and told[-1].event.body == ModelLoaded("m@1", "f") for told in (to_ana, to_ben, to_eve))


async def test_who_lost_access_is_not_told_of_what_was_before(
    pool: PostgresPool, archive: Archive, telling: Telling
) -> None:
    document, _ = await archive.accept(access=AccessList("ana", ("sales",)))
    await telling.relay()
    assert documents_in(await telling.to(BEN, 1)) == [document.document_id]
    async with pool.spanning() as connection:
        await connection.execute("UPDATE documents SET groups = '{}'")
    told = await telling.to(BEN, 1)
    assert documents_in(told) == [] and told[-1].event is None and told[-1].position.sequence == 1


async def test_a_deletion_is_told_to_those_who_could_read_it(
    pool: PostgresPool, archive: Archive, telling: Telling
) -> None:
    document, _ = await archive.accept(access=AccessList("ana", ("sales",)))
    await PostgresDocumentCatalog(pool).delete(ANA, document.document_id)
    await telling.relay()
    deletions = SubscribeCommand(frozenset({EventType.DOCUMENT_DELETED}), EVERYTHING.start)
    told = await telling.to(BEN, 3, deletions)
    assert [each.event.body for each in told if each.event] == [DocumentDeleted(document.document_id)]


async def test_many_subscribers_do_not_crowd_the_database(migrated_dsn: str, archive: Archive) -> None:
    document, job = await archive.accept()
    event = Event("e", datetime.now(UTC), "acme", DocumentUploaded(document.document_id, 1, job.job_id))
    batch = EventBatch(((1, event),), StreamPosition("s", 1))

    class OneBatch:
        async def read(
            self, tenant: str, types: Collection[EventType], start: StreamPosition | datetime | None, idle_s: float
        ) -> AsyncGenerator[EventBatch, None]:
            yield batch

    async with PostgresPool(migrated_dsn, PostgresOptions(max_connections=2, max_waiting=2)) as small:
        subscribe = SubscribeEvents(OneBatch(), PostgresEventAccess(small), SubscribeOptions())
        told = await asyncio.gather(*(anext(subscribe.run(BEN, EVERYTHING, Deadline.after(20))) for _ in range(50)))
    assert told == [[Told(event, batch.position)]] * 50


async def test_a_subscription_ends_with_its_deadline(telling: Telling) -> None:
    with pytest.raises(StageDeadline):
        async for _ in telling.subscribe.run(ANA, EVERYTHING, Deadline.after(0.2)):
            pass
