"""Events that wait to be published, and who may know of them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any

import structlog

from server.adapters import event_json
from server.adapters.postgres.identifiers import new_id, parsed_id
from server.adapters.postgres.pool import Connection, PostgresPool
from server.adapters.postgres.rows import VISIBLE, seeing
from server.application.event_ports import EventPublisher
from server.domain.events import DocumentEvent, Event, EventBody, InstallationEvent
from server.domain.principals import Principal

_log = structlog.get_logger()

# Any number that no other lock of ours has.
_RELAY_LOCK = 7_101_001
_INSERT = """
    INSERT INTO event_outbox (event_id, tenant, type, body) VALUES (%(event_id)s, %(tenant)s, %(type)s, %(body)s)
"""
_OF_DOCUMENT = """
    INSERT INTO event_outbox (event_id, tenant, type, body)
    SELECT %(event_id)s, tenant, %(type)s, %(body)s FROM documents WHERE document_id = %(document_id)s
"""
_DUE = """
    SELECT position, event_id, event_time, tenant, type, body::text FROM event_outbox
    WHERE publish_time IS NULL ORDER BY position LIMIT %s
"""
_PUBLISHED = "UPDATE event_outbox SET publish_time = clock_timestamp() WHERE position = ANY(%s)"
_FORGET = "DELETE FROM event_outbox WHERE publish_time < clock_timestamp() - make_interval(secs => %s)"
_GIVE_UP = """
    DELETE FROM event_outbox WHERE publish_time IS NULL AND event_time < clock_timestamp() - make_interval(secs => %s)
"""


async def tell(connection: Connection, event: DocumentEvent) -> None:
    """Tells of what this transaction does to a document; nobody hears of it if the transaction is rolled back."""
    await connection.execute(_OF_DOCUMENT, _row(event) | {"document_id": uuid.UUID(event.document_id)})


class PostgresEventOutbox:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def append(self, *events: InstallationEvent) -> None:
        async with self._pool.spanning() as connection:
            for event in events:
                await connection.execute(_INSERT, _row(event) | {"tenant": None})

    async def forget(self, settled_s: float, given_up_s: float) -> int:
        async with self._pool.spanning(flushed=False) as connection:
            await connection.execute(_FORGET, (settled_s,))
            return (await connection.execute(_GIVE_UP, (given_up_s,))).rowcount

    async def publish_again(self) -> None:
        async with self._pool.spanning() as connection:
            await connection.execute("UPDATE event_outbox SET publish_time = NULL WHERE publish_time IS NOT NULL")

    async def relay(self, publisher: EventPublisher, limit: int) -> int:
        async with self._pool.spanning() as connection:
            cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s) AS mine", (_RELAY_LOCK,))
            row = await cursor.fetchone()
            assert row is not None
            if not row["mine"]:
                return 0
            rows = await (await connection.execute(_DUE, (limit,))).fetchall()
            if not rows:
                return 0
            events = [(row["position"], _event_of(row)) for row in rows]
            known = [(position, event) for position, event in events if event is not None]
            if len(known) < len(events):
                # A newer server has written them, and was replaced by this one.
                _log.error("events_not_published", events=len(events) - len(known), problem="of an unknown type")
            stored = await publisher.publish([event for _, event in known]) if known else 0
            done = known[stored - 1][0] if stored < len(known) else events[-1][0]
            # Named one by one: an earlier one may have become visible meanwhile.
            told = [position for position, _ in events if position <= done]
            await connection.execute(_PUBLISHED, (told,))
        return stored


class PostgresEventAccess:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def readable(self, principal: Principal, document_ids: Collection[str]) -> frozenset[str]:
        parameters = seeing(principal) | {"document_ids": [parsed_id(document_id) for document_id in document_ids]}
        async with self._pool.transaction(principal.tenant) as connection:
            cursor = await connection.execute(
                f"SELECT d.document_id FROM documents d WHERE d.document_id = ANY(%(document_ids)s) AND {VISIBLE}",
                parameters,
            )
            return frozenset(str(row["document_id"]) for row in await cursor.fetchall())


def _row(event: EventBody) -> dict[str, object]:
    return {"event_id": new_id(), "type": event.type, "body": event_json.body_to_json(event)}


def _event_of(row: Mapping[str, Any]) -> Event | None:
    body = event_json.body_from_json(row["type"], row["body"])
    return None if body is None else Event(str(row["event_id"]), row["event_time"], row["tenant"], body)
