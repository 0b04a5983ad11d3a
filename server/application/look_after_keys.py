"""Makes, lists and revokes the keys of services."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from server.application.identity_ports import ApiKeyStore, KeyPage, SecretHasher
from server.application.identity_rules import GrantRules, checked_groups, listed_size
from server.application.identity_states import IdentityStates
from server.application.upload_document import check_text
from server.domain.credentials import API_KEY_PREFIX, new_secret, secret_check, written_secret
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField
from server.domain.identities import ALL_SCOPES, ApiKey, KeptApiKey
from server.domain.permissions import Permission
from server.domain.principals import Principal

SERVICE_PREFIX = "service:"
"""What the user of a key is called by, unless it is the caller itself; no user's name has a colon."""
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """The longest lifetime of a key, and that of one that is made without."""

    lifetime_s: float = 90 * 86_400.0


@dataclass(frozen=True, slots=True)
class NewKey:
    """`lifetime_s`: None is the longest. `as_caller`: calls with it are the caller's own."""

    name: str
    scopes: tuple[str, ...]
    groups: tuple[str, ...] = ()
    lifetime_s: float | None = None
    as_caller: bool = False
    tenant: str = ""


class LookAfterKeys:
    def __init__(
        self,
        keys: ApiKeyStore,
        hasher: SecretHasher,
        states: IdentityStates,
        rules: GrantRules,
        options: KeyOptions,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._hasher = hasher
        self._states = states
        self._rules = rules
        self._options = options
        self._now = now

    async def create(self, principal: Principal, new: NewKey, deadline: Deadline) -> tuple[ApiKey, str]:
        """The key, and what calls carry, which is kept nowhere. Raises InvalidField, PermissionDenied, Overloaded,
        StageDeadline."""
        check_text("name", new.name, _LONGEST_NAME)
        tenant = self._rules.tenant_of(principal, new.tenant)
        if new.as_caller and tenant != principal.tenant:
            raise InvalidField("as_caller", "must not be set for another tenant")
        scopes = _scopes(new.scopes)
        self._rules.may_grant(principal, scopes)
        lifetime_s = self._options.lifetime_s if new.lifetime_s is None else new.lifetime_s
        if not 1 <= lifetime_s <= self._options.lifetime_s:
            raise InvalidField("lifetime", f"must be 1 to {self._options.lifetime_s:,.0f} seconds")
        now = self._now()
        user = principal.user if new.as_caller else f"{SERVICE_PREFIX}{new.name}"
        groups = checked_groups("groups", new.groups)
        if new.as_caller and not new.groups:
            groups = tuple(sorted(principal.groups))
        key = ApiKey(
            key_id=new_key_id(),
            tenant=tenant,
            name=new.name,
            user=user,
            groups=groups,
            scopes=tuple(sorted(scopes)),
            creator=principal.user,
            create_time=now,
            expire_time=now + timedelta(seconds=lifetime_s),
        )
        secret = new_secret()
        await self._keys.create(await kept_key(key, secret, self._hasher, deadline))
        return key, written_secret(API_KEY_PREFIX, key.key_id, secret)

    async def page(self, principal: Principal, size: int, token: str) -> KeyPage:
        """Newest first. Raises InvalidField, InvalidPageToken."""
        return await self._keys.page(principal.tenant, listed_size(size), token)

    async def revoke(self, principal: Principal, key_id: str) -> ApiKey:
        """Any key of the tenant: taking away is not giving. Raises ApiKeyNotFound."""
        key = await self._keys.revoke(principal.tenant, key_id)
        self._states.forget("key", key_id)
        return key


async def new_first_key(
    hasher: SecretHasher, tenant: str, user: str, groups: tuple[str, ...], deadline: Deadline
) -> tuple[KeptApiKey, str]:
    """The key that an installation begins with, which may do everything and does not expire, and what calls carry.
    Raises Overloaded, StageDeadline."""
    key = ApiKey(new_key_id(), tenant, "admin", user, groups, (ALL_SCOPES,), "", datetime.now(UTC))
    secret = new_secret()
    return await kept_key(key, secret, hasher, deadline), written_secret(API_KEY_PREFIX, key.key_id, secret)


async def kept_key(key: ApiKey, secret: str, hasher: SecretHasher, deadline: Deadline) -> KeptApiKey:
    """A key as it is stored. Raises Overloaded, StageDeadline."""
    return KeptApiKey(key, secret_check(secret), await hasher.hash(secret, deadline))


def new_key_id() -> str:
    """64 random bits; no secret."""
    return secrets.token_hex(8)


def _scopes(named: tuple[str, ...]) -> frozenset[Permission]:
    known = {permission.value: permission for permission in Permission}
    for scope in named:
        if scope not in known:
            raise InvalidField("scopes", f"must be of {', '.join(known)}")
    if not named:
        raise InvalidField("scopes", "must name one at least")
    return frozenset(known[scope] for scope in named)
