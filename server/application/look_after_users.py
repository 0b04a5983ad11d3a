"""Makes, lists and changes the users of a tenant."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from server.application.identity_ports import SecretHasher, UserPage, UserStore
from server.application.identity_rules import (
    GrantRules,
    check_name,
    check_password,
    checked_groups,
    listed_size,
    prepared_password,
)
from server.application.identity_states import IdentityStates
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField, UserNotFound
from server.domain.identities import User, UserChange
from server.domain.permissions import Role
from server.domain.principals import Principal


@dataclass(frozen=True, slots=True)
class NewUser:
    name: str
    password: str = field(repr=False)
    role: Role | None
    groups: tuple[str, ...] = ()
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class ChangeUser:
    """None leaves as it is; so does an empty `password`."""

    name: str
    role: Role | None = None
    groups: tuple[str, ...] | None = None
    disabled: bool | None = None
    password: str = field(default="", repr=False)


class LookAfterUsers:
    def __init__(self, users: UserStore, hasher: SecretHasher, states: IdentityStates, rules: GrantRules) -> None:
        self._users = users
        self._hasher = hasher
        self._states = states
        self._rules = rules

    async def create(self, principal: Principal, new: NewUser, deadline: Deadline) -> User:
        """Raises InvalidField, UserExists, PermissionDenied, Overloaded, StageDeadline."""
        check_name("user", new.name)
        check_password("password", new.password)
        role = _given_role(new.role)
        tenant = self._rules.tenant_of(principal, new.tenant)
        self._rules.may_manage(principal, tenant, role)
        now = datetime.now(UTC)
        user = User(str(uuid4()), tenant, new.name, role, checked_groups("groups", new.groups), False, now, now)
        return await self._users.create(user, await self._hasher.hash(prepared_password(new.password), deadline))

    async def page(self, principal: Principal, size: int, token: str) -> UserPage:
        """By name. Raises InvalidField, InvalidPageToken."""
        return await self._users.page(principal.tenant, listed_size(size), token)

    async def change(self, principal: Principal, wish: ChangeUser, deadline: Deadline) -> User:
        """Holds from the next call on. Raises InvalidField, UserNotFound, PermissionDenied, Overloaded,
        StageDeadline."""
        found = await self._users.find(principal.tenant, wish.name)
        if found is None:
            raise UserNotFound(wish.name)
        user, _ = found
        role = None if wish.role is None else _given_role(wish.role)
        for concerned in (user.role, role or user.role):
            self._rules.may_manage(principal, user.tenant, concerned)
        hashed = None
        if wish.password:
            check_password("password", wish.password)
            hashed = await self._hasher.hash(prepared_password(wish.password), deadline)
        groups = None if wish.groups is None else checked_groups("groups", wish.groups)
        changed = await self._users.change(
            user.tenant, user.name, UserChange(role, groups, wish.disabled, hashed), expected_role=user.role
        )
        self._states.forget("user", user.user_id)
        return changed


def _given_role(role: Role | None) -> Role:
    if role is None or role is Role.SERVICE:
        raise InvalidField("role", "must be that of a user")
    return role
