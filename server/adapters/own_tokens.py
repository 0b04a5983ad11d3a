"""Access tokens that this installation issues: JWTs (RFC 7519, RFC 9068) signed with Ed25519 (RFC 8037)."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from server.adapters.postgres.verification_keys import PostgresVerificationKeys
from server.adapters.signing_keys import SigningKey, signing_key
from server.application.background import repeat
from server.application.identity_ports import IdentityChanges
from server.domain.errors import Unauthenticated
from server.domain.identities import IssuedToken

ALGORITHM = "EdDSA"
_TYPE = "at+jwt"
_AUDIENCE = "pinakes"
_REQUIRED = ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"]
_NOT_VALID = "the key or token is not valid here"


@dataclass(frozen=True, slots=True)
class OwnTokenOptions:
    """The key that tokens are signed with is made anew when it is `renew_after_s` old. The others learn of keys from
    the database; one that is unknown is looked for there every `look_at_most_s` at most. `skew_s`: how far clocks of
    servers may be apart."""

    renew_after_s: float = 90 * 86_400.0
    look_at_most_s: float = 5.0
    publish_every_s: float = 3_600.0
    skew_s: float = 5.0


class OwnTokens:
    """Issues and verifies. `start` it before use."""

    def __init__(
        self,
        keys: PostgresVerificationKeys,
        directory: Path,
        issuer: str,
        options: OwnTokenOptions,
        changes: IdentityChanges,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self._store = keys
        self._directory = directory
        self._options = options
        self._now = now
        self._signing: SigningKey | None = None
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._looked = float("-inf")
        self._looking = asyncio.Lock()
        self.keys_version = 0
        changes.listen(self._changed)

    async def start(self) -> None:
        """Raises DependencyUnavailable, also for a key that others may read."""
        await self._publish()
        async with self._looking:
            await self._look()

    async def run(self) -> None:
        """Keeps the own key known and renews it, until cancelled."""

        async def step() -> None:
            await asyncio.sleep(self._options.publish_every_s)
            await self.start()

        await repeat("token_keys", step, longest_pause_s=60.0)

    def issue(self, user_id: str, session_id: str, expire_time: datetime) -> str:
        assert self._signing is not None, "not started"
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": _AUDIENCE,
            "sub": user_id,
            "sid": session_id,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "nbf": now,
            "exp": int(expire_time.astimezone(UTC).timestamp()),
        }
        headers = {"kid": self._signing.kid, "typ": _TYPE}
        return jwt.encode(claims, self._signing.private, ALGORITHM, headers)

    async def verify(self, token: str) -> IssuedToken:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise Unauthenticated(_NOT_VALID) from None
        kid = header.get("kid")
        if header.get("typ") != _TYPE or "crit" in header or not isinstance(kid, str):
            raise Unauthenticated(_NOT_VALID)
        key = self._keys.get(kid)
        if key is None:
            await self._look_again()
            key = self._keys.get(kid)
        if key is None:
            raise Unauthenticated(_NOT_VALID)
        claims = decoded(token, key, ALGORITHM, _AUDIENCE, self.issuer, self._options.skew_s, _REQUIRED)
        if not isinstance(claims["sid"], str):
            raise Unauthenticated(_NOT_VALID)
        return IssuedToken(self.issuer, claims["jti"], float(claims["exp"]), session_id=claims["sid"])

    async def _publish(self) -> None:
        """Before the first token is signed with it, and again while it is in use."""
        own = self._options
        key = await asyncio.to_thread(signing_key, self._directory, own.renew_after_s)
        # Long enough for tokens that were signed just before the server ended.
        await self._store.publish(key.kid, key.public, 2 * own.publish_every_s + 86_400.0)
        self._signing = key

    async def _look_again(self) -> None:
        async with self._looking:
            if self._now() - self._looked >= self._options.look_at_most_s:
                await self._look()

    async def _look(self) -> None:
        heard = None
        # What is told while it is read may not be in it yet.
        while heard != self.keys_version:
            heard = self.keys_version
            self._looked = self._now()
            found = await self._store.valid()
        if self._keys.keys() - found.keys():
            self.keys_version += 1
        self._keys = {kid: Ed25519PublicKey.from_public_bytes(raw) for kid, raw in found.items()}

    def _changed(self, kind: str, name: str) -> None:
        """Tokens of a key that has gone are refused from now on: all are verified anew, with keys that are read
        anew."""
        if kind in ("", "signing_key"):
            self._keys = {}
            self._looked = float("-inf")
            self.keys_version += 1


def decoded(
    token: str, key: Any, algorithm: str, audience: str, issuer: str, skew_s: float, required: list[str]
) -> dict[str, Any]:
    """The claims of a token whose signature is by this key and this algorithm, for this audience, of this issuer and
    not before its time. Whether its time has passed is for who asks: what was revoked is refused for that first. Raises
    Unauthenticated."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            issuer=issuer,
            leeway=skew_s,
            options={"require": required, "strict_aud": False, "verify_exp": False},
        )
    except (jwt.InvalidTokenError, ValueError, TypeError):
        raise Unauthenticated(_NOT_VALID) from None
    ends = claims["exp"]
    if not isinstance(claims["jti"], str) or not isinstance(ends, (int, float)) or not math.isfinite(ends):
        raise Unauthenticated(_NOT_VALID)
    return claims
