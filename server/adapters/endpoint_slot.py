"""A model slot that the settings give to an endpoint outside: no alias names its model."""

from __future__ import annotations

from typing import Generic, TypeVar

from server.adapters.openai_endpoint import OpenAiEndpoint
from server.domain.deadline import Deadline

_M = TypeVar("_M")


class EndpointSlot(Generic[_M]):
    """The port `Slot`."""

    def __init__(self, endpoint: OpenAiEndpoint, model: _M) -> None:
        """`model` calls the `endpoint`."""
        self._endpoint = endpoint
        self._model = model

    def model(self) -> _M:
        """See `Slot`."""
        return self._model

    @property
    def serving(self) -> str:
        """The endpoint and its model, as configured."""
        return self._endpoint.options.identity

    async def ready(self, deadline: Deadline) -> bool:
        """Whether the endpoint answers and accepts the key."""
        return await self._endpoint.ready(deadline)
