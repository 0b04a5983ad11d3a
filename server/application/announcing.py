"""Tells of what happened outside the database."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from server.application.event_ports import EventOutbox
from server.domain.errors import PinakesError
from server.domain.events import InstallationEvent

_PATIENCE_S = 2.0

_log = structlog.get_logger()


class Announcer(Protocol):
    async def tell(self, event: InstallationEvent) -> None:
        """Never fails: what happened has happened, whether somebody hears of it or not."""


class OutboxAnnouncer:
    """What cannot be written down within two seconds is not told, and the log says so."""

    def __init__(self, outbox: EventOutbox) -> None:
        self._outbox = outbox

    async def tell(self, event: InstallationEvent) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._outbox.append(event)
        except (PinakesError, TimeoutError) as error:
            _log.warning("event_not_told", type=event.type, problem=type(error).__name__)
