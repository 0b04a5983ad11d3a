"""Who makes a call, and by what it is known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from server.domain.principals import Principal

NOBODY = Principal("", "", frozenset())
"""Who calls a public method without a credential: of no tenant, with no permission."""


class CredentialKind(StrEnum):
    """By what a caller is known."""

    NONE = "none"
    """By nothing: the method is public."""
    API_KEY = "api_key"
    ACCESS_TOKEN = "access_token"
    """Issued here, for a user who signed in."""
    ISSUED_ELSEWHERE = "issued_elsewhere"
    """A token of an identity provider that the settings trust."""
    CERTIFICATE = "certificate"
    """A client certificate, by its subject alternative name."""
    DEVELOPMENT = "development"
    """By the loopback address alone: authentication is switched off."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Of one call. `credential_id` names what it was known by and is no secret: the key's id, the token's session or
    `jti`, the certificate's name. `peer` is the address as gRPC writes it (`ipv4:127.0.0.1:50312`)."""

    principal: Principal
    kind: CredentialKind = CredentialKind.NONE
    credential_id: str = ""
    peer: str = ""
    request_id: str = ""
    trace_id: str = ""
    """Of the caller's own trace, if it sent one (W3C Trace Context); 32 hexadecimal digits."""
