"""What limiting tenants needs from the world. Failures are raised as `server.domain.errors`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from server.domain.quotas import Quota, Usage


@dataclass(frozen=True, slots=True)
class HeldQuota:
    """Of a tenant, as it was set for it. `update_time` is None where it never was."""

    tenant: str
    own: Quota
    usage: Usage
    update_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class HeldQuotaPage:
    quotas: tuple[HeldQuota, ...]
    next_page_token: str


class QuotaStore(Protocol):
    async def own(self, tenant: str) -> Quota:
        """Raises DependencyUnavailable, Overloaded, as all of these do."""

    async def get(self, tenant: str) -> HeldQuota:
        """Also for a tenant that has nothing yet."""

    async def set(self, tenant: str, quota: Quota) -> HeldQuota: ...

    async def page(self, size: int, token: str) -> HeldQuotaPage:
        """All tenants, by their names. Raises InvalidPageToken."""


class TokenLedger(Protocol):
    async def reserve(self, tenant: str, tokens: int, quota: Quota) -> None:
        """Counts them as used, unless they exceed the quota: raises QuotaExceeded, and counts nothing then. Any number
        of processes may do so at once."""

    async def correct(self, tenant: str, tokens: int) -> None:
        """Counts so many more, or, below 0, fewer."""


class RequestRates(Protocol):
    async def take(self, tenant: str, per_minute: int, wanted: int) -> int:
        """Of `wanted` requests, as many as the tenant may make now, on all servers together, within `per_minute`."""

    async def room_in_s(self, tenant: str, per_minute: int) -> float:
        """Seconds until it may make another one, about."""
