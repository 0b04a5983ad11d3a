"""Loads and unloads models within a memory budget."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from server.application.announcing import Announcer
from server.application.follow_aliases import FollowAliases
from server.application.model_control_ports import ModelCatalogue, ModelControl, ModelMemory
from server.domain.deadline import Deadline
from server.domain.errors import (
    ModelInUse,
    ModelLoadFailed,
    ModelMemoryExhausted,
    PinakesError,
    StageDeadline,
)
from server.domain.events import ModelLoaded, ModelUnloaded
from server.domain.models import CatalogueModel, KnownModels, LoadedState, MemorySource, MemoryUse, Model, ModelState

_log = structlog.get_logger()

_QUESTION_LIMIT_S = 10.0
_UNLOADED = LoadedState(ModelState.UNLOADED)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """`memory_bytes` is what all models together may take; None: `memory_share` of this machine's memory. A load is
    given up after `load_limit_s`. A model that nobody has called for `idle_s` may be unloaded to make room for another
    one."""

    memory_bytes: int | None = None
    memory_share: float = 0.6
    load_limit_s: float = 600.0
    unload_limit_s: float = 120.0
    idle_s: float = 60.0


@dataclass(slots=True)
class _Load:
    task: asyncio.Task[bool]
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _Inventory:
    """What is loaded, and when each model was last used, in Unix seconds."""

    known: KnownModels
    states: Mapping[str, LoadedState]
    uses: Mapping[str, float] = field(default_factory=dict)

    def state(self, name: str) -> LoadedState:
        return self.states.get(name, _UNLOADED)

    def holds_memory(self, name: str) -> bool:
        return self.state(name).state in (ModelState.LOADING, ModelState.READY, ModelState.UNLOADING)


class LoadModels:
    """One process of an installation has one: it alone loads and unloads. What a model takes is measured where it runs
    on this machine, else declared in the catalogue, else estimated by the size of its files."""

    def __init__(
        self,
        catalogue: ModelCatalogue,
        control: ModelControl,
        memory: ModelMemory,
        aliases: FollowAliases,
        announcer: Announcer,
        options: LoadOptions,
    ) -> None:
        self._catalogue = catalogue
        self._control = control
        self._memory = memory
        self._aliases = aliases
        self._announcer = announcer
        self._options = options
        self._loads: dict[str, _Load] = {}
        self._changing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._admission = asyncio.Lock()
        self._reserved: dict[str, int] = {}
        self._measured: dict[str, int] = {}
        self._asked_for: dict[str, float] = {}
        self._noticed_at: dict[str, float] = {}
        self._suspended: set[str] = set()

    @property
    def budget_bytes(self) -> int:
        """What all models together may take."""
        if self._options.memory_bytes is not None:
            return self._options.memory_bytes
        return int(self._memory.total_bytes * self._options.memory_share)

    def suspended(self, name: str) -> bool:
        """Whether somebody has forced it to be unloaded, and nobody has asked for it since."""
        return name in self._suspended

    async def known(self, name: str) -> CatalogueModel:
        """Raises ModelNotFound, DependencyUnavailable."""
        return (await self._catalogue.read()).model(name)

    async def models(self, names: Sequence[str] | None = None) -> list[Model]:
        """By name; all of the catalogue if no `names` are given. Raises ModelNotFound, DependencyUnavailable."""
        inventory = await self._inventory()
        known = inventory.known
        chosen = [known.models[name] for name in sorted(known.models)] if names is None else map(known.model, names)
        return [self._told(model, inventory) for model in chosen]

    async def load(self, name: str, deadline: Deadline) -> None:
        """Returns when the model is ready. Calls for one model share one load; when the last of them is cancelled or
        passes its deadline, the model is unloaded once it is loaded, so that nothing is left half done.

        Raises ModelNotFound, ModelLoadFailed, ModelMemoryExhausted, StageDeadline, DependencyUnavailable.
        """
        model = await self.known(name)
        self._suspended.discard(name)
        self._asked_for[name] = time.time()
        while not await self._joined(model, deadline):
            pass

    async def unload(self, name: str, deadline: Deadline, *, force: bool = False) -> None:
        """Returns when the model has answered what it had been asked and is gone. One that an alias named until a
        moment ago goes when every process has noticed. Raises ModelNotFound, ModelInUse, StageDeadline,
        DependencyUnavailable."""
        model = await self.known(name)
        if not force:
            self._check_unnamed(name)
        elif self._alias_naming(name):
            self._suspended.add(name)
        try:
            async with asyncio.timeout(deadline.budget("unload")), self._changing[name]:
                if not force:
                    await asyncio.sleep(max(0.0, self._noticed_at.get(name, 0.0) - time.monotonic()))
                    # Once more: an alias may have been set to it meanwhile.
                    self._check_unnamed(name)
                held = (await self._inventory()).holds_memory(name)
                await self._control.unload(name, deadline)
        except TimeoutError as error:
            raise StageDeadline("unload") from error
        _log.info("model_unloaded", model=name, forced=force)
        if held:
            await self._announcer.tell(ModelUnloaded(name, model.fingerprint))

    def replaced(self, models: Sequence[str]) -> None:
        """Says that an alias has just moved away from these: other processes may still be calling them."""
        for name in models:
            self._noticed_at[name] = time.monotonic() + self._aliases.options.noticed_s

    async def close(self) -> None:
        """Leaves running loads to themselves."""
        tasks = [load.task for load in self._loads.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -----------------------------------------------------------------------------------------------------------------

    async def _joined(self, model: CatalogueModel, deadline: Deadline) -> bool:
        """Waits for the running load, or begins one. False: it was given up just before this joined."""
        load = self._loads.get(model.name)
        if load is None:
            load = self._begun(model)
        load.waiting += 1
        try:
            async with asyncio.timeout(deadline.budget("load")):
                return await asyncio.shield(load.task)
        except TimeoutError as error:
            raise StageDeadline("load") from error
        finally:
            load.waiting -= 1

    def _begun(self, model: CatalogueModel) -> _Load:
        async def wanted() -> bool:
            return await self._load(model, lambda: load.waiting > 0)

        def ended(task: asyncio.Task[bool]) -> None:
            del self._loads[model.name]
            if not task.cancelled():
                # Nobody may be there to be told.
                task.exception()

        load = self._loads[model.name] = _Load(asyncio.create_task(wanted(), name=f"load-{model.name}"))
        load.task.add_done_callback(ended)
        return load

    async def _load(self, model: CatalogueModel, wanted: Callable[[], bool]) -> bool:
        name = model.name
        async with self._changing[name]:
            inventory = await self._inventory()
            if inventory.state(name).state is ModelState.READY:
                return True
            await self._make_room(model)
            began = time.monotonic()
            try:
                await self._control.load(model, Deadline.after(self._options.load_limit_s))
            except StageDeadline as error:
                await self._unload_quietly(name)
                problem = f"it was not ready after {self._options.load_limit_s:g} s"
                raise ModelLoadFailed(name, problem) from error
            finally:
                del self._reserved[name]
            if not wanted():
                _log.info("model_load_given_up", model=name)
                await self._unload_quietly(name)
                return False
            _log.info("model_loaded", model=name, seconds=round(time.monotonic() - began, 2))
            await self._announcer.tell(ModelLoaded(name, model.fingerprint))
            return True

    async def _make_room(self, model: CatalogueModel) -> None:
        """Reserves what the model takes, and unloads idle ones for it if need be."""
        async with self._admission:
            inventory = await self._inventory()
            held = {
                name: self._taken(name, inventory)
                for name in inventory.states
                if inventory.holds_memory(name) and name not in self._reserved and name != model.name
            }
            needed = self._use(model).size_bytes
            free = self.budget_bytes - sum(held.values()) - sum(self._reserved.values())
            idle = self._idle(inventory)
            available = free + sum(held[name] for name in idle)
            if needed > available:
                raise ModelMemoryExhausted(model.name, needed, available, self.budget_bytes)
            for name in idle:
                if needed <= free:
                    break
                if self._changing[name].locked():
                    continue
                async with self._changing[name]:
                    await self._control.unload(name, Deadline.after(self._options.unload_limit_s))
                _log.info("model_evicted", model=name, wanted=model.name)
                evicted = inventory.known.models[name]
                await self._announcer.tell(ModelUnloaded(name, evicted.fingerprint))
                free += held[name]
            if needed > free:
                raise ModelMemoryExhausted(model.name, needed, free, self.budget_bytes)
            self._reserved[model.name] = needed

    def _idle(self, inventory: _Inventory) -> list[str]:
        """Those that may be unloaded, the least recently used first."""
        now = time.time()
        serving = {self._aliases.serving(alias.slot) for alias in self._aliases.aliases()}
        first = {alias.models[0] for alias in self._aliases.aliases() if alias.models}
        used = {
            name: max(inventory.uses.get(name, 0.0), self._asked_for.get(name, 0.0)) for name in inventory.known.models
        }
        idle = [
            name
            for name in inventory.known.models
            if inventory.state(name).state is ModelState.READY
            and name not in serving | first
            and time.monotonic() >= self._noticed_at.get(name, 0.0)
            and now - used[name] >= self._options.idle_s
        ]
        return sorted(idle, key=used.__getitem__)

    async def _inventory(self) -> _Inventory:
        deadline = Deadline.after(_QUESTION_LIMIT_S)
        known = await self._catalogue.read()
        states = await self._control.states(deadline)
        uses = await self._control.last_uses(deadline)
        measured = await self._memory.measured()
        for name, state in states.items():
            # While it is being loaded it has not yet taken what it will take.
            if state.state is ModelState.READY and name in measured:
                self._measured[name] = measured[name]
        return _Inventory(known, states, uses)

    def _taken(self, name: str, inventory: _Inventory) -> int:
        """Also of one that is no longer in the catalogue."""
        known = inventory.known.models.get(name)
        return self._measured.get(name, 0) if known is None else self._use(known).size_bytes

    def _use(self, model: CatalogueModel) -> MemoryUse:
        if model.name in self._measured:
            return MemoryUse(self._measured[model.name], MemorySource.MEASURED)
        if model.declared_bytes is not None:
            return MemoryUse(model.declared_bytes, MemorySource.DECLARED)
        return MemoryUse(sum(artifact.size_bytes for artifact in model.artifacts), MemorySource.ESTIMATED)

    def _told(self, model: CatalogueModel, inventory: _Inventory) -> Model:
        state = inventory.state(model.name)
        used = inventory.uses.get(model.name)
        return Model(
            known=model,
            state=state.state,
            problem=state.problem if state.state is ModelState.FAILED else "",
            memory=self._use(model),
            aliases=tuple(alias.name for alias in self._aliases.aliases() if model.name in alias.models),
            last_use_time=None if used is None else datetime.fromtimestamp(used, UTC),
        )

    def _check_unnamed(self, name: str) -> None:
        alias = self._alias_naming(name)
        if alias:
            raise ModelInUse(name, alias)

    def _alias_naming(self, name: str) -> str | None:
        return next((alias.name for alias in self._aliases.aliases() if name in alias.models), None)

    async def _unload_quietly(self, name: str) -> None:
        with suppress(PinakesError):
            await self._control.unload(name, Deadline.after(self._options.unload_limit_s))
