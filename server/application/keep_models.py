"""Keeps loaded what the aliases name."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog

from server.application.announcing import Announcer
from server.application.background import repeat
from server.application.follow_aliases import FollowAliases
from server.application.load_models import LoadModels
from server.application.model_control_ports import ModelReadiness
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, PinakesError
from server.domain.events import AlertKind, SystemAlert
from server.domain.models import SLOTS

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KeepOptions:
    """Looks every `poll_s`. A model that failed to load is tried again after `first_retry_s`, then after twice as long,
    and so on up to `longest_retry_s`; up to `longest_outage_retry_s` only if what loads it did not answer, since that
    says nothing of the model."""

    poll_s: float = 1.0
    load_limit_s: float = 600.0
    first_retry_s: float = 2.0
    longest_retry_s: float = 120.0
    longest_outage_retry_s: float = 5.0


class KeepModels:
    """For each slot, loads the first model of its chain; while that fails, the next one. A Triton that was started anew
    is filled again. Beside one LoadModels runs one of these."""

    def __init__(
        self,
        loads: LoadModels,
        aliases: FollowAliases,
        readiness: ModelReadiness,
        announcer: Announcer,
        options: KeepOptions,
    ) -> None:
        self._loads = loads
        self._aliases = aliases
        self._readiness = readiness
        self._announcer = announcer
        self._options = options
        self._failures: dict[str, int] = {}
        self._due: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled. A slot does not wait for another one's model."""
        async with asyncio.TaskGroup() as group:
            for slot in SLOTS:
                group.create_task(self._keep(slot))

    async def _keep(self, slot: str) -> None:
        async def step() -> None:
            await self.fill(slot)
            await asyncio.sleep(self._options.poll_s)

        await repeat(f"models of {slot}", step, longest_pause_s=self._options.poll_s)

    async def fill(self, slot: str) -> None:
        """Has one model of the slot's chain loaded, the first that can be."""
        for name in self._aliases.chain(slot):
            if self._loads.suspended(name):
                continue
            if await self._readiness.ready(name, Deadline.after(self._options.poll_s + 1.0)):
                self._failures.pop(name, None)
                return
            if time.monotonic() < self._due.get(name, 0.0):
                continue
            try:
                await self._loads.load(name, Deadline.after(self._options.load_limit_s))
            except PinakesError as error:
                outage = isinstance(error, DependencyUnavailable)
                self._postpone(name, self._options.longest_outage_retry_s if outage else self._options.longest_retry_s)
                _log.warning("model_not_loaded", slot=slot, model=name, problem=str(error))
                # Once until it is loaded, and not for what will pass.
                if not outage and self._failures[name] == 1:
                    await self._announcer.tell(SystemAlert(AlertKind.MODEL_FAILED, name, error.told))
            else:
                self._failures.pop(name, None)
                # Rather than at the next look: somebody may be waiting for it.
                await self._aliases.look()
                return

    async def settled(self) -> bool:
        """Whether no slot is about to be filled: each is served, or empty, or none of its models could be loaded."""
        return all([await self._settled(slot) for slot in SLOTS])

    async def _settled(self, slot: str) -> bool:
        chain = self._aliases.chain(slot)
        if all(name in self._failures or self._loads.suspended(name) for name in chain):
            return True
        serving = self._aliases.serving(slot)
        return bool(serving) and await self._readiness.ready(serving, Deadline.after(self._options.poll_s))

    def _postpone(self, name: str, longest_s: float) -> None:
        self._failures[name] = failures = self._failures.get(name, 0) + 1
        pause_s = min(self._options.first_retry_s * 2.0 ** min(failures - 1, 30), longest_s)
        self._due[name] = time.monotonic() + pause_s
