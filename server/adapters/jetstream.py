"""The work queue on NATS JetStream."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from server.adapters.nats_connection import NatsConnection, translated
from server.adapters.nats_subjects import of_tenant

_DEDUP_HEADER = "Nats-Msg-Id"
# "maximum messages per subject exceeded", of JetStream's list of errors
_SUBJECT_IS_FULL = 10077


@dataclass(frozen=True, slots=True)
class JetStreamOptions:
    """`redelivery_s` is how long a delivery may stay without `working` before another worker gets it."""

    stream: str = "PINAKES_JOBS"
    subject: str = "pinakes.jobs"
    consumer: str = "workers"
    redelivery_s: float = 20.0
    max_unacknowledged: int = 256
    duplicate_window_s: float = 120.0
    request_timeout_s: float = 5.0
    replicas: int = 1


class JetStreamWorkQueue:
    """A stream with one subject per job, under its tenant's, each of which holds one message at most: publishing a job
    that is queued already changes nothing, so that PostgreSQL may say again what it is not sure the queue still knows.

    The stream and its consumer are made on first use, and again whenever they are found missing.
    """

    def __init__(self, connection: NatsConnection, options: JetStreamOptions | None = None) -> None:
        self._connection = connection
        self._options = options or JetStreamOptions()
        self._subscription: JetStreamContext.PullSubscription | None = None
        self._session = -1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._unsubscribe()

    async def publish(self, tenant: str, job_id: str, dedup_key: str) -> None:
        client = await self._connection.client()
        with translated():
            try:
                await self._publish(client, tenant, job_id, dedup_key)
            except (nats.js.errors.NoStreamResponseError, nats.js.errors.NotFoundError):
                await self._make_stream(client)
                await self._publish(client, tenant, job_id, dedup_key)

    async def fetch(self, timeout_s: float) -> JetStreamDelivery | None:
        client = await self._connection.client()
        with translated():
            try:
                subscription = await self._subscribed(client)
                [message] = await subscription.fetch(1, timeout=timeout_s)
            except nats.errors.TimeoutError:
                # Nothing to do, or nobody there to say so: a lost consumer answers no fetch.
                await self._verify(client)
                return None
            except nats.errors.Error:
                await self._unsubscribe()
                raise
        return JetStreamDelivery(message, self._options.request_timeout_s)

    async def _publish(self, client: Client, tenant: str, job_id: str, dedup_key: str) -> None:
        options = self._options
        try:
            await client.jetstream(timeout=options.request_timeout_s).publish(
                f"{options.subject}.{of_tenant(tenant)}.{job_id}",
                job_id.encode(),
                stream=options.stream,
                headers={_DEDUP_HEADER: dedup_key},
            )
        except nats.js.errors.APIError as exc:
            if exc.err_code != _SUBJECT_IS_FULL:
                raise

    async def _subscribed(self, client: Client) -> JetStreamContext.PullSubscription:
        if self._session != self._connection.session:
            await self._unsubscribe()
        if self._subscription is None:
            self._session = self._connection.session
            await self._make_stream(client)
            await self._make_consumer(client)
            self._subscription = await client.jetstream().pull_subscribe_bind(
                consumer=self._options.consumer, stream=self._options.stream
            )
        return self._subscription

    async def _verify(self, client: Client) -> None:
        try:
            manager = client.jsm(timeout=self._options.request_timeout_s)
            await manager.consumer_info(self._options.stream, self._options.consumer)
        except nats.errors.Error:
            await self._unsubscribe()
            raise

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(nats.errors.Error, OSError, ValueError):
                await subscription.unsubscribe()

    async def _make_stream(self, client: Client) -> None:
        options = self._options
        config = StreamConfig(
            name=options.stream,
            subjects=[f"{options.subject}.>"],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_msgs_per_subject=1,
            duplicate_window=options.duplicate_window_s,
            num_replicas=options.replicas,
        )
        manager = client.jsm(timeout=options.request_timeout_s)
        try:
            await manager.update_stream(config)
        except nats.js.errors.NotFoundError:
            await manager.add_stream(config)

    async def _make_consumer(self, client: Client) -> None:
        options = self._options
        config = ConsumerConfig(
            durable_name=options.consumer,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=options.redelivery_s,
            max_ack_pending=options.max_unacknowledged,
            # Attempts are counted in PostgreSQL, where a crash cannot lose count.
            max_deliver=-1,
        )
        await client.jsm(timeout=options.request_timeout_s).add_consumer(options.stream, config)


class JetStreamDelivery:
    def __init__(self, message: Msg, timeout_s: float) -> None:
        self._message = message
        self._timeout_s = timeout_s

    @property
    def job_id(self) -> str:
        return self._message.data.decode("ascii", "replace")

    async def done(self) -> None:
        """Waits until the queue has noted it: a job that was done must not be found queued when it is due again."""
        with translated(), suppress(nats.errors.MsgAlreadyAckdError):
            await self._message.ack_sync(timeout=self._timeout_s)

    async def again(self, delay_s: float) -> None:
        with translated(), suppress(nats.errors.MsgAlreadyAckdError):
            await self._message.nak(delay=delay_s)

    async def working(self) -> None:
        with translated(), suppress(nats.errors.MsgAlreadyAckdError):
            await self._message.in_progress()
