"""What callers prove themselves with.

Keys and refresh tokens are written `prefix.id.secret`: the prefix says what it is (also to programs that look for
secrets in places where none should be), the id finds its row, and the secret has 256 random bits."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

from server.domain.errors import Unauthenticated

API_KEY_PREFIX = "pinakes."
REFRESH_PREFIX = "pinakes-refresh."

_CHECK_BYTES = 8
_PARTS = re.compile(r"([A-Za-z0-9-]{8,64})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What came with a call. `bearer` is the token or key of its `authorization`, empty without one; `names` are the
    subject alternative names of the client certificate that TLS has verified. Neither is ever logged."""

    bearer: str = field(default="", repr=False)
    names: tuple[str, ...] = ()


def new_secret() -> str:
    """256 random bits in 43 characters."""
    return secrets.token_urlsafe(32)


def written_secret(prefix: str, name: str, secret: str) -> str:
    """What the caller keeps. `parsed_secret` takes it apart."""
    return f"{prefix}{name}.{secret}"


def parsed_secret(prefix: str, written: str) -> tuple[str, str]:
    """The id and the secret. Raises Unauthenticated for anything else."""
    parts = _PARTS.fullmatch(written.removeprefix(prefix)) if written.startswith(prefix) else None
    if parts is None:
        raise Unauthenticated("the key or token is not valid here")
    return parts[1], parts[2]


def secret_digest(secret: str) -> bytes:
    """SHA-256: enough for what has 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()


def secret_check(secret: str) -> bytes:
    """Its first 8 bytes, by which guesses are refused before they cost a slow hash. It narrows nobody's search: 192
    bits are left."""
    return secret_digest(secret)[:_CHECK_BYTES]


def token_name(tenant: str, issuer: str, token_id: str) -> str:
    """By which a token of an identity provider is remembered: of one length, whatever the provider writes."""
    return hashlib.sha256("\0".join((tenant, issuer, token_id)).encode()).hexdigest()
