"""The connection to NATS, and where its errors become ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import nats.errors
import structlog
from nats.aio.client import Client

from server.application.tls_files import TlsFiles
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable

_NAME = "NATS"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NatsConnectionOptions:
    connect_timeout_s: float = 5.0
    reconnect_wait_s: float = 0.5
    ping_interval_s: int = 10
    """A silent connection is given up after two unanswered pings."""
    tls: TlsFiles = field(default_factory=TlsFiles)
    """For a server that demands TLS."""
    tls_handshake_first: bool = False
    """TLS comes before NATS says anything (the server needs `handshake_first`): nobody on the way can turn it off."""


class NatsConnection:
    """One connection for everything in this process; connects when first used, and again for ever.

    `async with NatsConnection(url, options) as connection`; `url` may hold a secret and is not logged.
    """

    def __init__(self, url: str, options: NatsConnectionOptions | None = None) -> None:
        self._url = url
        self._options = options or NatsConnectionOptions()
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._sessions = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            with suppress(nats.errors.Error, OSError):
                await self._client.close()

    @property
    def session(self) -> int:
        """Grows whenever the server was lost and found: what was set up there may be gone."""
        return self._sessions

    @property
    def connected(self) -> Client | None:
        """The client if it is connected now. For what is not worth a wait."""
        return self._client if self._client is not None and self._client.is_connected else None

    async def client(self) -> Client:
        """The connected client. Raises DependencyUnavailable at once while the connection is lost, and after
        `connect_timeout_s` when it cannot be made."""
        async with self._connecting:
            # A client that the server refused (after a change of its token, say) has closed itself for good.
            if self._client is None or self._client.is_closed:
                self._client = await self._connect()
        if not self._client.is_connected:
            raise DependencyUnavailable(_NAME, "the connection is lost")
        return self._client

    async def answers(self, deadline: Deadline) -> bool:
        """Whether the server does, before the deadline."""
        try:
            async with asyncio.timeout(deadline.remaining()):
                client = await self.client()
                with translated():
                    await client.flush(timeout=max(1, int(deadline.remaining())))
        except (TimeoutError, DependencyUnavailable):
            return False
        return True

    async def _connect(self) -> Client:
        client = Client()
        try:
            with translated():
                await self._open(client)
        except BaseException:
            with suppress(nats.errors.Error, OSError):
                await client.close()
            raise
        self._sessions += 1
        return client

    async def _open(self, client: Client) -> None:
        async with asyncio.timeout(self._options.connect_timeout_s):
            secured = self._options.tls.given or self._options.tls_handshake_first
            context = await asyncio.to_thread(self._options.tls.context) if secured else None
            await client.connect(
                self._url,
                tls=context,
                tls_handshake_first=self._options.tls_handshake_first,
                max_reconnect_attempts=-1,
                connect_timeout=max(1, int(self._options.connect_timeout_s)),
                reconnect_time_wait=self._options.reconnect_wait_s,  # type: ignore[arg-type]
                ping_interval=self._options.ping_interval_s,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnect,
                reconnected_cb=self._on_reconnect,
            )

    async def _on_error(self, error: Exception) -> None:
        _log.debug("nats_error", error=type(error).__name__)

    async def _on_disconnect(self) -> None:
        _log.warning("nats_disconnected")

    async def _on_reconnect(self) -> None:
        self._sessions += 1
        _log.info("nats_reconnected")


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the NATS client as DependencyUnavailable.

    The client drops a cancellation that comes while it flushes (`Client._flush_pending`, nats-py 2.16): the task would
    go on for ever. Here it is noticed and raised.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except (TimeoutError, nats.errors.Error, OSError) as exc:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError from exc
        raise DependencyUnavailable(_NAME, type(exc).__name__) from exc
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
