"""Who is asking."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. `user` and `groups` decide which documents of `tenant` are visible; without groups, only its own."""

    tenant: str
    user: str
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class AccessList:
    """Who may read a document: its owner, the members of `groups`, or (`tenant_wide`) everybody in the tenant."""

    owner: str
    groups: tuple[str, ...] = ()
    tenant_wide: bool = False

    def admits(self, principal: Principal) -> bool:
        """Whether a principal *of the same tenant* may read the document."""
        return self.tenant_wide or principal.user == self.owner or not principal.groups.isdisjoint(self.groups)
