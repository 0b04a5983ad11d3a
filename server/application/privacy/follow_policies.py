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


@dataclass(frozen=True, slots=True)
class _Read:
    policy: PrivacyPolicy
    began: float


class FollowPolicies:
    """The `Policies` port: the policy in the store, or what it was less than `keep_s` ago."""

    def __init__(self, store: PolicyStore, options: PolicyOptions, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._options = options
        self._now = now
        self._read: LRUCache[str, _Read] = LRUCache(options.tenants)
        self._reading: dict[str, asyncio.Task[PrivacyPolicy]] = {}

    async def of(self, tenant: str) -> PrivacyPolicy:
        read = self._read.get(tenant)
        if read is not None and self._now() - read.began < self._options.keep_s:
            return read.policy
        reading = self._reading.get(tenant)
        if reading is None:
            reading = self._reading[tenant] = asyncio.create_task(self._fetch(tenant))
        return await asyncio.shield(reading)

    async def change(self, tenant: str, actions: Mapping[PiiKind, PrivacyAction], user: str) -> PrivacyPolicy:
        """Returns when the change holds everywhere. Raises as PolicyStore.change does."""
        policy = await self._store.change(tenant, actions, user)
        # Whoever read the older one began to before now.
        await asyncio.sleep(self._options.keep_s)
        return policy

    async def _fetch(self, tenant: str) -> PrivacyPolicy:
        began = self._now()
        try:
            policy = await self._store.get(tenant)
            self._read[tenant] = _Read(policy, began)
            return policy
        finally:
            del self._reading[tenant]
