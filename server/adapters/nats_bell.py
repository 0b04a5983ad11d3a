"""A bell that is heard in other processes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from server.adapters.nats_connection import NatsConnection, translated
from server.domain.errors import DependencyUnavailable


class NatsBell:
    """Core NATS messages on `subject`: nobody keeps them, and one waiter at a time hears them."""

    def __init__(self, connection: NatsConnection, subject: str) -> None:
        self._connection = connection
        self._subject = subject
        self._rung = asyncio.Event()
        self._heard_by: Client | None = None
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._subscription is not None:
            with suppress(nats.errors.Error, OSError):
                await self._subscription.unsubscribe()

    async def ring(self) -> None:
        """Lost while there is no connection: making one may take seconds, which is more than waiters sleep."""
        client = self._connection.connected
        if client is not None:
            with suppress(DependencyUnavailable), translated():
                await client.publish(self._subject)

    async def wait(self, timeout_s: float) -> None:
        with suppress(DependencyUnavailable), translated():
            await self._listen()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        self._rung.clear()

    async def _listen(self) -> None:
        """The client itself listens again after a lost connection."""
        client = await self._connection.client()
        if client is not self._heard_by:
            self._subscription = await client.subscribe(self._subject, cb=self._on_ring)
            self._heard_by = client

    async def _on_ring(self, message: Msg) -> None:
        self._rung.set()
