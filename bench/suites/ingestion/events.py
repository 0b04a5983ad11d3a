"""How many events a second go through JetStream: published to NATS as the server publishes them, and received from
EventService by one subscriber, who may read the document that they are of."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import nats
from nats.aio.client import Client
from nats.js.api import Header
from pydantic import JsonValue, TypeAdapter

from bench.record import Findings, SummaryRow
from bench.suites.base import counted
from bench.suites.ingestion.workload import EventsPlan
from bench.targets import Endpoints
from pinakes import AsyncClient
from pinakes.events import Event, EventType

_FACTS = "events"
_SUBJECT = "pinakes.events.tenant.default.job.progress"
_KEPT_S = "3600"
_ANSWER_S = 10.0


async def measure_events(endpoints: Endpoints, plan: EventsPlan) -> Findings:
    """From the first publication until the last event has been received. Raises ValueError if the stack's NATS is not
    known, TimeoutError after the plan's deadline."""
    if endpoints.nats is None:
        raise ValueError("events are published to the stack's own NATS: let the suite start the stack")
    async with AsyncClient(endpoints.server, api_key=endpoints.api_key) as client:
        upload = await client.documents.upload(f"Events {uuid.uuid4()}".encode(), name="events.txt")
        await client.documents.wait(upload.job)
        connection = await nats.connect(endpoints.nats)
        try:
            async with asyncio.timeout(plan.deadline_s):
                facts = await _measured(client, connection, upload.document.document_id, plan)
        finally:
            await connection.close()
    return Findings((), {_FACTS: facts})


async def _measured(
    client: AsyncClient, connection: Client, document_id: str, plan: EventsPlan
) -> dict[str, JsonValue]:
    job_id = str(uuid.uuid4())
    seen: set[str] = set()
    listening = asyncio.Event()

    async def receive() -> None:
        async with client.events.subscribe(EventType.JOB_PROGRESS) as told:
            async for each in told:
                listening.set()
                if isinstance(each, Event) and getattr(each.body, "job_id", "") == job_id:
                    seen.add(each.event_id)
                    if len(seen) == plan.events:
                        return

    async with asyncio.TaskGroup() as group:
        receiver = group.create_task(receive())
        await listening.wait()
        began = time.perf_counter()
        for first in range(0, plan.events, plan.together):
            numbers = range(first, min(plan.events, first + plan.together))
            await _publish(connection, [_event(document_id, job_id, number) for number in numbers])
        published_s = time.perf_counter() - began
        await receiver
        received_s = time.perf_counter() - began
    return {"events": plan.events, "published_s": published_s, "received_s": received_s}


async def _publish(connection: Client, events: Sequence[tuple[str, bytes]]) -> None:
    """As one batch, whose last message is answered when all are stored. Raises RuntimeError if they are not."""
    batch = {Header.BATCH_ID.value: uuid.uuid4().hex[:16], Header.MSG_TTL.value: _KEPT_S}
    for number, (event_id, event) in enumerate(events, 1):
        headers = batch | {Header.MSG_ID.value: event_id, Header.BATCH_SEQUENCE.value: str(number)}
        if number < len(events):
            await connection.publish(_SUBJECT, event, headers=headers)
            continue
        headers[Header.BATCH_COMMIT.value] = "1"
        answer = await connection.request(_SUBJECT, event, _ANSWER_S, headers=headers)
        if b'"error"' in answer.data:
            raise RuntimeError(f"events were not stored: {answer.data.decode()}")


def _event(document_id: str, job_id: str, number: int) -> tuple[str, bytes]:
    """Its id and its bytes."""
    body = {"document_id": document_id, "revision": 1, "job_id": job_id, "stage": "extract"}
    event_id = f"{job_id}.{number}"
    event = {
        "event_id": event_id,
        "time": datetime.now(UTC).isoformat(),
        "tenant": "default",
        "type": "job.progress",
        "body": body | {"pages_done": number, "pages_total": 0},
    }
    return event_id, json.dumps(event).encode()


def events_rows(findings: Findings) -> list[SummaryRow]:
    if _FACTS not in findings.facts:
        return []
    facts = TypeAdapter(dict[str, float]).validate_python(findings.facts[_FACTS])
    count = int(facts["events"])
    return [
        counted("events: published and received", "events/s", count / facts["received_s"], count, better="higher"),
        counted("events: published", "events/s", count / facts["published_s"], count, better="higher"),
    ]
