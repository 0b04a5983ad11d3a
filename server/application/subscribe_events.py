"""Streams events to those who may know of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from server.application.event_ports import EventAccess, EventBatch, EventReader
from server.domain.deadline import Deadline
from server.domain.errors import StageDeadline
from server.domain.events import Event, EventBody, EventType, StreamPosition
from server.domain.principals import Principal


@dataclass(frozen=True, slots=True)
class SubscribeOptions:
    idle_s: float = 30.0
    """How long nothing may come before the subscriber is told that this is so."""
    parallel_checks: int = 2
    """How many subscribers may ask at a time what they may read: an event comes to all of them at once, and other calls
    need the database, too."""


@dataclass(frozen=True, slots=True)
class SubscribeCommand:
    """Without `types`: all. `start`: after a position, from a time on, or (None) from now on."""

    types: frozenset[EventType]
    start: StreamPosition | datetime | None


@dataclass(frozen=True, slots=True)
class Told:
    """An event, or only (`event` is None) where the subscriber is now."""

    event: Event | None
    position: StreamPosition


class SubscribeEvents:
    """Who may read a document is asked when its event is told, not when it happened."""

    def __init__(self, reader: EventReader, access: EventAccess, options: SubscribeOptions) -> None:
        self._reader = reader
        self._access = access
        self._options = options
        self._checks = asyncio.Semaphore(options.parallel_checks)

    async def run(
        self, principal: Principal, command: SubscribeCommand, deadline: Deadline
    ) -> AsyncGenerator[list[Told], None]:
        """What comes together, in order; never nothing. Raises InvalidField for a position of another stream,
        DependencyUnavailable, Overloaded, StageDeadline."""
        batches = self._reader.read(principal.tenant, command.types, command.start, self._options.idle_s)
        async with aclosing(batches):
            while True:
                try:
                    async with asyncio.timeout(deadline.remaining()):
                        batch = await anext(batches)
                        told = await self._readable(principal, batch)
                except TimeoutError as error:
                    raise StageDeadline("subscribe") from error
                yield told

    async def _readable(self, principal: Principal, batch: EventBatch) -> list[Told]:
        """Where the subscriber is comes last, unless it is where the last event says: what it may not know of is then
        not read a second time."""
        named = {document for _, event in batch.events if (document := _document_of(event.body)) is not None}
        readable = frozenset[str]()
        if named:
            async with self._checks:
                readable = await self._access.readable(principal, named)
        told = [
            Told(event, StreamPosition(batch.position.stream, sequence))
            for sequence, event in batch.events
            if (document := _document_of(event.body)) is None or document in readable
        ]
        if not told or told[-1].position != batch.position:
            told.append(Told(None, batch.position))
        return told


def _document_of(body: EventBody) -> str | None:
    """None for events of the installation, which name none."""
    return getattr(body, "document_id", None)
