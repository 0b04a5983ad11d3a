"""Signs users in and out, and keeps their sessions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from server.application.identity_ports import (
    LoginCounter,
    RefusedTokens,
    SecretHasher,
    SessionStore,
    SessionTimes,
    TokenIssuer,
    UserStore,
)
from server.application.identity_rules import GrantRules, check_name, check_password, prepared_password
from server.application.identity_states import IdentityStates
from server.domain.callers import Caller, CredentialKind
from server.domain.credentials import (
    REFRESH_PREFIX,
    new_secret,
    parsed_secret,
    secret_digest,
    token_name,
    written_secret,
)
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField, LoginRefused, StageDeadline, TooManyLogins, Unauthenticated, UserNotFound
from server.domain.identities import Tokens, User, UserChange
from server.domain.principals import Principal

_LONGEST_ATTEMPT_S = 30.0


@dataclass(frozen=True, slots=True)
class SignInOptions:
    """Who signs in without a tenant is of `tenant`. A session ends `refresh_s` after its last refresh, and
    `longest_s` after its login at the latest: then a password is asked for again."""

    tenant: str = "default"
    access_s: float = 900.0
    refresh_s: float = 7 * 86_400.0
    longest_s: float = 90 * 86_400.0


@dataclass(frozen=True, slots=True)
class Revocation:
    """What is to be refused: one of the three."""

    user: str = ""
    session_id: str = ""
    issuer: str = ""
    token_id: str = ""
    expire_time: datetime | None = None


class SignIn:
    def __init__(
        self,
        users: UserStore,
        sessions: SessionStore,
        refused: RefusedTokens,
        logins: LoginCounter,
        hasher: SecretHasher,
        issuer: TokenIssuer,
        states: IdentityStates,
        rules: GrantRules,
        options: SignInOptions,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._refused = refused
        self._logins = logins
        self._hasher = hasher
        self._issuer = issuer
        self._states = states
        self._rules = rules
        self._options = options
        self._clock = clock
        self._attempts: set[asyncio.Task[tuple[User, str]]] = set()

    async def login(self, tenant: str, name: str, password: str, deadline: Deadline) -> Tokens:
        """Raises LoginRefused, in the same way and after the same work whatever is wrong; TooManyLogins, also under a
        name that nobody has; Overloaded, StageDeadline."""
        tenant = tenant or self._options.tenant
        user = await self._proven(tenant, name, password, deadline)
        token_id, secret = str(uuid4()), new_secret()
        ends = self._in(min(self._options.refresh_s, self._options.longest_s))
        session_id = await self._sessions.begin(user, token_id, secret_digest(secret), ends)
        return self._tokens(user, session_id, token_id, secret, ends)

    async def refresh(self, refresh_token: str) -> Tokens:
        """Raises LoginRefused."""
        try:
            token_id, secret = parsed_secret(REFRESH_PREFIX, refresh_token)
        except Unauthenticated:
            raise LoginRefused from None
        following, next_secret = str(uuid4()), new_secret()
        times = SessionTimes(self._options.refresh_s, self._options.longest_s)
        session = await self._sessions.rotate(
            token_id, secret_digest(secret), (following, secret_digest(next_secret)), times
        )
        if session is None:
            raise LoginRefused
        self._states.forget("session", session.session_id)
        if session.revoked:
            raise LoginRefused
        return self._tokens(session.user, session.session_id, following, next_secret, session.expire_time)

    async def logout(self, caller: Caller) -> None:
        """Raises InvalidField for a caller without a session."""
        session_id = _session_of(caller)
        await self._sessions.revoke(session_id)
        self._states.forget("session", session_id)

    async def change_password(self, caller: Caller, old: str, new: str, deadline: Deadline) -> None:
        """Ends the user's other sessions. Raises InvalidField, and as `login` does."""
        session_id = _session_of(caller)
        check_password("new_password", new)
        user = await self._proven(caller.principal.tenant, caller.principal.user, old, deadline)
        change = UserChange(password_hash=await self._hasher.hash(prepared_password(new), deadline))
        await self._users.change(user.tenant, user.name, change, except_session=session_id)
        self._states.forget("user", user.user_id)

    async def revoke(self, principal: Principal, revocation: Revocation) -> None:
        """Raises InvalidField, UserNotFound (also for a session of nobody), PermissionDenied."""
        if revocation.user:
            user = await self._managed(principal, revocation.user)
            await self._sessions.revoke_all(user)
            self._states.forget("user", user.user_id)
        elif revocation.session_id:
            session = await self._sessions.find(revocation.session_id)
            if session is None or session.user.tenant != principal.tenant:
                raise UserNotFound(f"of the session {revocation.session_id}")
            self._rules.may_manage(principal, principal.tenant, session.user.role)
            await self._sessions.revoke(session.session_id)
            self._states.forget("session", session.session_id)
        elif revocation.token_id and revocation.issuer and revocation.expire_time is not None:
            name = token_name(principal.tenant, revocation.issuer, revocation.token_id)
            await self._refused.refuse(principal.tenant, name, revocation.expire_time)
            self._states.forget("token", name)
        else:
            raise InvalidField("target", "must name a user, a session, or a token with issuer, id and expiry")

    async def _proven(self, tenant: str, name: str, password: str, deadline: Deadline) -> User:
        check_name("user", name)
        check_name("tenant", tenant)
        password = prepared_password(password)
        # To its end, also when nobody waits any more: else attempts would be kept that cost no hash.
        attempt = asyncio.create_task(self._attempted(tenant, name, password))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempt_ended)
        try:
            async with asyncio.timeout(deadline.remaining()):
                user, hashed = await asyncio.shield(attempt)
        except TimeoutError:
            raise StageDeadline("password hashing") from None
        await self._logins.succeeded(tenant, name)
        if self._hasher.outdated(hashed):
            await self._users.rehash(user, hashed, await self._hasher.hash(password, deadline))
        return user

    async def _attempted(self, tenant: str, name: str, password: str) -> tuple[User, str]:
        """The user, and the hash that the password fits. Attempts are kept, also under names of nobody: no more of them
        than there are hashes."""
        limit = Deadline.after(_LONGEST_ATTEMPT_S)
        with self._hasher.place():
            wait_s = await self._logins.attempt(tenant, name)
            if wait_s > 0:
                raise TooManyLogins(wait_s)
            found = await self._users.find(tenant, name)
            if found is None:
                await self._hasher.matches_nothing(password, limit)
                raise LoginRefused
            user, hashed = found
            if not await self._hasher.matches(hashed, password, limit) or user.disabled:
                raise LoginRefused
            return user, hashed

    def _attempt_ended(self, attempt: asyncio.Task[tuple[User, str]]) -> None:
        self._attempts.discard(attempt)
        if not attempt.cancelled():
            attempt.exception()  # told to who waits; if nobody does, to nobody

    async def _managed(self, principal: Principal, name: str) -> User:
        found = await self._users.find(principal.tenant, name)
        if found is None:
            raise UserNotFound(name)
        self._rules.may_manage(principal, principal.tenant, found[0].role)
        return found[0]

    def _tokens(self, user: User, session_id: str, token_id: str, secret: str, ends: datetime) -> Tokens:
        access_ends = min(self._in(self._options.access_s), ends)
        return Tokens(
            access_token=self._issuer.issue(user.user_id, session_id, access_ends),
            access_expire_time=access_ends,
            refresh_token=written_secret(REFRESH_PREFIX, token_id, secret),
            refresh_expire_time=ends,
            user=user,
            session_id=session_id,
        )

    def _in(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self._clock() + seconds, UTC)


def _session_of(caller: Caller) -> str:
    if caller.kind is not CredentialKind.ACCESS_TOKEN:
        raise InvalidField("authorization", "must be an access token of Login")
    return caller.credential_id
