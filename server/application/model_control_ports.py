"""What loading models, and naming those that serve, needs from the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from server.domain.deadline import Deadline
from server.domain.models import CatalogueModel, KnownModels, LoadedState, WarmUp


class ModelCatalogue(Protocol):
    async def read(self) -> KnownModels:
        """As it is now. Raises DependencyUnavailable when it cannot be read."""


class ModelReadiness(Protocol):
    async def ready(self, model: str, deadline: Deadline) -> bool:
        """Whether the model can be called now; also False when nobody knows."""


class ModelControl(Protocol):
    """What runs the models. Loading one touches no other one."""

    async def states(self, deadline: Deadline) -> Mapping[str, LoadedState]:
        """By name; UNLOADED for those that are not in it. Raises DependencyUnavailable, StageDeadline."""

    async def load(self, model: CatalogueModel, deadline: Deadline) -> None:
        """Returns when it is ready. Not for one that is loaded. Raises ModelLoadFailed, DependencyUnavailable, and
        StageDeadline, after which it may become ready nevertheless."""

    async def unload(self, name: str, deadline: Deadline) -> None:
        """Returns when it has answered what it had been asked and is gone; at once if it is not loaded. Raises
        DependencyUnavailable, and StageDeadline, after which it goes nevertheless."""

    async def last_uses(self, deadline: Deadline) -> Mapping[str, float]:
        """When each loaded model was last called, in Unix seconds; without those that have not been called. Raises
        DependencyUnavailable, StageDeadline."""

    async def warm(self, model: CatalogueModel, deadline: Deadline) -> WarmUp:
        """Calls a loaded model with inputs of its usual sizes. Raises DependencyUnavailable, StageDeadline."""


class ModelMemory(Protocol):
    """Of the machine that this runs on."""

    @property
    def total_bytes(self) -> int: ...

    async def measured(self) -> Mapping[str, int]:
        """Resident bytes of the processes of each model that runs here."""


class AliasStore(Protocol):
    async def chains(self) -> Mapping[str, tuple[str, ...]]:
        """The models of each slot whose alias somebody has set. Raises DependencyUnavailable."""

    async def set(self, slot: str, models: Sequence[str]) -> None:
        """Durable when it returns. Without models, it is as if nobody had set the alias. Raises
        DependencyUnavailable."""


class FilledSlot(Protocol):
    """A slot, as who fills it sees it."""

    @property
    def serving(self) -> str:
        """The name of the model that serves; empty: none."""

    def expect(self, models: tuple[str, ...]) -> None:
        """Which models can come. Without any, nothing serves."""

    async def serve(self, model: str, deadline: Deadline) -> None:
        """Has calls that begin later go to `model`; until it is connected, and if it cannot be, nothing changes. Raises
        DependencyUnavailable, StageDeadline."""
