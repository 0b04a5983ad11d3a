"""A model slot that the settings give to an endpoint outside: no alias names its model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from server.adapters.openai_endpoint import OpenAiEndpoint
from server.domain.deadline import Deadline

_M = TypeVar("_M")
_BELIEVED_S = 15.0
_MISSED_S = 2.0


class EndpointSlot(Generic[_M]):
    """The port `Slot`."""

    def __init__(self, endpoint: OpenAiEndpoint, model: _M, clock: Callable[[], float] = time.monotonic) -> None:
        """`model` calls the `endpoint`."""
        self._endpoint = endpoint
        self._model = model
        self._clock = clock
        self._ready = False
        self._ask_at = clock()

    def model(self) -> _M:
        """See `Slot`."""
        return self._model

    @property
    def serving(self) -> str:
        """The endpoint and its model, as configured."""
        return self._endpoint.options.identity

    async def ready(self, deadline: Deadline) -> bool:
        """Whether the endpoint answers and accepts the key. It belongs to others, and is asked every 15 s only; every
        two while it does not answer."""
        if self._clock() >= self._ask_at:
            self._ready = await self._endpoint.ready(deadline)
            self._ask_at = self._clock() + (_BELIEVED_S if self._ready else _MISSED_S)
        return self._ready
