"""What signing in, users and keys need from the world. Stores raise DependencyUnavailable and Overloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from server.domain.deadline import Deadline
from server.domain.identities import ApiKey, IssuedToken, KeptApiKey, Session, User, UserChange
from server.domain.permissions import Role


@dataclass(frozen=True, slots=True)
class UserPage:
    users: tuple[User, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class KeyPage:
    keys: tuple[ApiKey, ...]
    next_page_token: str


class UserStore(Protocol):
    async def create(self, user: User, password_hash: str) -> User:
        """Raises UserExists."""

    async def find(self, tenant: str, name: str) -> tuple[User, str] | None:
        """The user and the hash of the password."""

    async def page(self, tenant: str, size: int, token: str) -> UserPage:
        """By name. Raises InvalidPageToken."""

    async def change(
        self, tenant: str, name: str, change: UserChange, *, expected_role: Role | None = None, except_session: str = ""
    ) -> User:
        """A new password, and disabling, revoke the user's sessions but one. Raises UserNotFound, also where the role
        is not the expected one any more: somebody may have given the user more than the caller may take."""

    async def rehash(self, user: User, before: str, password_hash: str) -> None:
        """The same password in a better hash; nothing, if the password has changed since."""


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """A session ends `refresh_s` after its last refresh, and at the latest `longest_s` after its login."""

    refresh_s: float
    longest_s: float


class SessionStore(Protocol):
    async def begin(self, user: User, token_id: str, digest: bytes, expire_time: datetime) -> str:
        """A new session with its first refresh token, of which `digest` is kept; returns the session's id. Raises
        LoginRefused if the user has been disabled or changed since it was read: what was proven may not be the password
        any more."""

    async def rotate(
        self, token_id: str, digest: bytes, following: tuple[str, bytes], times: SessionTimes
    ) -> Session | None:
        """Uses a refresh token up and puts another in its place, by which the session lasts longer. One that was used
        before revokes the session, which is returned so; used ones are known for `refresh_s`, as long as they could
        have been good. None: the token is unknown, wrong, expired or revoked."""

    async def find(self, session_id: str) -> Session | None: ...

    async def revoke(self, session_id: str) -> None: ...

    async def revoke_all(self, user: User) -> None: ...


class LoginCounter(Protocol):
    async def attempt(self, tenant: str, name: str) -> float:
        """Counts an attempt, whether there is such a user or not, unless it comes too soon after those that failed;
        returns how long it has to wait then, in seconds, and 0 for one that may go on."""

    async def succeeded(self, tenant: str, name: str) -> None:
        """Forgets the attempts."""


class ApiKeyStore(Protocol):
    async def create(self, kept: KeptApiKey) -> None: ...

    async def first_exists(self) -> bool:
        """Whether there is or was a key with ALL_SCOPES."""

    async def create_first(self, kept: KeptApiKey) -> bool:
        """As `create`, unless `first_exists`: then False."""

    async def find(self, key_id: str) -> KeptApiKey | None: ...

    async def page(self, tenant: str, size: int, token: str) -> KeyPage:
        """Newest first. Raises InvalidPageToken."""

    async def revoke(self, tenant: str, key_id: str) -> ApiKey:
        """Raises ApiKeyNotFound."""

    async def used(self, times: Mapping[str, datetime]) -> None:
        """Records when keys were last used; an earlier time than the recorded one changes nothing."""


class RefusedTokens(Protocol):
    """Tokens of identity providers that are refused before their time, by `token_name`."""

    async def refuse(self, tenant: str, name: str, expire_time: datetime) -> None: ...

    async def refused(self, tenant: str, name: str) -> bool: ...


class SecretHasher(Protocol):
    """Argon2id, off the event loop, a few at a time."""

    def place(self) -> AbstractContextManager[None]:
        """A place among those who wait, for what leads to a hash and costs something itself. There are as many as may
        wait. Raises Overloaded."""

    async def hash(self, secret: str, deadline: Deadline) -> str:
        """Raises Overloaded, StageDeadline."""

    async def matches(self, hashed: str, secret: str, deadline: Deadline) -> bool:
        """Raises as `hash`; False also for a hash that is none."""

    async def matches_nothing(self, secret: str, deadline: Deadline) -> None:
        """Takes as long as `matches`: where there is nothing to compare with."""

    def outdated(self, hashed: str) -> bool:
        """Whether the hash was made with other parameters than now."""


class TokenIssuer(Protocol):
    def issue(self, user_id: str, session_id: str, expire_time: datetime) -> str:
        """An access token."""


class TokenVerifier(Protocol):
    async def verify(self, token: str) -> IssuedToken:
        """Raises Unauthenticated, CredentialsExpired; DependencyUnavailable where the keys cannot be had."""

    @property
    def keys_version(self) -> int:
        """Changes when a key that tokens were accepted by is none any more."""


class IdentityChanges(Protocol):
    """Tells what was revoked or changed, by whatever process."""

    @property
    def heard(self) -> bool:
        """Whether all that was told until a moment ago has been heard; otherwise nothing that is kept may be used."""

    def listen(self, changed: Callable[[str, str], None]) -> None:
        """Has `changed(kind, id)` called for each: of a `key`, `session`, `user`, `token` or `signing_key`; with both
        empty when some may have been missed."""
