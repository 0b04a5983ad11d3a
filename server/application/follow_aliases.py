"""Has each slot served by the model that its alias names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from server.application.background import repeat
from server.application.model_control_ports import AliasStore, FilledSlot, ModelCatalogue, ModelReadiness
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, PinakesError
from server.domain.models import EMBEDDING_SLOT, Alias, KnownModels, alias_of

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AliasOptions:
    """Every process looks every `poll_s`, and a look takes at most `look_limit_s`: together they bound how long a moved
    alias goes unnoticed."""

    poll_s: float = 1.0
    look_limit_s: float = 5.0

    @property
    def noticed_s(self) -> float:
        """After so long every process has noticed a moved alias, unless it cannot reach the database or Triton."""
        return self.poll_s + self.look_limit_s


class FollowAliases:
    """Every process that calls models runs one. A slot whose first model is not ready is served by the first that is;
    while none is, what served goes on being called, since it may be there again in a moment."""

    def __init__(
        self,
        store: AliasStore,
        catalogue: ModelCatalogue,
        readiness: ModelReadiness,
        slots: Mapping[str, FilledSlot],
        options: AliasOptions,
        fixed: Mapping[str, str] | None = None,
    ) -> None:
        """`fixed`: what serves the slots whose model the settings name, not an alias; they have no chain."""
        self._store = store
        self._catalogue = catalogue
        self._readiness = readiness
        self._slots = slots
        self._options = options
        self._fixed = dict(fixed or {})
        self._looking = asyncio.Lock()
        self._chains: dict[str, tuple[str, ...]] = {}
        self._set: frozenset[str] = frozenset()
        self._embedding_default = ""

    @property
    def options(self) -> AliasOptions:
        return self._options

    def chain(self, slot: str) -> tuple[str, ...]:
        """The models of the slot at the last look, the first one first."""
        return self._chains.get(slot, ())

    def aliases(self) -> tuple[Alias, ...]:
        """At the last look; one for each slot."""
        return tuple(self.alias(slot) for slot in sorted(self._slots.keys() | self._fixed.keys()))

    def alias(self, slot: str) -> Alias:
        return Alias(alias_of(slot), slot, self.chain(slot), self.serving(slot), slot not in self._set)

    def fixed(self, slot: str) -> bool:
        """Whether the settings name the slot's model."""
        return slot in self._fixed

    def serving(self, slot: str) -> str:
        """The model that serves the slot in this process; empty: none."""
        return self._fixed[slot] if slot in self._fixed else self._slots[slot].serving

    async def run(self) -> None:
        """Until cancelled."""

        async def step() -> None:
            await self.look()
            await asyncio.sleep(self._options.poll_s)

        await repeat("aliases", step, longest_pause_s=self._options.poll_s)

    async def look(self) -> None:
        """Reads the aliases and has their models serve. Raises DependencyUnavailable when they cannot be read; a model
        that cannot be reached is logged, and the other slots do not wait for it."""
        async with self._looking:
            known = await self._catalogue.read()
            chains = await self._store.chains()
            for slot in self._slots:
                self._chains[slot] = chains.get(slot) or self._default(slot, known)
            self._set = frozenset(slot for slot, models in chains.items() if models)
            await asyncio.gather(*(self._fill(slot, self._chains[slot]) for slot in self._slots))

    async def until_serving(self, slots: Sequence[str], deadline: Deadline) -> None:
        """Returns when all of them are served. Raises DependencyUnavailable when they are not by then."""
        while not all(map(self.serving, slots)):
            if deadline.remaining() <= self._options.poll_s:
                missing = next(slot for slot in slots if not self.serving(slot))
                models = ", ".join(self.chain(missing)) or "none"
                raise DependencyUnavailable(
                    f"the model slot {missing}", f"none of its models ({models}) is ready in time"
                )
            await asyncio.sleep(min(self._options.poll_s, 0.1))

    def _default(self, slot: str, known: KnownModels) -> tuple[str, ...]:
        """What the catalogue says; of the embedding model, what it said first: what is embedded from then on is
        searched beside what was embedded before, and only setting the alias compares them."""
        default = known.defaults.get(slot, "")
        if slot == EMBEDDING_SLOT:
            self._embedding_default = default = self._embedding_default or default
        return (default,) if default else ()

    async def _fill(self, slot: str, chain: tuple[str, ...]) -> None:
        filled = self._slots[slot]
        filled.expect(chain)
        deadline = Deadline.after(self._options.look_limit_s)
        for model in chain:
            if not await self._readiness.ready(model, deadline):
                continue
            if model != filled.serving:
                before = filled.serving
                try:
                    await filled.serve(model, deadline)
                except PinakesError as error:
                    _log.warning("model_not_reached", slot=slot, model=model, problem=str(error))
                    continue
                _log.info("model_serves", slot=slot, model=model, before=before)
            return
