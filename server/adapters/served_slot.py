"""A model slot, whose model can be replaced while it is in use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from server.application.model_control_ports import ModelReadiness
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, ModelNotInstalled

_M = TypeVar("_M")


class ServedSlot(Generic[_M]):
    """The ports `Slot` (for those who call the model) and `FilledSlot` (for who says which one it is). The event loop
    owns it."""

    def __init__(self, slot: str, readiness: ModelReadiness, connect: Callable[[str, Deadline], Awaitable[_M]]) -> None:
        """`connect` makes what calls the model of a name."""
        self._slot = slot
        self._readiness = readiness
        self._connect = connect
        self._expected: tuple[str, ...] = ()
        self._serving: tuple[str, _M] | None = None

    def model(self) -> _M:
        """See `Slot`."""
        if self._serving is not None:
            return self._serving[1]
        if not self._expected:
            raise ModelNotInstalled(self._slot)
        raise DependencyUnavailable(
            f"the model slot {self._slot}", f"none of its models ({', '.join(self._expected)}) is loaded"
        )

    @property
    def serving(self) -> str:
        """See `FilledSlot`."""
        return "" if self._serving is None else self._serving[0]

    def expect(self, models: tuple[str, ...]) -> None:
        """See `FilledSlot`."""
        self._expected = models
        if not models:
            self._serving = None

    async def serve(self, model: str, deadline: Deadline) -> None:
        """See `FilledSlot`."""
        self._serving = model, await self._connect(model, deadline)

    async def ready(self, deadline: Deadline) -> bool:
        """Whether the model that serves can be called now."""
        return bool(self.serving) and await self._readiness.ready(self.serving, deadline)
