"""Users, their sessions, and the keys of services, as they are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from server.domain.permissions import Permission, Role

ALL_SCOPES = "*"
"""Of the key that a new installation begins with: whatever permissions there are."""
_PERMISSIONS = {permission.value: permission for permission in Permission}


@dataclass(frozen=True, slots=True)
class User:
    """Of a tenant, in which `name` is unique. `user_id` is never used twice."""

    user_id: str
    tenant: str
    name: str
    role: Role
    groups: tuple[str, ...]
    disabled: bool
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to be changed; None leaves it as it is. `password_hash`: of a new password."""

    role: Role | None = None
    groups: tuple[str, ...] | None = None
    disabled: bool | None = None
    password_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """Of a signed-in user; it ends at `expire_time`, which each refresh puts off, or when it is revoked."""

    session_id: str
    user: User
    expire_time: datetime
    revoked: bool


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Calls with it are made as `user` of `tenant`. `scopes` are permissions' values, or ALL_SCOPES alone."""

    key_id: str
    tenant: str
    name: str
    user: str
    groups: tuple[str, ...]
    scopes: tuple[str, ...]
    creator: str
    create_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None
    last_use_time: datetime | None = None

    @property
    def role(self) -> Role:
        return Role.ADMIN if self.scopes == (ALL_SCOPES,) else Role.SERVICE

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the scopes name. One that is no permission (any more) grants nothing."""
        return frozenset(_PERMISSIONS[scope] for scope in self.scopes if scope in _PERMISSIONS)


@dataclass(frozen=True, slots=True)
class KeptApiKey:
    """A key with what its secret is compared with: `check` are 8 bytes of its SHA-256, so that nobody's guesses reach
    `secret_hash` (Argon2id), which takes long on purpose. `owner` is the user, as it is now, whose calls its calls are;
    a service has none."""

    key: ApiKey
    check: bytes
    secret_hash: str = field(repr=False)
    owner: User | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a signed-in user's calls carry, and what gets the next ones."""

    access_token: str
    access_expire_time: datetime
    refresh_token: str
    refresh_expire_time: datetime
    user: User
    session_id: str

    def __repr__(self) -> str:
        return f"Tokens(access_expire_time={self.access_expire_time})"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token whose signature, issuer, audience and times were found right. `token_id` is its `jti`; `session_id` is
    set in our own, the other claims in those of an identity provider. Times are seconds since 1970."""

    issuer: str
    token_id: str
    expire_time: float
    session_id: str = ""
    tenant: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    role: Role | None = None
