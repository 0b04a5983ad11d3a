"""Tokens of identity providers: their keys (JWKS, RFC 7517), what their claims mean here, and which verifier is
asked."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from server.adapters.file_failures import unusable
from server.adapters.own_tokens import OwnTokens, decoded
from server.application.background import repeat
from server.domain.errors import DependencyUnavailable, Unauthenticated
from server.domain.identities import IssuedToken
from server.domain.permissions import Role

_log = structlog.get_logger()

_NOT_VALID = "the key or token is not valid here"
_REQUIRED = ["iss", "aud", "sub", "jti", "iat", "nbf", "exp"]
_ALGORITHMS = ("EdDSA", "RS256")
_SMALLEST_RSA = 2_048
_SHORTEST_SECRET = 32
_LARGEST_JWKS = 2**18
_LONGEST_NAME = 200
_MOST_GROUPS = 256
_FETCH_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class IssuerOptions:
    """An identity provider whose tokens are trusted. `jwks` is an https URL (http on the loopback address alone) or a
    file; it is read again every `refresh_s`, and when a token names a key that is not in it, every `look_at_most_s` at
    most. Keys that could not be read again for `longest_s` are not used any more.

    Its tokens are for `tenant`, if one is set, else for that of their claim `tenant_claim`, which may be any but the
    operator's: who may be somebody there is said in the settings, not by a provider of many tenants. The role is their
    `role_claim` (admin, power_user, user or viewer) and, where they have none, `default_role`; without either they are
    refused. A `development_secret_file` (HS256, for development alone) stands in for `jwks`."""

    issuer: str = ""
    audience: str = ""
    jwks: str = ""
    algorithms: tuple[str, ...] = _ALGORITHMS
    tenant: str = ""
    tenant_claim: str = "tenant"
    user_claim: str = "sub"
    groups_claim: str = "groups"
    role_claim: str = "role"
    default_role: Role | None = None
    refresh_s: float = 300.0
    look_at_most_s: float = 30.0
    longest_s: float = 86_400.0
    skew_s: float = 30.0
    development_secret_file: Path | None = None

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise ValueError("needs an issuer and an audience")
        if bool(self.jwks) == (self.development_secret_file is not None):
            raise ValueError(f"{self.issuer} needs jwks, and no development_secret_file beside it")
        if not self.algorithms or not set(self.algorithms) <= set(_ALGORITHMS):
            raise ValueError(f"{self.issuer}: algorithms must be of {', '.join(_ALGORITHMS)}")
        if self.default_role is Role.SERVICE:
            raise ValueError(f"{self.issuer}: default_role must be that of a user")
        parts = urlsplit(self.jwks)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError(f"{self.issuer}: jwks must be an https URL or a file")


@dataclass(frozen=True, slots=True)
class _Key:
    key: Ed25519PublicKey | RSAPublicKey | bytes
    algorithm: str


class IssuerTokens:
    """Verifies the tokens of one issuer."""

    def __init__(self, options: IssuerOptions, operator_tenant: str, now: Callable[[], float] = time.monotonic) -> None:
        """Raises DependencyUnavailable for a `development_secret_file` that holds none."""
        self._options = options
        self._operator_tenant = operator_tenant
        self._now = now
        secret_file = options.development_secret_file
        self._keys: Mapping[str | None, _Key] = {} if secret_file is None else {None: _development_key(secret_file)}
        self._looked = float("-inf")
        self._read = float("-inf")
        self._looking = asyncio.Lock()
        self.keys_version = 0

    @property
    def issuer(self) -> str:
        return self._options.issuer

    async def run(self) -> None:
        """Reads the keys again and again, until cancelled."""

        async def step() -> None:
            await self._look_again(self._options.refresh_s)
            await asyncio.sleep(self._options.refresh_s)

        if self._options.jwks:
            await repeat(f"jwks of {self.issuer}", step, longest_pause_s=self._options.refresh_s)

    async def verify(self, token: str) -> IssuedToken:
        """Says not whether its time has passed. Raises Unauthenticated; DependencyUnavailable where there are no
        keys."""
        own = self._options
        key = await self._key(token)
        claims = decoded(token, key.key, key.algorithm, own.audience, own.issuer, own.skew_s, _REQUIRED)
        return IssuedToken(
            issuer=own.issuer,
            token_id=_text(claims["jti"]),
            expire_time=float(claims["exp"]),
            tenant=own.tenant or self._named_tenant(claims.get(own.tenant_claim)),
            user=_user(claims.get(own.user_claim)),
            groups=_groups(claims.get(own.groups_claim)),
            role=self._role(claims.get(own.role_claim)),
        )

    def _named_tenant(self, told: object) -> str:
        tenant = _text(told)
        if tenant == self._operator_tenant:
            raise Unauthenticated(
                "tokens of the operator's tenant come from an issuer that the settings have for it alone"
            )
        return tenant

    def _role(self, told: object) -> Role | None:
        if told is None:
            return self._options.default_role
        roles = {role.value: role for role in Role if role is not Role.SERVICE}
        # Who has several has the least that is known: what they mean together, nobody said.
        named = [told] if isinstance(told, str) else told if isinstance(told, list) else []
        found = [roles[name] for name in named if isinstance(name, str) and name in roles]
        return found[0] if len(found) == 1 else None

    async def _key(self, token: str) -> _Key:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise Unauthenticated(_NOT_VALID) from None
        kid = header.get("kid")
        if "crit" in header or not (kid is None or isinstance(kid, str)):
            raise Unauthenticated(_NOT_VALID)
        own = self._options
        if own.development_secret_file is not None:
            return self._keys[None]
        if kid not in self._keys:
            await self._look_again(own.look_at_most_s)
        if self._now() - self._read > own.longest_s:
            raise DependencyUnavailable(f"the identity provider {own.issuer}", "its keys could not be read")
        key = self._keys.get(kid)
        if key is None or key.algorithm not in own.algorithms:
            raise Unauthenticated(_NOT_VALID)
        return key

    async def _look_again(self, at_most_s: float) -> None:
        async with self._looking:
            if self._now() - self._looked < at_most_s:
                return
            self._looked = self._now()
            try:
                found = _keys_of(await _jwks(self._options.jwks))
            except (OSError, ValueError, httpx2.HTTPError, TimeoutError) as error:
                # Not its text: that may hold an address with a secret.
                _log.warning("jwks_not_read", issuer=self.issuer, problem=type(error).__name__)
                return
            self._read = self._now()
            if any(found.get(kid) is None or not _same(found[kid], key) for kid, key in self._keys.items()):
                self.keys_version += 1
            self._keys = found


class AnyTokens:
    """Has the verifier of the issuer that a token names look at it."""

    def __init__(self, own: OwnTokens, others: Sequence[IssuerTokens]) -> None:
        self._verifiers: dict[str, OwnTokens | IssuerTokens] = {each.issuer: each for each in others}
        self._verifiers[own.issuer] = own

    @property
    def keys_version(self) -> int:
        return sum(each.keys_version for each in self._verifiers.values())

    async def verify(self, token: str) -> IssuedToken:
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except (jwt.InvalidTokenError, ValueError):
            raise Unauthenticated(_NOT_VALID) from None
        issuer = claims.get("iss")
        verifier = self._verifiers.get(issuer) if isinstance(issuer, str) else None
        if verifier is None:
            raise Unauthenticated(_NOT_VALID)
        return await verifier.verify(token)


def _development_key(file: Path) -> _Key:
    try:
        secret = file.read_bytes().strip()
    except OSError as exc:
        raise unusable("the development key", exc, file) from exc
    if len(secret) < _SHORTEST_SECRET:
        raise DependencyUnavailable(
            "the development key", f"a secret must have {_SHORTEST_SECRET} bytes at least", detail=str(file)
        )
    return _Key(secret, "HS256")


async def _jwks(place: str) -> bytes:
    if urlsplit(place).scheme in ("http", "https"):
        async with (
            asyncio.timeout(_FETCH_LIMIT_S),
            httpx2.AsyncClient(follow_redirects=False, timeout=_FETCH_LIMIT_S) as client,
            client.stream("GET", place) as response,
        ):
            if response.status_code != 200:
                raise ValueError(f"HTTP {response.status_code}")
            content = b""
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _LARGEST_JWKS:
                    raise ValueError("too large")
            return content
    return await asyncio.to_thread(Path(place).read_bytes)


def _keys_of(content: bytes) -> dict[str | None, _Key]:
    """Those that tokens may be signed with. Raises ValueError for what is no JWKS or has none: a provider that shows
    none for a moment does not lock everybody out."""
    told = json.loads(content)
    listed = told.get("keys") if isinstance(told, dict) else None
    found: dict[str | None, _Key] = {}
    for each in listed if isinstance(listed, list) else ():
        # Never a symmetric key: whoever reads the JWKS could sign with it.
        if not isinstance(each, dict) or each.get("kty") not in ("RSA", "OKP") or each.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK.from_dict(each, "EdDSA" if each["kty"] == "OKP" else "RS256").key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        match key:
            case Ed25519PublicKey():
                algorithm = "EdDSA"
            case RSAPublicKey() if key.key_size >= _SMALLEST_RSA:
                algorithm = "RS256"
            case _:
                continue
        if each.get("alg", algorithm) == algorithm:
            kid = each.get("kid")
            found[kid if isinstance(kid, str) else None] = _Key(key, algorithm)
    if not found:
        raise ValueError("no key")
    return found


def _same(one: _Key, other: _Key) -> bool:
    return one.algorithm == other.algorithm and one.key == other.key


def _text(told: object) -> str:
    if not isinstance(told, str) or not 0 < len(told) <= _LONGEST_NAME or not told.isprintable():
        raise Unauthenticated("the token lacks a claim that is needed here, or it cannot be used")
    return told


def _user(told: object) -> str:
    """Not what services are called by here (server/application/look_after_keys.py)."""
    user = _text(told)
    if user.startswith("service:"):
        raise Unauthenticated("the token lacks a claim that is needed here, or it cannot be used")
    return user


def _groups(told: object) -> tuple[str, ...]:
    if told is None:
        return ()
    if not isinstance(told, list) or len(told) > _MOST_GROUPS:
        raise Unauthenticated("the token lacks a claim that is needed here, or it cannot be used")
    return tuple(map(_text, told))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
