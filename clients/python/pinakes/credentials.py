"""What calls carry so that the server knows who makes them.

Secrets are never sent in the clear to another machine, and never shown.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pinakes.errors import LoginRefused
from pinakes.options import ClientOptions

API_KEY_VARIABLE = "PINAKES_API_KEY"
API_KEY_FILE_VARIABLE = "PINAKES_API_KEY_FILE"
REFRESH_BEFORE = timedelta(seconds=60)

Metadata = tuple[tuple[str, str], ...]


class SecretInTheClear(ValueError):
    """A key, a token or a password would be sent to another machine without TLS."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of a signed-in user: `access_token` is what calls carry; `refresh_token` gets the next ones, once."""

    access_token: str = field(repr=False)
    access_expire_time: datetime
    refresh_token: str = field(repr=False)
    refresh_expire_time: datetime

    def fresh(self) -> bool:
        """Whether the access token is good for a while."""
        return self.access_expire_time - datetime.now(UTC) > REFRESH_BEFORE


@dataclass(frozen=True, slots=True)
class Login:
    """A user who signs in at the first call, and again when the session has ended; an empty `tenant` is the server's
    default."""

    user: str
    password: str = field(repr=False)
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One of the three, or none. `token`: an access token, or a function that returns one for each call (without
    waiting: it is called from the event loop, too)."""

    api_key: str | None = field(default=None, repr=False)
    token: str | Callable[[], str] | None = field(default=None, repr=False)
    login: Login | None = None

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.api_key, self.token, self.login)) > 1:
            raise ValueError("give one of api_key, token and login")

    @classmethod
    def given(cls, api_key: str | None, token: str | Callable[[], str] | None, login: Login | None) -> Credentials:
        """Those, or without any the key of the environment: `PINAKES_API_KEY`, or the file that `PINAKES_API_KEY_FILE`
        names. Raises ValueError for several, OSError for a file that cannot be read."""
        if api_key is None and token is None and login is None:
            api_key = key_of_environment()
        return cls(api_key, token, login)

    @property
    def any(self) -> bool:
        return self.api_key is not None or self.token is not None or self.login is not None

    def fixed(self) -> str | None:
        """What calls carry, unless it takes a login."""
        if self.api_key is not None:
            return self.api_key
        return self.token() if callable(self.token) else self.token


def key_of_environment() -> str | None:
    """Raises OSError for a file that cannot be read."""
    key, file = _environment()
    if key or not file:
        return key or None
    return read_key(Path(file))


def key_in_environment() -> bool:
    """Whether it names one, which may be in a file that cannot be read."""
    return any(_environment())


def read_key(file: Path) -> str:
    """The key that a file holds. Raises OSError, also for an empty one."""
    key = file.read_text(encoding="utf-8").strip()
    if not key:
        raise OSError(f"{file} holds no key")
    return key


def check_secrecy(address: str, secured: bool, options: ClientOptions, credentials: Credentials) -> None:
    """Raises SecretInTheClear."""
    if credentials.any and not (secured or options.secrets_in_the_clear or is_local(address)):
        raise SecretInTheClear(
            f"a key or password is not sent in the clear to {address}: use tls=Tls(…) (`--tls`), or, where the network "
            "itself encrypts, ClientOptions(secrets_in_the_clear=True)"
        )


def is_local(address: str) -> bool:
    """Whether only this machine is behind the address."""
    if address.startswith("unix:"):
        return True
    target = address.rpartition("/")[2].removeprefix("ipv4:").removeprefix("ipv6:")
    host = target.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Signed:
    """Adds what calls carry, for `grpc`. `sign_in` and `refresh` call the server without it. Safe to share between
    threads."""

    def __init__(
        self,
        credentials: Credentials,
        metadata: Metadata,
        sign_in: Callable[[Login], Tokens],
        refresh: Callable[[str], Tokens],
    ) -> None:
        self._credentials = credentials
        self._metadata = metadata
        self._sign_in = sign_in
        self._refresh = refresh
        self._tokens: Tokens | None = None
        self._lock = threading.Lock()

    def metadata(self) -> Metadata:
        """For one call. Raises PinakesError where a login fails."""
        return (*self._metadata, *_authorization(self._bearer()))

    def _bearer(self) -> str | None:
        login = self._credentials.login
        if login is None:
            return self._credentials.fixed()
        with self._lock:
            if self._tokens is None or not self._tokens.fresh():
                self._tokens = self._renewed(login, self._tokens)
            return self._tokens.access_token

    def _renewed(self, login: Login, tokens: Tokens | None) -> Tokens:
        if tokens is not None and tokens.refresh_expire_time > datetime.now(UTC):
            try:
                return self._refresh(tokens.refresh_token)
            except LoginRefused:
                pass  # revoked, or the response of an earlier refresh was lost
        return self._sign_in(login)


class AsyncSigned:
    """As Signed, for `grpc.aio`."""

    def __init__(
        self,
        credentials: Credentials,
        metadata: Metadata,
        sign_in: Callable[[Login], Awaitable[Tokens]],
        refresh: Callable[[str], Awaitable[Tokens]],
    ) -> None:
        self._credentials = credentials
        self._metadata = metadata
        self._sign_in = sign_in
        self._refresh = refresh
        self._tokens: Tokens | None = None
        self._lock = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """For one call. Raises PinakesError where a login fails."""
        return (*self._metadata, *_authorization(await self._bearer()))

    async def _bearer(self) -> str | None:
        login = self._credentials.login
        if login is None:
            return self._credentials.fixed()
        async with self._lock:
            if self._tokens is None or not self._tokens.fresh():
                self._tokens = await self._renewed(login, self._tokens)
            return self._tokens.access_token

    async def _renewed(self, login: Login, tokens: Tokens | None) -> Tokens:
        if tokens is not None and tokens.refresh_expire_time > datetime.now(UTC):
            try:
                return await self._refresh(tokens.refresh_token)
            except LoginRefused:
                pass  # as above
        return await self._sign_in(login)


def _environment() -> tuple[str | None, str | None]:
    """A key, and a file with one."""
    read = os.environ.get  # noqa: TID251 - the client's one reader of it
    return read(API_KEY_VARIABLE), read(API_KEY_FILE_VARIABLE)


def _authorization(bearer: str | None) -> Metadata:
    return () if bearer is None else (("authorization", f"Bearer {bearer}"),)
