"""Who is asking."""

from __future__ import annotations

from dataclasses import dataclass

from server.domain.permissions import Permission, Role


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. `user` and `groups` decide which documents of `tenant` are visible; without groups, only its own.
    `permissions` say what it may do with them; what a method needs was looked at before it began
    (server/domain/permissions.py)."""

    tenant: str
    user: str
    groups: frozenset[str]
    role: Role = Role.VIEWER
    permissions: frozenset[Permission] = frozenset()


@dataclass(frozen=True, slots=True)
class AccessList:
    """Who may read a document: its owner, `users`, the members of `groups`, or (`tenant_wide`) everybody in the
    tenant."""

    owner: str
    groups: tuple[str, ...] = ()
    tenant_wide: bool = False
    users: tuple[str, ...] = ()

    def changeable_by(self, principal: Principal) -> bool:
        """Whether a principal *of the same tenant* may change this, or see who is on it."""
        return principal.user == self.owner or principal.role is Role.ADMIN

    def admits(self, principal: Principal) -> bool:
        """Whether a principal *of the same tenant* may read the document."""
        named = principal.user == self.owner or principal.user in self.users
        return self.tenant_wide or named or not principal.groups.isdisjoint(self.groups)
