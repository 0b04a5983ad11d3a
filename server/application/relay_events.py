"""Publishes what the database says has happened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from server.application.background import repeat
from server.application.event_ports import EventOutbox, EventPublisher

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EventRelayOptions:
    """What was published is kept for `settled_s`, to be published again if the stream's server has crashed: longer than
    that server takes to flush what it has confirmed to its disk (its `sync_interval`; ours, a second). What could not
    be published for `given_up_s` is dropped, so that the database does not fill up with it."""

    settled_s: float = 10.0
    given_up_s: float = 7 * 86_400.0
    forget_every_s: float = 5.0
    batch: int = 1_024
    poll_s: float = 0.25


class RelayEvents:
    """Any number may run, in any process: one of them works at a time, so that events stay in their order."""

    def __init__(self, outbox: EventOutbox, publisher: EventPublisher, options: EventRelayOptions) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._options = options
        self._session = -1

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(repeat("relay_events", self._relay))
            group.create_task(repeat("forget_events", self._forget))

    async def _relay(self) -> None:
        session = self._publisher.session
        if session != self._session:
            await self._outbox.publish_again()
            self._session = session
        while await self._outbox.relay(self._publisher, self._options.batch):
            pass
        await asyncio.sleep(self._options.poll_s)

    async def _forget(self) -> None:
        options = self._options
        settled_s = options.settled_s if await self._flushed() else options.given_up_s
        dropped = await self._outbox.forget(settled_s, options.given_up_s)
        if dropped:
            _log.error("events_dropped", events=dropped, problem="they could not be published for too long")
        await asyncio.sleep(options.forget_every_s)

    async def _flushed(self) -> bool:
        """Whether what settled has settled: a server that does not answer may have crashed before it did, and what it
        lost is to be published again however long it is away."""
        session = self._session
        if session != self._publisher.session or not await self._publisher.answers():
            return False
        return session == self._publisher.session
