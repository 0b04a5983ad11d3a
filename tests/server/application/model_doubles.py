"""A Triton, a catalogue, aliases and slots in memory, wired as the server wires the real ones."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from server.application.follow_aliases import AliasOptions, FollowAliases
from server.application.keep_models import KeepModels, KeepOptions
from server.application.load_models import LoadModels, LoadOptions
from server.application.look_after_models import LookAfterModels
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, ModelLoadFailed, StageDeadline
from server.domain.generations import Generation, GenerationOptions, GenerationState
from server.domain.models import (
    SLOTS,
    CatalogueModel,
    KnownModels,
    LoadedState,
    ModelArtifact,
    ModelState,
    WarmUp,
)
from tests.server.application.announcements import Announcements

PROMPT = AliasOptions(poll_s=0.005, look_limit_s=1.0)
BUDGET = 100


def known(name: str, slot: str = "generate", size: int = 10) -> CatalogueModel:
    artifact = ModelArtifact("weights", f"{name}.bin", "ab", size, "none", "a test")
    return CatalogueModel(name, slot, f"{name}+weights", (artifact,), declared_bytes=size)


@dataclass
class MemoryCatalogue:
    models: dict[str, CatalogueModel]
    defaults: dict[str, str]

    async def read(self) -> KnownModels:
        return KnownModels(dict(self.models), dict(self.defaults))


@dataclass
class MemoryTriton:
    """The ports ModelControl, ModelReadiness and ModelMemory. A load waits for the model's gate, if it has one."""

    loaded: dict[str, ModelState] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    loads: Counter[str] = field(default_factory=Counter)
    events: list[tuple[str, str]] = field(default_factory=list)
    uses: dict[str, float] = field(default_factory=dict)
    resident: dict[str, int] = field(default_factory=dict)
    total_bytes: int = BUDGET

    async def ready(self, model: str, deadline: Deadline) -> bool:
        return self.loaded.get(model) is ModelState.READY

    async def states(self, deadline: Deadline) -> Mapping[str, LoadedState]:
        failed = {name: LoadedState(ModelState.FAILED, problem) for name, problem in self.failing.items()}
        return failed | {name: LoadedState(state) for name, state in self.loaded.items()}

    async def load(self, model: CatalogueModel, deadline: Deadline) -> None:
        name = model.name
        assert name not in self.loaded, "a model that is loaded would be loaded anew"
        self.loads[name] += 1
        self.loaded[name] = ModelState.LOADING
        try:
            if name in self.gates:
                async with asyncio.timeout(deadline.budget("load")):
                    await self.gates[name].wait()
            await asyncio.sleep(0)
        except TimeoutError as error:
            raise StageDeadline("load") from error
        if name in self.failing:
            del self.loaded[name]
            raise ModelLoadFailed(name, self.failing[name])
        self.loaded[name] = ModelState.READY
        self.events.append(("load", name))

    async def unload(self, name: str, deadline: Deadline) -> None:
        await asyncio.sleep(0)
        self.loaded.pop(name, None)
        self.uses.pop(name, None)
        self.events.append(("unload", name))

    async def last_uses(self, deadline: Deadline) -> Mapping[str, float]:
        return dict(self.uses)

    async def warm(self, model: CatalogueModel, deadline: Deadline) -> WarmUp:
        if not await self.ready(model.name, deadline):
            raise DependencyUnavailable(f"the model {model.name}", "it is not loaded")
        self.events.append(("warm", model.name))
        return WarmUp(2, 0.5, 0.25)

    async def measured(self) -> Mapping[str, int]:
        return dict(self.resident)

    def unloads(self) -> list[str]:
        return [name for event, name in self.events if event == "unload"]


@dataclass
class MemoryAliases:
    rows: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def chains(self) -> Mapping[str, tuple[str, ...]]:
        return dict(self.rows)

    async def set(self, slot: str, models: Sequence[str]) -> None:
        self.rows[slot] = tuple(models)
        if not models:
            del self.rows[slot]


@dataclass
class MemorySlot:
    serving: str = ""
    expected: tuple[str, ...] = ()
    unreachable: set[str] = field(default_factory=set)

    def expect(self, models: tuple[str, ...]) -> None:
        self.expected = models
        if not models:
            self.serving = ""

    async def serve(self, model: str, deadline: Deadline) -> None:
        if model in self.unreachable:
            raise DependencyUnavailable(f"the model {model}", "it does not answer")
        self.serving = model


class OneGeneration:
    """The part of IndexGenerations that aliases need."""

    def __init__(self, fingerprint: str) -> None:
        self.generations = [_generation("generation-1", GenerationState.SERVING, fingerprint)]
        self.activated: list[str] = []

    def add(self, state: GenerationState, fingerprint: str) -> None:
        self.generations.append(_generation(f"generation-{len(self.generations) + 1}", state, fingerprint))

    async def all(self) -> tuple[Generation, ...]:
        return tuple(self.generations)

    async def activate(self, name: str) -> tuple[Generation, str]:
        self.activated.append(name)
        states = {True: GenerationState.SERVING, False: GenerationState.READY}
        self.generations = [replace(each, state=states[each.name == name]) for each in self.generations]
        return next(each for each in self.generations if each.name == name), "generation-1"

    async def begin(self, options: GenerationOptions) -> Generation:
        raise NotImplementedError

    async def retire(self, name: str) -> None:
        raise NotImplementedError

    async def erase(self, name: str) -> None:
        raise NotImplementedError


def _generation(name: str, state: GenerationState, fingerprint: str) -> Generation:
    return Generation(name, state, 3, fingerprint, datetime.now(UTC), (), GenerationOptions(32, 200), "")


class Models:
    """What serves by default is loaded when `kept` begins."""

    def __init__(
        self, *models: CatalogueModel, load: LoadOptions | None = None, keep: KeepOptions | None = None
    ) -> None:
        self.catalogue = MemoryCatalogue(
            {model.name: model for model in (known("e5@1", "embed"), known("qwen@1"), *models)},
            {"embed": "e5@1", "generate": "qwen@1"},
        )
        self.triton = MemoryTriton()
        self.store = MemoryAliases()
        self.told = Announcements()
        self.slots = {slot: MemorySlot() for slot in SLOTS}
        self.aliases = FollowAliases(self.store, self.catalogue, self.triton, self.slots, PROMPT)
        options = load or LoadOptions(memory_bytes=BUDGET, idle_s=60.0)
        self.loads = LoadModels(self.catalogue, self.triton, self.triton, self.aliases, self.told, options)
        self.keeping = KeepModels(
            self.loads, self.aliases, self.triton, self.told, keep or KeepOptions(poll_s=0.005, first_retry_s=0.01)
        )
        self.index = OneGeneration("e5@1+weights")
        self.care = LookAfterModels(self.loads, self.aliases, self.store, self.catalogue, self.triton, self.index)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Follows the aliases and keeps their models loaded while the context lasts."""
        tasks = [asyncio.create_task(self.aliases.run()), asyncio.create_task(self.keeping.run())]
        try:
            await self.aliases.until_serving(["embed", "generate"], Deadline.after(10))
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self.loads.close()
