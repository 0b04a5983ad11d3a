"""Who is calling."""

from __future__ import annotations

from typing import Any, Protocol

from grpc.aio import ServicerContext

from server.domain.principals import Principal


class Identity(Protocol):
    def principal(self, context: ServicerContext[Any, Any]) -> Principal:
        """The caller of this call."""


class LoopbackIdentity:
    """Everybody who reaches the loopback address is the one local principal. The server refuses to bind anywhere else
    with it (`server/settings.py`)."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    def principal(self, context: ServicerContext[Any, Any]) -> Principal:
        return self._principal
