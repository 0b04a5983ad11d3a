"""What names, passwords and groups may be, and who may give what to whom."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from server.application.upload_document import check_text
from server.domain.errors import InvalidField, PermissionDenied
from server.domain.permissions import Permission, Role, permissions_of
from server.domain.principals import Principal

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1_024
"""Characters. NIST SP 800-63B, section 5.1.1: length and nothing else; a limit only for what hashing costs."""
MOST_GROUPS = 64
_LONGEST_NAME = 100
_PAGE_SIZE = 50
_LARGEST_PAGE = 500
_NAME = re.compile(rf"[A-Za-z0-9._@+-]{{1,{_LONGEST_NAME}}}")


def check_name(field: str, name: str) -> None:
    """Of users and tenants. No colon: what services are called by has one. Raises InvalidField."""
    if not _NAME.fullmatch(name):
        raise InvalidField(field, f"must have 1 to {_LONGEST_NAME} letters, digits and any of ._@+-")


def check_password(field: str, password: str) -> None:
    """Raises InvalidField, which does not repeat it."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidField(field, f"must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD:,} characters")


def checked_groups(field: str, groups: Iterable[str]) -> tuple[str, ...]:
    """Each once, sorted. Raises InvalidField."""
    each = tuple(sorted(set(groups)))
    if len(each) > MOST_GROUPS:
        raise InvalidField(field, f"must be at most {MOST_GROUPS}")
    for group in each:
        check_text(field, group, _LONGEST_NAME)
    return each


def prepared_password(password: str) -> str:
    """What is hashed: one form of characters that look the same (NIST SP 800-63B, section 5.1.1.2), and no more of them
    than one too many."""
    return unicodedata.normalize("NFKC", password[: LONGEST_PASSWORD + 1])


@dataclass(frozen=True, slots=True)
class GrantRules:
    """Nobody gives what it has not: else a key that may keep users could make itself an administrator."""

    operator_tenant: str

    def tenant_of(self, principal: Principal, tenant: str) -> str:
        """The tenant that is meant; empty: the principal's. Raises PermissionDenied, InvalidField."""
        if not tenant or tenant == principal.tenant:
            return principal.tenant
        check_name("tenant", tenant)
        if Permission.TENANTS_MANAGE not in principal.permissions:
            needed = Permission.TENANTS_MANAGE.value
            raise PermissionDenied(f"another tenant needs the permission {needed}", needed)
        return tenant

    def may_manage(self, principal: Principal, tenant: str, role: Role) -> None:
        """Whether the principal may make, change or revoke users of the role in the tenant: not those who may do more
        than itself. Raises PermissionDenied."""
        granted = permissions_of(role, operator=tenant == self.operator_tenant)
        _refuse_more(principal, granted, f"a user of the role {role.value} may do what you may not")

    def may_grant(self, principal: Principal, scopes: frozenset[Permission]) -> None:
        """Whether the principal may give these to a key. Raises PermissionDenied."""
        _refuse_more(principal, scopes, "a key may do no more than who makes it")


def _refuse_more(principal: Principal, granted: frozenset[Permission], problem: str) -> None:
    missing = sorted(granted - principal.permissions)
    if missing:
        raise PermissionDenied(f"{problem} ({', '.join(missing)})", missing[0])


def listed_size(size: int) -> int:
    """Of a page: 0 asks for the default. Raises InvalidField."""
    if size < 0:
        raise InvalidField("page_size", "must not be negative")
    return min(size or _PAGE_SIZE, _LARGEST_PAGE)
