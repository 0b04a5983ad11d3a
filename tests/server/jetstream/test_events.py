"""Events on a real JetStream: each once and in order, to those of its tenant, from wherever a reader left off."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.adapters import jetstream_events
from server.adapters.jetstream_events import JetStreamEventOptions, JetStreamEvents
from server.adapters.nats_connection import NatsConnection, NatsConnectionOptions
from server.application.event_ports import EventBatch
from server.domain.documents import Stage
from server.domain.errors import DependencyUnavailable, InvalidField
from server.domain.events import (
    AlertKind,
    DocumentDeleted,
    DocumentFailed,
    DocumentProcessed,
    DocumentUploaded,
    Event,
    EventBody,
    EventType,
    IndexCommitted,
    JobProgress,
    ModelLoaded,
    ModelUnloaded,
    StreamPosition,
    SystemAlert,
)
from server.embedded.nats import EmbeddedNats
from server.embedded.process import running

ANY: Collection[EventType] = ()
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
ONE_OF_EACH: tuple[EventBody, ...] = (
    DocumentUploaded("d", 1, "j"),
    JobProgress("d", 1, "j", Stage.EXTRACT, 1, 2),
    DocumentProcessed("d", 1, "j", 2, 7, 11),
    DocumentFailed("d", 2, "j", "UnreadableDocument"),
    DocumentDeleted("d"),
    IndexCommitted("g", 11),
    ModelLoaded("m@1", "f"),
    ModelUnloaded("m@1", "f"),
    SystemAlert(AlertKind.INDEX_DAMAGED, "g", "a file is damaged"),
)


def happened(body: EventBody, tenant: str = "acme") -> Event:
    of_tenant = hasattr(body, "document_id")
    return Event(uuid.uuid4().hex, datetime.now(UTC), tenant if of_tenant else None, body)


def uploads(number: int, tenant: str = "acme") -> list[Event]:
    return [happened(DocumentUploaded(f"d{each}", 1, f"j{each}"), tenant) for each in range(number)]


@pytest.fixture
async def connection(nats_url: str) -> AsyncIterator[NatsConnection]:
    async with NatsConnection(nats_url) as opened:
        yield opened


@pytest.fixture
def options() -> JetStreamEventOptions:
    name = uuid.uuid4().hex
    return JetStreamEventOptions(
        stream=f"EVENTS_{name}", subject=f"events.{name}", max_bytes=2**20, request_timeout_s=10.0
    )


@pytest.fixture
def stream(connection: NatsConnection, options: JetStreamEventOptions) -> JetStreamEvents:
    return JetStreamEvents(connection, options)


@asynccontextmanager
async def reading(
    stream: JetStreamEvents,
    start: StreamPosition | datetime | None = LONG_AGO,
    types: Collection[EventType] = ANY,
    tenant: str = "acme",
) -> AsyncIterator[AsyncGenerator[EventBatch, None]]:
    async with aclosing(stream.read(tenant, types, start, 0.0)) as batches:
        assert (await anext(batches)).events == ()
        yield batches


async def take(batches: AsyncGenerator[EventBatch, None], number: int) -> tuple[list[Event], StreamPosition]:
    """At least so many events, and where the reader is then."""
    events: list[Event] = []
    async with asyncio.timeout(20):
        async for batch in batches:
            events += [event for _, event in batch.events]
            if len(events) >= number:
                return events, batch.position
    raise AssertionError("the stream ended")


async def stored(stream: JetStreamEvents, events: list[Event]) -> bool:
    """Publishes them, as often as it takes."""
    try:
        return await stream.publish(events) == len(events)
    except DependencyUnavailable:
        return False


async def test_every_type_comes_as_it_was_published(stream: JetStreamEvents) -> None:
    published = [happened(body) for body in ONE_OF_EACH]
    assert {event.body.type for event in published} == set(EventType)
    assert await stream.publish(published) == len(published)
    async with reading(stream) as batches:
        events, _ = await take(batches, len(published))
    assert events == published


async def test_what_is_published_again_is_stored_once(stream: JetStreamEvents) -> None:
    published = uploads(3)
    await stream.publish(published)
    assert await stream.publish([*published, *uploads(1)]) == 4
    async with reading(stream) as batches:
        events, position = await take(batches, 4)
    assert events[:3] == published and len(events) == 4 and position.sequence == 4


async def test_events_are_stored_together_or_one_by_one(
    connection: NatsConnection, options: JetStreamEventOptions, stream: JetStreamEvents
) -> None:
    """Each message of a batch names it. What NATS does not take together (above: one of them was there already) still
    comes, in its order."""
    together, apart = uploads(1_100), uploads(3)
    assert await stream.publish(together) == len(together)
    manager = (await connection.client()).jsm()
    config = (await manager.stream_info(options.stream)).config
    await manager.update_stream(config.evolve(allow_atomic=False))
    assert await stream.publish(apart) == len(apart)
    context = (await connection.client()).jetstream()
    batches = {}
    for sequence in (1, 512, 513, 1_024, 1_025, 1_100, 1_101, 1_103):
        batches[sequence] = ((await context.get_msg(options.stream, sequence)).headers or {}).get("Nats-Batch-Id")
    assert len({batches[1], batches[513], batches[1_025]}) == 3
    assert (batches[1], batches[513], batches[1_025]) == (batches[512], batches[1_024], batches[1_100])
    assert batches[1_101] is batches[1_103] is None
    async with reading(stream) as told:
        events, _ = await take(told, 1_103)
    assert events == together + apart


async def test_other_tenants_events_do_not_come_whatever_they_are_called(stream: JetStreamEvents) -> None:
    tenants = ("acme", "acme.de", "*", ">", "a b", "acme%2Ede", "アクメ")
    for tenant in tenants:
        await stream.publish(uploads(1, tenant))
    await stream.publish([happened(ModelLoaded("m@1", "f"))])
    for tenant in tenants:
        async with reading(stream, tenant=tenant) as batches:
            events, _ = await take(batches, 2)
        assert [event.tenant for event in events] == [tenant, None]


async def test_only_the_types_that_are_asked_for_come(stream: JetStreamEvents) -> None:
    await stream.publish([happened(body) for body in ONE_OF_EACH])
    wanted = {EventType.DOCUMENT_DELETED, EventType.SYSTEM_ALERT}
    async with reading(stream, types=wanted) as batches:
        events, position = await take(batches, 2)
    assert {event.body.type for event in events} == wanted and len(events) == 2
    assert position.sequence == len(ONE_OF_EACH)


async def test_a_reader_goes_on_from_where_another_left_off(stream: JetStreamEvents) -> None:
    published = uploads(1_500)
    assert await stream.publish(published) == 1_500
    async with aclosing(stream.read("acme", ANY, LONG_AGO, 0.0)) as batches:
        await anext(batches)
        first = await anext(batches)
    assert 0 < len(first.events) < 1_500
    async with reading(stream, first.position) as batches:
        rest, _ = await take(batches, 1_500 - len(first.events))
    assert [event for _, event in first.events] + rest == published


async def test_without_a_start_only_what_comes_from_now_on_does(stream: JetStreamEvents) -> None:
    await stream.publish(uploads(2))
    async with reading(stream, None) as batches:
        new = uploads(1)
        await stream.publish(new)
        events, _ = await take(batches, 1)
    assert events == new


async def test_before_the_first_event_a_reader_knows_where_it_is(stream: JetStreamEvents) -> None:
    await stream.publish(uploads(2))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    far = datetime(1600, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
    for start, sequence in ((None, 2), (LONG_AGO, 0), (tomorrow, 2), (far[0], 0), (far[1], 2)):
        async with aclosing(stream.read("acme", ANY, start, 0.0)) as batches:
            assert (await anext(batches)).position.sequence == sequence


async def test_positions_of_another_stream_are_refused(stream: JetStreamEvents) -> None:
    await stream.publish(uploads(1))
    async with aclosing(stream.read("acme", ANY, None, 0.0)) as batches:
        here = (await anext(batches)).position
    for wrong in (StreamPosition("another", 1), StreamPosition(here.stream, 2)):
        with pytest.raises(InvalidField, match="resume_token"):
            async with reading(stream, wrong):
                pass


async def test_each_type_is_kept_for_its_own_time(
    connection: NatsConnection, options: JetStreamEventOptions, stream: JetStreamEvents
) -> None:
    await stream.publish([happened(body) for body in ONE_OF_EACH])
    context = (await connection.client()).jetstream()
    kept = {}
    for sequence in range(1, len(ONE_OF_EACH) + 1):
        message = await context.get_msg(options.stream, sequence)
        assert message.headers is not None and message.subject is not None
        kept[".".join(message.subject.split(".")[-2:])] = int(message.headers["Nats-TTL"]) // 86_400
    assert kept == {kind: 90 for kind in EventType if kind.startswith("document.")} | {
        "job.progress": 7,
        "index.committed": 7,
        "model.loaded": 30,
        "model.unloaded": 30,
        "system.alert": 365,
    }


async def test_what_is_over_its_time_is_gone(
    connection: NatsConnection, options: JetStreamEventOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = JetStreamEvents(connection, dataclasses.replace(options, job_days=1))
    monkeypatch.setattr(jetstream_events, "_DAY_S", 1)
    await brief.publish([happened(JobProgress("d", 1, "j", Stage.EMBED, 1, 1)), *uploads(1)])
    types: list[EventType] = []
    async with asyncio.timeout(20):
        while types != [EventType.DOCUMENT_UPLOADED]:
            async with reading(brief) as batches:
                events, _ = await take(batches, 1)
            types = [event.body.type for event in events]


async def test_after_a_restart_of_the_server_a_reader_goes_on(
    tmp_path: Path, environment: dict[str, str], options: JetStreamEventOptions
) -> None:
    server = EmbeddedNats(tmp_path / "data", environment)
    with running(server, tmp_path / "first.log"):
        connection = NatsConnection(server.url)
        stream = JetStreamEvents(connection, dataclasses.replace(options, request_timeout_s=1.0))
        published = uploads(1)
        await stream.publish(published)
        batches = stream.read("acme", ANY, LONG_AGO, 0.0)
        events, position = await take(batches, 1)
    async with connection:
        with running(server, tmp_path / "second.log"):
            published += uploads(1)
            async with asyncio.timeout(20):
                while not await stored(stream, published[1:]):
                    pass
            try:
                more, _ = await take(batches, 1)
            except DependencyUnavailable:  # it looked while there was no server
                async with reading(stream, position) as again:
                    more, _ = await take(again, 1)
            await batches.aclose()
    assert events + more == published


async def test_a_reader_that_was_forgotten_goes_on(
    connection: NatsConnection, options: JetStreamEventOptions, stream: JetStreamEvents
) -> None:
    published = uploads(2)
    await stream.publish(published[:1])
    async with reading(stream) as batches:
        events, _ = await take(batches, 1)
        manager = (await connection.client()).jsm()
        for consumer in await manager.consumers_info(options.stream):
            await manager.delete_consumer(options.stream, consumer.name)
        await stream.publish(published[1:])
        more, _ = await take(batches, 1)
    assert events + more == published


async def test_a_reader_that_leaves_takes_its_consumer_along(
    stream: JetStreamEvents, connection: NatsConnection, options: JetStreamEventOptions
) -> None:
    async with reading(stream), reading(stream):
        manager = (await connection.client()).jsm()
        assert len(await manager.consumers_info(options.stream)) == 2
    async with asyncio.timeout(60):
        while await manager.consumers_info(options.stream):  # noqa: ASYNC110 - NATS does not tell
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("reconnected", [False, True])
async def test_what_was_lost_on_its_way_is_read_again(
    connection: NatsConnection,
    options: JetStreamEventOptions,
    stream: JetStreamEvents,
    monkeypatch: pytest.MonkeyPatch,
    *,
    reconnected: bool,
) -> None:
    """Told by a gap, or by a new connection if nothing follows."""
    published = uploads(2 if reconnected else 3)
    await stream.publish(published[:1])
    async with reading(stream) as batches:
        events, _ = await take(batches, 1)
        client = await connection.client()
        (consumer,) = await client.jsm().consumers_info(options.stream)
        elsewhere = await client.jetstream().pull_subscribe_bind(consumer=consumer.name, stream=options.stream)
        await stream.publish(published[1:2])
        await elsewhere.fetch(1, timeout=20)
        if reconnected:
            session = connection.session + 1
            monkeypatch.setattr(NatsConnection, "session", property(lambda _: session))
        else:
            await stream.publish(published[2:])
        more, _ = await take(batches, len(published) - 1)
    assert events + more == published


async def test_what_is_changed_by_hand_stays_until_the_next_start(
    connection: NatsConnection, options: JetStreamEventOptions, stream: JetStreamEvents
) -> None:
    await stream.publish(uploads(1))
    manager = (await connection.client()).jsm()
    config = (await manager.stream_info(options.stream)).config
    await manager.update_stream(config.evolve(max_bytes=2**21))
    async with reading(stream) as batches:
        await take(batches, 1)
    await stream.publish(uploads(1))
    assert (await manager.stream_info(options.stream)).config.max_bytes == 2**21
    await JetStreamEvents(connection, options).publish(uploads(1))
    assert (await manager.stream_info(options.stream)).config.max_bytes == options.max_bytes


async def test_without_a_server_nothing_is_taken(options: JetStreamEventOptions) -> None:
    async with NatsConnection("nats://127.0.0.1:1", NatsConnectionOptions(connect_timeout_s=0.1)) as connection:
        stream = JetStreamEvents(connection, options)
        with pytest.raises(DependencyUnavailable):
            await stream.publish(uploads(1))
        with pytest.raises(DependencyUnavailable):
            await anext(stream.read("acme", ANY, None, 0.0))
