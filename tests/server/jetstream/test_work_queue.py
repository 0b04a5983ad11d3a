"""The work queue on a real JetStream: nothing twice at a time, nothing lost but by loss of the server's disk."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.adapters.jetstream import JetStreamDelivery, JetStreamOptions, JetStreamWorkQueue
from server.adapters.nats_bell import NatsBell
from server.adapters.nats_connection import NatsConnection, NatsConnectionOptions, translated
from server.domain.errors import DependencyUnavailable
from server.embedded.nats import EmbeddedNats, NatsOptions
from server.embedded.process import free_port, running

PATIENCE_S = 10.0


def own_names(redelivery_s: float = 30.0) -> JetStreamOptions:
    name = uuid.uuid4().hex
    return JetStreamOptions(
        stream=f"JOBS_{name}", subject=f"jobs.{name}", redelivery_s=redelivery_s, request_timeout_s=2.0
    )


@pytest.fixture
async def connection(nats_url: str) -> AsyncIterator[NatsConnection]:
    async with NatsConnection(nats_url) as opened:
        yield opened


@pytest.fixture
async def queue(connection: NatsConnection) -> AsyncIterator[JetStreamWorkQueue]:
    async with JetStreamWorkQueue(connection, own_names()) as opened:
        yield opened


async def next_of(queue: JetStreamWorkQueue) -> JetStreamDelivery:
    delivery = await queue.fetch(PATIENCE_S)
    assert delivery is not None
    return delivery


async def test_what_is_published_is_delivered_in_order(queue: JetStreamWorkQueue) -> None:
    for job_id in ("a", "b"):
        await queue.publish("acme", job_id, f"{job_id}.1")
    for job_id in ("a", "b"):
        delivery = await next_of(queue)
        assert delivery.job_id == job_id
        await delivery.done()
    assert await queue.fetch(0.1) is None


async def test_a_queued_job_is_not_queued_again_and_a_done_one_is(queue: JetStreamWorkQueue) -> None:
    for repeat in range(3):
        await queue.publish("acme", "a", f"a.{repeat}")
    delivery = await next_of(queue)
    await queue.publish("acme", "a", "a.3")
    await delivery.done()
    assert await queue.fetch(0.1) is None
    await queue.publish("acme", "a", "a.4")
    await (await next_of(queue)).done()


async def test_a_repeated_publication_of_a_done_job_is_dropped(queue: JetStreamWorkQueue) -> None:
    """A relay that died between publishing and marking publishes again, maybe after the job was done."""
    await queue.publish("acme", "a", "a.1")
    await (await next_of(queue)).done()
    await queue.publish("acme", "a", "a.1")
    assert await queue.fetch(0.1) is None


async def test_a_dead_workers_job_goes_to_another(connection: NatsConnection) -> None:
    async with JetStreamWorkQueue(connection, own_names(redelivery_s=0.2)) as queue:
        await queue.publish("acme", "a", "a.1")
        await next_of(queue)
        again = await next_of(queue)
        assert again.job_id == "a"
        await again.done()
        assert await queue.fetch(0.5) is None


async def test_a_job_put_back_comes_again(queue: JetStreamWorkQueue) -> None:
    await queue.publish("acme", "a", "a.1")
    await (await next_of(queue)).again(0.1)
    delivery = await next_of(queue)
    assert delivery.job_id == "a"
    await delivery.done()


async def test_a_working_worker_keeps_its_job(connection: NatsConnection) -> None:
    async with JetStreamWorkQueue(connection, own_names(redelivery_s=1.0)) as queue:
        await queue.publish("acme", "a", "a.1")
        delivery = await next_of(queue)
        for _ in range(6):
            await delivery.working()
            assert await queue.fetch(0.3) is None
        await delivery.done()


async def test_a_stream_that_vanished_is_made_again(connection: NatsConnection) -> None:
    options = own_names()
    async with JetStreamWorkQueue(connection, options) as queue:
        await queue.publish("acme", "a", "a.1")
        await (await next_of(queue)).done()
        for job_id in ("published first", "fetched first"):
            client = await connection.client()
            await client.jsm().delete_stream(options.stream)
            if job_id == "fetched first":
                with pytest.raises(DependencyUnavailable):
                    await queue.fetch(0.2)
                assert await queue.fetch(0.1) is None
            await queue.publish("acme", job_id.replace(" ", "_"), job_id)
            if job_id == "published first":
                with pytest.raises(DependencyUnavailable):
                    await queue.fetch(0.2)
            assert (await next_of(queue)).job_id == job_id.replace(" ", "_")


@pytest.mark.stack
@pytest.mark.parametrize("disk_is_lost", [False, True])
async def test_the_queue_outlives_a_restart_of_the_server(
    tmp_path: Path, environment: dict[str, str], disk_is_lost: bool
) -> None:
    server = EmbeddedNats(tmp_path / "data", environment, NatsOptions(port=free_port()))
    quick = NatsConnectionOptions(connect_timeout_s=2.0, reconnect_wait_s=0.05)
    with running(server, tmp_path / "first.log"):
        url = server.url
        connection = await NatsConnection(url, quick).__aenter__()
        queue = JetStreamWorkQueue(connection, own_names())
        await queue.publish("acme", "kept", "kept.1")
        assert await queue.fetch(PATIENCE_S) is not None
        await queue.publish("acme", "b", "b.1")
    with pytest.raises(DependencyUnavailable):
        await queue.publish("acme", "c", "c.1")
    with pytest.raises(DependencyUnavailable):
        await queue.fetch(0.1)
    if disk_is_lost:
        shutil.rmtree(tmp_path / "data" / "store")
    with running(server, tmp_path / "second.log"):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await queue.publish("acme", "d", "d.1")
                    break
                except DependencyUnavailable:
                    await asyncio.sleep(0.05)
        delivered = []
        while (delivery := await queue.fetch(0.5)) is not None:
            delivered.append(delivery.job_id)
            await delivery.done()
        assert delivered == (["d"] if disk_is_lost else ["b", "d"])
        await queue.__aexit__(None, None, None)
        await connection.__aexit__(None, None, None)


async def test_an_absent_server_is_an_unavailable_dependency() -> None:
    options = NatsConnectionOptions(connect_timeout_s=0.3, reconnect_wait_s=0.05)
    async with NatsConnection(f"nats://127.0.0.1:{free_port()}", options) as connection:
        with pytest.raises(DependencyUnavailable):
            await JetStreamWorkQueue(connection, own_names()).publish("acme", "a", "a.1")
        bell = NatsBell(connection, "bell")
        await bell.ring()
        await bell.wait(0.01)


async def test_a_cancellation_that_the_client_drops_is_noticed() -> None:
    """nats-py ends `_flush_pending` on a cancellation as if nothing had happened; a worker then never stopped."""
    dropping = asyncio.Event()

    async def client_call() -> None:
        try:
            dropping.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

    async def our_call() -> None:
        with translated():
            await client_call()

    task = asyncio.create_task(our_call())
    await dropping.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await our_call()


async def test_a_bell_is_heard_in_other_connections(nats_url: str, connection: NatsConnection) -> None:
    subject = f"bell.{uuid.uuid4().hex}"
    async with NatsConnection(nats_url) as other, NatsBell(other, subject) as heard:
        await heard.wait(0.01)
        await (await other.client()).flush()
        waiting = asyncio.create_task(heard.wait(PATIENCE_S * 3))
        await connection.client()
        await NatsBell(connection, subject).ring()
        async with asyncio.timeout(PATIENCE_S):
            await waiting


async def test_a_ring_does_not_wait_for_a_connection() -> None:
    """A server that accepts and then says nothing: whoever asks for the connection waits until its deadline."""
    met = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, NatsConnection(f"nats://127.0.0.1:{port}") as connection:
        connecting = asyncio.create_task(connection.client())
        await met.wait()
        # Run by hand: a ring that suspends is one that waits.
        with pytest.raises(StopIteration):
            NatsBell(connection, "bell").ring().send(None)
        assert not connecting.done()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
