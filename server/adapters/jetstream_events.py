"""Events on NATS JetStream.

One stream with one subject per tenant and type, so that one sequence orders all events; how long a message is kept is
said by the message itself (`Nats-TTL`, NATS 2.11), since a stream has one limit for all.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    Header,
    PubAck,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)

from server.adapters import event_json
from server.adapters.nats_connection import NatsConnection, translated
from server.adapters.nats_subjects import of_tenant
from server.application.event_ports import EventBatch
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, InvalidField
from server.domain.events import Event, EventType, StreamPosition

_DAY_S = 86_400
_BATCH = 1_024
_TOGETHER = 512
"""Events that are stored together; NATS takes up to 1,000."""
_UNANSWERED = 4_096
# What has come by then goes along with the first event of a batch.
_GATHER_S = 0.02
_LOOK_S = 5.0
_ABANDONED_S = 60.0
# NATS counts nanoseconds in 64 bits: times beyond these become others.
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class JetStreamEventOptions:
    """How long events are kept, in days; above `max_bytes` in all, the oldest go first."""

    stream: str = "PINAKES_EVENTS"
    subject: str = "pinakes.events"
    document_days: int = 90
    job_days: int = 7
    index_days: int = 7
    model_days: int = 30
    system_days: int = 365
    max_bytes: int = 2**30
    duplicate_window_s: float = 120.0
    request_timeout_s: float = 5.0
    replicas: int = 1

    def kept_s(self, kind: EventType) -> int:
        days: int = getattr(self, f"{kind.partition('.')[0]}_days")
        return days * _DAY_S


class JetStreamEvents:
    """The stream is made on first use, and again whenever it is found missing."""

    def __init__(self, connection: NatsConnection, options: JetStreamEventOptions | None = None) -> None:
        self._connection = connection
        self._options = options or JetStreamEventOptions()
        self._made = self._atomic = False
        self._context: tuple[Client, JetStreamContext] | None = None

    @property
    def session(self) -> int:
        return self._connection.session

    async def answers(self) -> bool:
        return await self._connection.answers(Deadline.after(self._options.request_timeout_s))

    async def publish(self, events: Sequence[Event]) -> int:
        client = await self._connection.client()
        with translated():
            if not self._made:
                await self._stream(client)
            try:
                return await self._publish(client, events)
            except (nats.errors.NoRespondersError, nats.js.errors.NoStreamResponseError, nats.js.errors.NotFoundError):
                await self._stream(client)
                return await self._publish(client, events)

    async def _publish(self, client: Client, events: Sequence[Event]) -> int:
        stored = 0
        while stored < len(events):
            part = events[stored : stored + _TOGETHER]
            try:
                whole = self._atomic and len(part) > 1 and await self._store_together(client, part)
                done = len(part) if whole else await self._store_each(client, part)
            except (TimeoutError, nats.errors.Error, OSError):
                if stored == 0:
                    raise
                done = 0
            stored += done
            if done < len(part):
                break
        return stored

    async def _store_together(self, client: Client, events: Sequence[Event]) -> bool:
        """Stores all or none (an atomic batch, ADR-50 of NATS): a fifth of the work of one after another, half of it
        the server's. False if NATS takes them not together, above all if it has one of them already."""
        batch = {Header.BATCH_ID.value: secrets.token_hex(8)}
        for number, event in enumerate(events[:-1], 1):
            headers = batch | self._headers(event) | {Header.BATCH_SEQUENCE.value: str(number)}
            await client.publish(self._subject(event), event_json.to_json(event), headers=headers)
        last = {Header.BATCH_SEQUENCE.value: str(len(events)), Header.BATCH_COMMIT.value: "1"}
        answer = await client.request(
            self._subject(events[-1]),
            event_json.to_json(events[-1]),
            timeout=self._options.request_timeout_s,
            headers=batch | self._headers(events[-1]) | last,
        )
        return "error" not in json.loads(answer.data)

    async def _store_each(self, client: Client, events: Sequence[Event]) -> int:
        """Stores them one by one; one that is there already counts as stored. Returns how many of the first ones are,
        which is one at least."""
        # Learns from the answer to the first one whether there is a stream.
        async with asyncio.timeout(self._options.request_timeout_s):
            await (await self._send(client, events[0]))
        # Sent one after another, so that they arrive in their order; answers are not waited for in between.
        sent = [await self._send(client, event) for event in events[1:]]
        if sent:
            await asyncio.wait(sent, timeout=self._options.request_timeout_s)
        stored = 1 + next((number for number, answer in enumerate(sent) if _failed(answer)), len(sent))
        if stored < len(events):
            self._context = None  # with what it still waits for
        return stored

    async def read(
        self, tenant: str, types: Collection[EventType], start: StreamPosition | datetime | None, idle_s: float
    ) -> AsyncGenerator[EventBatch, None]:
        subjects = [
            f"{self._options.subject}.{scope}.{kind}"
            for scope in (of_tenant(tenant), _INSTALLATION)
            for kind in (sorted(types) or (">",))
        ]
        async with _Reader(self._connection, self._options, subjects) as reader:
            with translated():
                await reader.begin(await self._stream(await self._connection.client()), start)
            yield EventBatch((), reader.position)
            told_at = time.monotonic()
            while True:
                with translated():
                    events = await reader.next()
                if events or time.monotonic() - told_at >= idle_s:
                    yield EventBatch(events, reader.position)
                    told_at = time.monotonic()

    async def _send(self, client: Client, event: Event) -> asyncio.Future[PubAck]:
        if self._context is None or self._context[0] is not client:
            self._context = client, client.jetstream(publish_async_max_pending=_UNANSWERED)
        return await self._context[1].publish_async(
            self._subject(event),
            event_json.to_json(event),
            wait_stall=self._options.request_timeout_s,
            headers=self._headers(event),
        )

    async def forget(self, tenant: str) -> None:
        """Removes the tenant's events from the stream. Raises DependencyUnavailable."""
        options = self._options
        client = await self._connection.client()
        with translated():
            await self._stream(client)
            manager = client.jsm(timeout=options.request_timeout_s)
            await manager.purge_stream(options.stream, subject=f"{options.subject}.{of_tenant(tenant)}.>")

    def _subject(self, event: Event) -> str:
        scope = _INSTALLATION if event.tenant is None else of_tenant(event.tenant)
        return f"{self._options.subject}.{scope}.{event.body.type}"

    def _headers(self, event: Event) -> dict[str, str]:
        return {
            Header.MSG_ID.value: event.event_id,
            Header.MSG_TTL.value: str(self._options.kept_s(event.body.type)),
            Header.EXPECTED_STREAM.value: self._options.stream,
        }

    async def _stream(self, client: Client) -> StreamInfo:
        """As the settings have it when this process first needs it; what somebody changes by hand later, stays."""
        options = self._options
        config = StreamConfig(
            name=options.stream,
            subjects=[f"{options.subject}.>"],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_bytes=options.max_bytes,
            max_age=max(map(options.kept_s, EventType)),
            duplicate_window=options.duplicate_window_s,
            allow_msg_ttl=True,
            allow_atomic=True,
            num_replicas=options.replicas,
        )
        manager = client.jsm(timeout=options.request_timeout_s)
        if self._made:
            with suppress(nats.js.errors.NotFoundError):
                return await manager.stream_info(options.stream)
        try:
            stream = await manager.update_stream(config)
        except nats.js.errors.NotFoundError:
            stream = await manager.add_stream(config)
        # NATS before 2.12 does not know of it.
        self._made, self._atomic = True, bool(stream.config.allow_atomic)
        return stream


class _Reader:
    """A consumer that acknowledges nothing: where it is stands in `position`, from which it is made anew if NATS has
    forgotten it, or has sent what did not arrive."""

    def __init__(self, connection: NatsConnection, options: JetStreamEventOptions, subjects: list[str]) -> None:
        self._connection = connection
        self._options = options
        self._subjects = subjects
        self._subscription: JetStreamContext.PullSubscription | None = None
        self._consumer = ""
        self._session = 0
        # How many messages this consumer has sent that have come.
        self._arrived = 0
        self.position = StreamPosition("", 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._unsubscribe()

    async def begin(self, stream: StreamInfo, start: StreamPosition | datetime | None) -> None:
        """Raises InvalidField."""
        last, name = stream.state.last_seq, _name(stream)
        if isinstance(start, StreamPosition):
            if start.stream != name or start.sequence > last:
                raise InvalidField("resume_token", "is of events that are lost; begin with a start_time")
            last = start.sequence
        self.position = StreamPosition(name, last)
        since = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=last + 1)
        if isinstance(start, datetime):
            then = min(max(start.astimezone(UTC), _EARLIEST), _LATEST)
            since = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=then)
        await self._subscribe(await self._connection.client(), since)

    async def next(self) -> tuple[tuple[int, Event], ...]:
        """What comes within `_LOOK_S`; nothing may."""
        if self._subscription is None or self._session != self._connection.session:
            # What was on its way when a connection broke never comes, though the consumer counts it as sent.
            await self._again()
        assert self._subscription is not None
        try:
            messages = await self._subscription.fetch(1, timeout=_LOOK_S)
        except TimeoutError:
            return ()
        except nats.js.errors.APIError:
            # NATS forgets consumers when it starts anew, and those that have long not asked.
            await self._unsubscribe()
            return ()
        with suppress(TimeoutError):
            messages += await self._subscription.fetch(_BATCH - 1, timeout=_GATHER_S)
        events: list[tuple[int, Event]] = []
        for message in messages:
            sequence = message.metadata.sequence
            if sequence.consumer != self._arrived + 1:
                # One before it was lost.
                await self._unsubscribe()
                break
            self._arrived = sequence.consumer
            self.position = StreamPosition(self.position.stream, sequence.stream)
            event = event_json.from_json(message.data)
            if event is not None:
                events.append((sequence.stream, event))
        return tuple(events)

    async def _again(self) -> None:
        """Raises DependencyUnavailable if the stream is another one now; what its reader asks next tells it so."""
        await self._unsubscribe()
        client = await self._connection.client()
        stream = await client.jsm(timeout=self._options.request_timeout_s).stream_info(self._options.stream)
        if _name(stream) != self.position.stream:
            raise DependencyUnavailable("NATS", "its stream of events was made anew")
        following = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=self.position.sequence + 1
        )
        await self._subscribe(client, following)

    async def _subscribe(self, client: Client, config: ConsumerConfig) -> None:
        config = config.evolve(
            ack_policy=AckPolicy.NONE,
            filter_subjects=self._subjects,
            inactive_threshold=_ABANDONED_S,
            mem_storage=True,
            num_replicas=1,
        )
        self._session, self._arrived = self._connection.session, 0
        manager = client.jsm(timeout=self._options.request_timeout_s)
        consumer = await manager.add_consumer(self._options.stream, config)
        assert consumer.delivered is not None
        # Before the first message that it will deliver.
        self.position = StreamPosition(self.position.stream, consumer.delivered.stream_seq)
        self._consumer = consumer.name
        self._subscription = await client.jetstream().pull_subscribe_bind(
            consumer=consumer.name, stream=self._options.stream
        )

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(nats.errors.Error, OSError, ValueError):
                await subscription.unsubscribe()
        client = self._connection.connected
        if subscription is not None and client is not None:
            # NATS forgets it by itself, though late: many short subscriptions would use up its consumers. Nobody waits
            # for the answer.
            with suppress(nats.errors.Error, OSError):
                await client.publish(f"$JS.API.CONSUMER.DELETE.{self._options.stream}.{self._consumer}")


_INSTALLATION = "installation"


def _failed(answer: asyncio.Future[PubAck]) -> bool:
    return not answer.done() or answer.cancelled() or answer.exception() is not None


def _name(stream: StreamInfo) -> str:
    return stream.created.isoformat() if stream.created else ""
