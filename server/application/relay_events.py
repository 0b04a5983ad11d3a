"""Publishes what the database says has happened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from server.application.background import repeat
from server.application.event_ports import EventOutbox, EventPublisher


@dataclass(frozen=True, slots=True)
class EventRelayOptions:
    """What was published is kept for `settled_s`, to be published again if the stream's server has crashed: longer than
    that server takes to flush what it has confirmed to its disk (its `sync_interval`; ours, a second)."""

    settled_s: float = 10.0
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
        await repeat("relay_events", self._relay)

    async def _relay(self) -> None:
        session = self._publisher.session
        if session != self._session:
            await self._outbox.publish_again()
            self._session = session
        while await self._outbox.relay(self._publisher, self._options.batch, self._options.settled_s):
            pass
        await asyncio.sleep(self._options.poll_s)
