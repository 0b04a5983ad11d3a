"""What a tenant may use, and what it uses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Quota:
    """None: no limit; or, in a tenant's own, what the server's settings say. `bytes` are those of all revisions that
    are kept, `tokens` those that models wrote for it, by days and months of UTC."""

    documents: int | None = None
    bytes: int | None = None
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None

    def over(self, default: Quota) -> Quota:
        """This one, and where it says nothing, the other."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return Quota(**{name: getattr(default, name) if value is None else value for name, value in own.items()})


@dataclass(frozen=True, slots=True)
class Usage:
    documents: int = 0
    bytes: int = 0
    tokens_today: int = 0
    tokens_this_month: int = 0


@dataclass(frozen=True, slots=True)
class TenantQuota:
    """`own` is what was set for the tenant, `in_force` what holds. `update_time`: of `own`; None: it was never set."""

    tenant: str
    own: Quota
    in_force: Quota
    usage: Usage
    update_time: datetime | None = None
