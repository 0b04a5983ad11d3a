"""Says who calls, by what came with the call.

An API key's secret and a token's signature are checked once and known by a digest for a while, so that a call costs
microseconds; whether key, session and user still are what they were is looked at for every call (`IdentityStates`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from cachetools import TTLCache

from server.application.background import repeat
from server.application.identity_ports import (
    ApiKeyStore,
    RefusedTokens,
    SecretHasher,
    SessionStore,
    TokenVerifier,
)
from server.application.identity_states import IdentityStates
from server.domain.callers import Caller, CredentialKind
from server.domain.credentials import API_KEY_PREFIX, Credentials, parsed_secret, secret_check, token_name
from server.domain.deadline import Deadline
from server.domain.errors import CredentialsExpired, PinakesError, Unauthenticated
from server.domain.identities import IssuedToken, KeptApiKey, Session
from server.domain.permissions import Permission, Role, permissions_of
from server.domain.principals import Principal

_NO_CREDENTIAL = "send `authorization: Bearer` with an API key or an access token"
_NOT_VALID = "the key or token is not valid here"


@dataclass(frozen=True, slots=True)
class KnownCertificate:
    """Who calls with a client certificate of this subject alternative name."""

    name: str
    tenant: str
    user: str
    groups: tuple[str, ...] = ()
    scopes: tuple[Permission, ...] = ()


@dataclass(frozen=True, slots=True)
class IdentifyOptions:
    """Callers of `operator_tenant` alone may be granted what concerns the installation. What was verified is known by
    its digest for `keep_verified_s`, so many `verified` at most."""

    operator_tenant: str = "default"
    verified: int = 10_000
    keep_verified_s: float = 600.0
    hash_limit_s: float = 5.0
    last_use_every_s: float = 30.0
    certificates: tuple[KnownCertificate, ...] = ()


@dataclass(frozen=True, slots=True)
class _Stores:
    keys: ApiKeyStore
    sessions: SessionStore
    refused: RefusedTokens
    states: IdentityStates


@dataclass(slots=True)
class _Verified:
    """What was found right, by digest; `version` is the verifier's, whose keys may go."""

    keys: TTLCache[bytes, str]
    tokens: TTLCache[bytes, IssuedToken]
    version: int = 0
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def digest(self, bearer: str) -> bytes:
        """Of 128 bits, under a key that this process alone has: bearers themselves are not kept."""
        return hashlib.blake2b(bearer.encode(), key=self.secret, digest_size=16).digest()


class IdentifyCallers:
    def __init__(
        self,
        keys: ApiKeyStore,
        sessions: SessionStore,
        refused: RefusedTokens,
        states: IdentityStates,
        verifier: TokenVerifier,
        hasher: SecretHasher,
        options: IdentifyOptions,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stores = _Stores(keys, sessions, refused, states)
        self._verifier = verifier
        self._hasher = hasher
        self._options = options
        self._clock = clock
        self._certificates: Mapping[str, Caller] = {
            known.name: self._of_certificate(known) for known in options.certificates
        }
        self._verified = _Verified(
            TTLCache(options.verified, options.keep_verified_s), TTLCache(options.verified, options.keep_verified_s)
        )
        self._verifying: dict[bytes, asyncio.Task[None]] = {}
        self._used: dict[str, float] = {}

    @property
    def version(self) -> int:
        """Changes when what was said of somebody may not hold any more."""
        return self._stores.states.version

    async def identify(self, credentials: Credentials) -> Caller:
        """Raises Unauthenticated; DependencyUnavailable, Overloaded or StageDeadline where it cannot be found out."""
        if credentials.bearer.startswith(API_KEY_PREFIX):
            return await self._by_key(credentials.bearer)
        if credentials.bearer:
            return await self._by_token(credentials.bearer)
        for name in credentials.names:
            if name in self._certificates:
                return self._certificates[name]
        raise Unauthenticated(_NO_CREDENTIAL)

    async def run(self) -> None:
        """Records when keys were last used, until cancelled."""

        async def step() -> None:
            await asyncio.sleep(self._options.last_use_every_s)
            await self.record_uses()

        try:
            await repeat("key_uses", step)
        finally:
            with suppress(PinakesError):
                await asyncio.shield(self.record_uses())

    async def record_uses(self) -> None:
        """One statement for all keys that were used since the last time. Raises DependencyUnavailable, Overloaded; the
        uses wait for the next time then."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._stores.keys.used({key: datetime.fromtimestamp(at, UTC) for key, at in used.items()})
        except PinakesError:
            self._used = used | self._used
            raise

    async def _by_key(self, bearer: str) -> Caller:
        digest = self._verified.digest(bearer)
        known = self._verified.keys.get(digest)
        key_id, secret = (known, "") if known is not None else parsed_secret(API_KEY_PREFIX, bearer)
        kept = await self._stores.states.get("key", key_id, partial(self._stores.keys.find, key_id))
        if kept is None:
            raise Unauthenticated(_NOT_VALID)
        if known is None:
            await self._verify_once(digest, kept, secret)
        key, now = kept.key, self._clock()
        if key.revoke_time is not None:
            raise Unauthenticated(_NOT_VALID)
        if key.expire_time is not None and key.expire_time.timestamp() <= now:
            raise CredentialsExpired
        self._used[key_id] = now
        return self._of_key(kept)

    async def _verify_once(self, digest: bytes, kept: KeptApiKey, secret: str) -> None:
        """Callers that come with the same key at the same time wait for one slow hash."""
        task = self._verifying.get(digest)
        if task is None:
            task = self._verifying[digest] = asyncio.create_task(self._verify(kept, secret))
            task.add_done_callback(lambda ended: self._verify_ended(digest, kept.key.key_id, ended))
        await asyncio.shield(task)

    def _verify_ended(self, digest: bytes, key_id: str, task: asyncio.Task[None]) -> None:
        del self._verifying[digest]
        if not task.cancelled() and task.exception() is None:
            self._verified.keys[digest] = key_id

    async def _verify(self, kept: KeptApiKey, secret: str) -> None:
        if not hmac.compare_digest(secret_check(secret), kept.check):
            raise Unauthenticated(_NOT_VALID)
        limit = Deadline.after(self._options.hash_limit_s)
        if not await self._hasher.matches(kept.secret_hash, secret, limit):
            raise Unauthenticated(_NOT_VALID)

    async def _by_token(self, bearer: str) -> Caller:
        if self._verified.version != self._verifier.keys_version:
            self._verified.tokens.clear()
            self._verified.version = self._verifier.keys_version
        digest = self._verified.digest(bearer)
        token = self._verified.tokens.get(digest)
        if token is None:
            version = self._verifier.keys_version
            token = await self._verifier.verify(bearer)
            if version == self._verifier.keys_version:
                self._verified.tokens[digest] = token
        # In this order: a call that goes on behind the end of its token ends with the session.
        caller = await (self._of_session(token) if token.session_id else self._of_issued(token))
        if token.expire_time <= self._clock():
            raise CredentialsExpired
        return caller

    async def _of_session(self, token: IssuedToken) -> Caller:
        find = partial(self._stores.sessions.find, token.session_id)
        session: Session | None = await self._stores.states.get("session", token.session_id, find)
        ended = session is None or session.revoked or session.expire_time.timestamp() <= self._clock()
        if session is None or ended or session.user.disabled:
            raise Unauthenticated(_NOT_VALID)
        user = session.user
        principal = self._principal(user.tenant, user.name, user.groups, user.role)
        return Caller(principal, CredentialKind.ACCESS_TOKEN, session.session_id)

    async def _of_issued(self, token: IssuedToken) -> Caller:
        name = token_name(token.tenant, token.issuer, token.token_id)

        async def read() -> str:
            return "refused" if await self._stores.refused.refused(token.tenant, name) else "accepted"

        if token.role is None or await self._stores.states.get("token", name, read) != "accepted":
            raise Unauthenticated(_NOT_VALID)
        principal = self._principal(token.tenant, token.user, token.groups, token.role)
        return Caller(principal, CredentialKind.ISSUED_ELSEWHERE, token.token_id)

    def _of_key(self, kept: KeptApiKey) -> Caller:
        """A user's own key may do no more than the user now may, and nothing when the user is disabled."""
        key, owner = kept.key, kept.owner
        permissions, groups = key.permissions, key.groups
        if owner is not None and key.role is Role.SERVICE:
            if owner.disabled:
                raise Unauthenticated(_NOT_VALID)
            permissions &= permissions_of(owner.role, operator=self._is_operator(key.tenant))
            groups = tuple(group for group in groups if group in owner.groups)
        principal = self._principal(key.tenant, key.user, groups, key.role, permissions)
        return Caller(principal, CredentialKind.API_KEY, key.key_id)

    def _of_certificate(self, known: KnownCertificate) -> Caller:
        principal = self._principal(known.tenant, known.user, known.groups, Role.SERVICE, frozenset(known.scopes))
        return Caller(principal, CredentialKind.CERTIFICATE, known.name)

    def _principal(
        self, tenant: str, user: str, groups: tuple[str, ...], role: Role, scopes: frozenset[Permission] = frozenset()
    ) -> Principal:
        permissions = permissions_of(role, scopes, operator=self._is_operator(tenant))
        return Principal(tenant, user, frozenset(groups), role, permissions)

    def _is_operator(self, tenant: str) -> bool:
        return tenant == self._options.operator_tenant
