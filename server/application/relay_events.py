"""Publishes what the database says has happened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from server.application.background import repeat
from server.application.event_ports import EventOutbox, EventPublisher


@dataclass(frozen=True, slots=True)
class EventRelayOptions:
    batch: int = 512
    poll_s: float = 0.25


class RelayEvents:
    """Any number may run, in any process: one of them works at a time, so that events stay in their order."""

    def __init__(self, outbox: EventOutbox, publisher: EventPublisher, options: EventRelayOptions) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._options = options

    async def run(self) -> None:
        """Until cancelled."""
        await repeat("relay_events", self._relay)

    async def _relay(self) -> None:
        while await self._outbox.relay(self._publisher, self._options.batch):
            pass
        await asyncio.sleep(self._options.poll_s)
