"""Which policy holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cachetools import LRUCache

from server.application.privacy_ports import PolicyStore
from server.domain.privacy import PiiKind, PrivacyAction, PrivacyPolicy


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """A policy that was read is used for `keep_s`, in every process. A change returns when that time has passed, so
    that nobody uses an older one from then on: all processes must have the same setting, or that which changes policies
    the longest. `tenants` are remembered at most."""

    keep_s: float = 1.0
    tenants: int = 4_096


@dataclass(eq=False, frozen=True, slots=True)
class _Reading:
    """What the store says, or will say, of `began`."""

    task: asyncio.Task[PrivacyPolicy]
    began: float


class FollowPolicies:
    """The `Policies` port: the policy in the store, or what it was less than `keep_s` ago."""

    def __init__(self, store: PolicyStore, options: PolicyOptions, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._options = options
        self._now = now
        self._readings: LRUCache[str, _Reading] = LRUCache(options.tenants)

    async def of(self, tenant: str) -> PrivacyPolicy:
        reading = self._readings.get(tenant)
        # However long it takes: who asks now must not be told what was before a change that has returned.
        if reading is None or self._now() - reading.began >= self._options.keep_s:
            began = self._now()
            reading = self._readings[tenant] = _Reading(asyncio.create_task(self._store.get(tenant)), began)
            reading.task.add_done_callback(lambda task: self._ended(tenant, task))
        return await asyncio.shield(reading.task)

    async def change(self, tenant: str, actions: Mapping[PiiKind, PrivacyAction], user: str) -> PrivacyPolicy:
        """Returns when the change holds everywhere. Raises as PolicyStore.change does."""
        policy = await self._store.change(tenant, actions, user)
        # Whoever read the older one began to before now.
        await asyncio.sleep(self._options.keep_s)
        return policy

    def _ended(self, tenant: str, task: asyncio.Task[PrivacyPolicy]) -> None:
        """A failure is told to those who wait for it, and to nobody after them."""
        failed = task.cancelled() or task.exception() is not None
        reading = self._readings.get(tenant)
        if failed and reading is not None and reading.task is task:
            del self._readings[tenant]
