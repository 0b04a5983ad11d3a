"""`client.auth`: who the caller is, users, and the keys of services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc

from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.credentials import Login, Tokens
from pinakes.mapping import enum_number, enum_of
from pinakes.options import Deadlines
from pinakes.results import WireEnum
from pinakes.v1 import auth_service_pb2 as wire
from pinakes.v1.auth_service_pb2_grpc import AuthServiceStub

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


class Role(WireEnum):
    """What a user may do. A service may do what its key's scopes say."""

    UNSPECIFIED = "unspecified"
    VIEWER = "viewer"
    USER = "user"
    POWER_USER = "power_user"
    ADMIN = "admin"
    SERVICE = "service"


class CredentialKind(WireEnum):
    """By what a caller is known."""

    UNSPECIFIED = "unspecified"
    API_KEY = "api_key"
    ACCESS_TOKEN = "access_token"
    ISSUED_ELSEWHERE = "issued_elsewhere"
    CERTIFICATE = "certificate"
    DEVELOPMENT = "development"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the server takes the caller for. `credential_id` is no secret."""

    tenant: str
    user: str
    groups: tuple[str, ...]
    role: Role
    permissions: tuple[str, ...]
    credential_kind: CredentialKind
    credential_id: str


@dataclass(frozen=True, slots=True)
class User:
    """A user of the caller's tenant."""

    user: str
    role: Role
    groups: tuple[str, ...]
    disabled: bool
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a service. `scopes` are what its calls may do, `user` as whom they are made."""

    key_id: str
    name: str
    user: str
    groups: tuple[str, ...]
    scopes: tuple[str, ...]
    creator: str
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None
    last_use_time: datetime | None


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was just made. `secret` is what calls carry (`Client(api_key=…)`); it is told nowhere else."""

    key: ApiKey
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserPage:
    users: tuple[User, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class ApiKeyPage:
    keys: tuple[ApiKey, ...]
    next_page_token: str


class AsyncAuth:
    """`client.auth`: who the caller is, users, and the keys of services."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = AuthServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    async def who_am_i(self, *, timeout_s: float | None = None) -> Identity:
        """Who the server takes the caller for. Raises Unauthenticated."""
        return await self._calls.unary(
            self._stub.WhoAmI, wire.WhoAmIRequest(), timeout_s or self._deadlines.unary_s, identity
        )

    async def logout(self, *, timeout_s: float | None = None) -> None:
        """Ends the caller's session. Raises InvalidField for a caller without one."""
        await self._calls.unary(self._stub.Logout, wire.LogoutRequest(), timeout_s or self._deadlines.unary_s, nothing)

    async def change_password(self, old: str, new: str, *, timeout_s: float | None = None) -> None:
        """Sets the caller's own password, and ends the caller's other sessions. Raises LoginRefused, InvalidField."""
        request = password_change(old, new)
        await self._calls.unary(self._stub.ChangePassword, request, timeout_s or self._deadlines.unary_s, nothing)

    async def revoke_sessions(self, user: str, *, timeout_s: float | None = None) -> None:
        """Ends all sessions of a user. Raises UserNotFound."""
        await self._calls.unary(self._stub.Revoke, user_revocation(user), timeout_s or self._deadlines.unary_s, nothing)

    async def revoke_session(self, session_id: str, *, timeout_s: float | None = None) -> None:
        """Ends a session, as `who_am_i` names it. Raises UserNotFound."""
        request = session_revocation(session_id)
        await self._calls.unary(self._stub.Revoke, request, timeout_s or self._deadlines.unary_s, nothing)

    async def revoke_token(
        self, issuer: str, token_id: str, expire_time: datetime, *, timeout_s: float | None = None
    ) -> None:
        """Refuses a token of an identity provider, by its `iss`, `jti` and `exp`."""
        request = revoked_token(issuer, token_id, expire_time)
        await self._calls.unary(self._stub.Revoke, request, timeout_s or self._deadlines.unary_s, nothing)

    async def create_user(
        self,
        user: str,
        password: str,
        role: Role,
        *,
        groups: Sequence[str] = (),
        tenant: str = "",
        timeout_s: float | None = None,
    ) -> User:
        """Makes a user; in another tenant than the caller's only for who may manage tenants. Raises UserExists,
        InvalidField, PermissionDenied."""
        request = new_user(user, password, role, groups, tenant)
        return await self._calls.unary(
            self._stub.CreateUser, request, timeout_s or self._deadlines.unary_s, created_user
        )

    def list_users(self, *, page_size: int = 0, timeout_s: float | None = None) -> AsyncIterator[User]:
        """The tenant's users by name, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.ListUsers,
            lambda token: list_users(page_size, token),
            timeout_s or self._deadlines.unary_s,
            user_page,
            lambda page: page.users,
        )

    async def update_user(
        self,
        user: str,
        *,
        role: Role = Role.UNSPECIFIED,
        groups: Sequence[str] | None = None,
        disabled: bool | None = None,
        password: str = "",
        timeout_s: float | None = None,
    ) -> User:
        """Changes what is given of a user, from the next call on. Raises UserNotFound, InvalidField,
        PermissionDenied."""
        request = user_change(user, role, groups, disabled, password)
        return await self._calls.unary(
            self._stub.UpdateUser, request, timeout_s or self._deadlines.unary_s, updated_user
        )

    async def create_key(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        groups: Sequence[str] = (),
        lifetime: timedelta | None = None,
        as_caller: bool = False,
        tenant: str = "",
        timeout_s: float | None = None,
    ) -> NewApiKey:
        """Makes a key for a service; without a lifetime it has the longest that the server gives. Raises InvalidField,
        PermissionDenied."""
        request = new_key(name, scopes, groups, lifetime, as_caller, tenant)
        return await self._calls.unary(
            self._stub.CreateApiKey, request, timeout_s or self._deadlines.unary_s, created_key
        )

    def list_keys(self, *, page_size: int = 0, timeout_s: float | None = None) -> AsyncIterator[ApiKey]:
        """The tenant's keys, newest first, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.ListApiKeys,
            lambda token: list_keys(page_size, token),
            timeout_s or self._deadlines.unary_s,
            key_page,
            lambda page: page.keys,
        )

    async def revoke_key(self, key_id: str, *, timeout_s: float | None = None) -> ApiKey:
        """Refuses a key from now on. Raises ApiKeyNotFound."""
        request = key_revocation(key_id)
        return await self._calls.unary(
            self._stub.RevokeApiKey, request, timeout_s or self._deadlines.unary_s, revoked_key
        )


class Auth:
    """`client.auth`: who the caller is, users, and the keys of services."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = AuthServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def who_am_i(self, *, timeout_s: float | None = None) -> Identity:
        """Who the server takes the caller for. Raises Unauthenticated."""
        return self._calls.unary(
            self._stub.WhoAmI, wire.WhoAmIRequest(), timeout_s or self._deadlines.unary_s, identity
        )

    def logout(self, *, timeout_s: float | None = None) -> None:
        """Ends the caller's session. Raises InvalidField for a caller without one."""
        self._calls.unary(self._stub.Logout, wire.LogoutRequest(), timeout_s or self._deadlines.unary_s, nothing)

    def change_password(self, old: str, new: str, *, timeout_s: float | None = None) -> None:
        """Sets the caller's own password, and ends the caller's other sessions. Raises LoginRefused, InvalidField."""
        request = password_change(old, new)
        self._calls.unary(self._stub.ChangePassword, request, timeout_s or self._deadlines.unary_s, nothing)

    def revoke_sessions(self, user: str, *, timeout_s: float | None = None) -> None:
        """Ends all sessions of a user. Raises UserNotFound."""
        self._calls.unary(self._stub.Revoke, user_revocation(user), timeout_s or self._deadlines.unary_s, nothing)

    def revoke_session(self, session_id: str, *, timeout_s: float | None = None) -> None:
        """Ends a session, as `who_am_i` names it. Raises UserNotFound."""
        request = session_revocation(session_id)
        self._calls.unary(self._stub.Revoke, request, timeout_s or self._deadlines.unary_s, nothing)

    def revoke_token(
        self, issuer: str, token_id: str, expire_time: datetime, *, timeout_s: float | None = None
    ) -> None:
        """Refuses a token of an identity provider, by its `iss`, `jti` and `exp`."""
        request = revoked_token(issuer, token_id, expire_time)
        self._calls.unary(self._stub.Revoke, request, timeout_s or self._deadlines.unary_s, nothing)

    def create_user(
        self,
        user: str,
        password: str,
        role: Role,
        *,
        groups: Sequence[str] = (),
        tenant: str = "",
        timeout_s: float | None = None,
    ) -> User:
        """Makes a user; in another tenant than the caller's only for who may manage tenants. Raises UserExists,
        InvalidField, PermissionDenied."""
        request = new_user(user, password, role, groups, tenant)
        return self._calls.unary(self._stub.CreateUser, request, timeout_s or self._deadlines.unary_s, created_user)

    def list_users(self, *, page_size: int = 0, timeout_s: float | None = None) -> Iterator[User]:
        """The tenant's users by name, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.ListUsers,
            lambda token: list_users(page_size, token),
            timeout_s or self._deadlines.unary_s,
            user_page,
            lambda page: page.users,
        )

    def update_user(
        self,
        user: str,
        *,
        role: Role = Role.UNSPECIFIED,
        groups: Sequence[str] | None = None,
        disabled: bool | None = None,
        password: str = "",
        timeout_s: float | None = None,
    ) -> User:
        """Changes what is given of a user, from the next call on. Raises UserNotFound, InvalidField,
        PermissionDenied."""
        request = user_change(user, role, groups, disabled, password)
        return self._calls.unary(self._stub.UpdateUser, request, timeout_s or self._deadlines.unary_s, updated_user)

    def create_key(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        groups: Sequence[str] = (),
        lifetime: timedelta | None = None,
        as_caller: bool = False,
        tenant: str = "",
        timeout_s: float | None = None,
    ) -> NewApiKey:
        """Makes a key for a service; without a lifetime it has the longest that the server gives. Raises InvalidField,
        PermissionDenied."""
        request = new_key(name, scopes, groups, lifetime, as_caller, tenant)
        return self._calls.unary(self._stub.CreateApiKey, request, timeout_s or self._deadlines.unary_s, created_key)

    def list_keys(self, *, page_size: int = 0, timeout_s: float | None = None) -> Iterator[ApiKey]:
        """The tenant's keys, newest first, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.ListApiKeys,
            lambda token: list_keys(page_size, token),
            timeout_s or self._deadlines.unary_s,
            key_page,
            lambda page: page.keys,
        )

    def revoke_key(self, key_id: str, *, timeout_s: float | None = None) -> ApiKey:
        """Refuses a key from now on. Raises ApiKeyNotFound."""
        request = key_revocation(key_id)
        return self._calls.unary(self._stub.RevokeApiKey, request, timeout_s or self._deadlines.unary_s, revoked_key)


def login_request(login: Login) -> wire.LoginRequest:
    return wire.LoginRequest(tenant=login.tenant, user=login.user, password=login.password)


def refresh_request(refresh_token: str) -> wire.RefreshRequest:
    return wire.RefreshRequest(refresh_token=refresh_token)


def password_change(old: str, new: str) -> wire.ChangePasswordRequest:
    return wire.ChangePasswordRequest(old_password=old, new_password=new)


def user_revocation(user: str) -> wire.RevokeRequest:
    return wire.RevokeRequest(user=user)


def session_revocation(session_id: str) -> wire.RevokeRequest:
    return wire.RevokeRequest(session_id=session_id)


def key_revocation(key_id: str) -> wire.RevokeApiKeyRequest:
    return wire.RevokeApiKeyRequest(key_id=key_id)


def list_users(page_size: int, page_token: str) -> wire.ListUsersRequest:
    return wire.ListUsersRequest(page_size=page_size, page_token=page_token)


def list_keys(page_size: int, page_token: str) -> wire.ListApiKeysRequest:
    return wire.ListApiKeysRequest(page_size=page_size, page_token=page_token)


def revoked_token(issuer: str, token_id: str, expire_time: datetime) -> wire.RevokeRequest:
    request = wire.RevokeRequest(token=wire.IssuedToken(issuer=issuer, token_id=token_id))
    request.token.expire_time.FromDatetime(expire_time)
    return request


def new_user(user: str, password: str, role: Role, groups: Sequence[str], tenant: str) -> wire.CreateUserRequest:
    return wire.CreateUserRequest(user=user, password=password, role=_role(role), groups=groups, tenant=tenant)


def user_change(
    user: str, role: Role, groups: Sequence[str] | None, disabled: bool | None, password: str
) -> wire.UpdateUserRequest:
    return wire.UpdateUserRequest(
        user=user,
        role=_role(role),
        groups=None if groups is None else wire.GroupList(groups=groups),
        disabled=disabled,
        password=password,
    )


def new_key(
    name: str, scopes: Sequence[str], groups: Sequence[str], lifetime: timedelta | None, as_caller: bool, tenant: str
) -> wire.CreateApiKeyRequest:
    request = wire.CreateApiKeyRequest(name=name, scopes=scopes, groups=groups, as_caller=as_caller, tenant=tenant)
    if lifetime is not None:
        request.lifetime.FromTimedelta(lifetime)
    return request


def logged_in(response: wire.LoginResponse) -> Tokens:
    return tokens(response.tokens)


def refreshed(response: wire.RefreshResponse) -> Tokens:
    return tokens(response.tokens)


def tokens(message: wire.Tokens) -> Tokens:
    return Tokens(
        access_token=message.access_token,
        access_expire_time=_time(message.access_expire_time),
        refresh_token=message.refresh_token,
        refresh_expire_time=_time(message.refresh_expire_time),
    )


def identity(response: wire.WhoAmIResponse) -> Identity:
    return Identity(
        tenant=response.tenant,
        user=response.user,
        groups=tuple(response.groups),
        role=enum_of(Role, wire.Role.DESCRIPTOR, response.role),
        permissions=tuple(response.permissions),
        credential_kind=enum_of(CredentialKind, wire.CredentialKind.DESCRIPTOR, response.credential_kind),
        credential_id=response.credential_id,
    )


def created_user(response: wire.CreateUserResponse) -> User:
    return user(response.user)


def updated_user(response: wire.UpdateUserResponse) -> User:
    return user(response.user)


def user_page(response: wire.ListUsersResponse) -> UserPage:
    return UserPage(tuple(map(user, response.users)), response.next_page_token)


def user(message: wire.User) -> User:
    return User(
        user=message.user,
        role=enum_of(Role, wire.Role.DESCRIPTOR, message.role),
        groups=tuple(message.groups),
        disabled=message.disabled,
        create_time=_time(message.create_time),
        update_time=_time(message.update_time),
    )


def created_key(response: wire.CreateApiKeyResponse) -> NewApiKey:
    return NewApiKey(api_key(response.key), response.secret)


def revoked_key(response: wire.RevokeApiKeyResponse) -> ApiKey:
    return api_key(response.key)


def key_page(response: wire.ListApiKeysResponse) -> ApiKeyPage:
    return ApiKeyPage(tuple(map(api_key, response.keys)), response.next_page_token)


def api_key(message: wire.ApiKey) -> ApiKey:
    return ApiKey(
        key_id=message.key_id,
        name=message.name,
        user=message.user,
        groups=tuple(message.groups),
        scopes=tuple(message.scopes),
        creator=message.creator,
        create_time=_time(message.create_time),
        expire_time=_time(message.expire_time) if message.HasField("expire_time") else None,
        revoke_time=_time(message.revoke_time) if message.HasField("revoke_time") else None,
        last_use_time=_time(message.last_use_time) if message.HasField("last_use_time") else None,
    )


def _role(role: Role) -> wire.Role.ValueType:
    return wire.Role.ValueType(enum_number(wire.Role.DESCRIPTOR, role))


def _time(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(UTC)


def nothing(response: object) -> None:
    return None
