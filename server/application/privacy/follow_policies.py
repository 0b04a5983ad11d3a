"""Which policy holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from server.application.privacy_ports import PolicyStore
from server.application.recent_readings import RecentReadings
from server.domain.privacy import PiiKind, PrivacyAction, PrivacyPolicy


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """A policy that was read is used for `keep_s`, in every process. A change returns when that time has passed, so
    that nobody uses an older one from then on: all processes must have the same setting, or that which changes policies
    the longest. `tenants` are remembered at most."""

    keep_s: float = 1.0
    tenants: int = 4_096


class FollowPolicies:
    """The `Policies` port: the policy in the store, or what it was less than `keep_s` ago."""

    def __init__(self, store: PolicyStore, options: PolicyOptions, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._options = options
        self._readings = RecentReadings(store.get, options.keep_s, options.tenants, now)

    async def of(self, tenant: str) -> PrivacyPolicy:
        return await self._readings.of(tenant)

    async def change(self, tenant: str, actions: Mapping[PiiKind, PrivacyAction], user: str) -> PrivacyPolicy:
        """Returns when the change holds everywhere. Raises as PolicyStore.change does."""
        policy = await self._store.change(tenant, actions, user)
        # Whoever read the older one began to before now.
        await asyncio.sleep(self._options.keep_s)
        return policy
