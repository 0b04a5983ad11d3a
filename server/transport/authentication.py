"""The first thing that happens to a call: who makes it, and whether it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import structlog
from grpc.aio import ServicerContext

from server.domain.callers import NOBODY, Caller, CredentialKind
from server.domain.credentials import Credentials
from server.domain.errors import PermissionDenied, Unauthenticated
from server.domain.permissions import METHODS, Access, Permission
from server.domain.principals import Principal

_log = structlog.get_logger()

_HEADER = "authorization"
_SCHEME = "bearer "
_LONGEST_BEARER = 8_192


class Callers(Protocol):
    """Knows callers by their credentials."""

    async def identify(self, credentials: Credentials) -> Caller:
        """The caller; its address and the call's id are not looked at. Raises Unauthenticated; DependencyUnavailable or
        Overloaded where it cannot be found out, which is no leave to go on."""


class Everybody:
    """Authentication switched off: whoever reaches the server is one principal. For development on the loopback
    address, which the settings see to."""

    def __init__(self, principal: Principal) -> None:
        self._caller = Caller(principal, CredentialKind.DEVELOPMENT)

    async def identify(self, credentials: Credentials) -> Caller:
        return self._caller


class Gate:
    """Lets a call in or refuses it. A method without a row in the table is refused to everybody."""

    def __init__(self, callers: Callers, methods: Mapping[str, Permission | Access] = METHODS) -> None:
        self._callers = callers
        self._methods = methods

    def is_public(self, method: str) -> bool:
        """`method` as gRPC names it, with the leading slash."""
        return self._methods.get(method.removeprefix("/")) is Access.PUBLIC

    async def admit(self, method: str, context: ServicerContext[Any, Any], request_id: str) -> Caller:
        """Raises Unauthenticated, PermissionDenied, and what `Callers.identify` raises."""
        needed = self._methods.get(method.removeprefix("/"))
        if needed is None:
            _log.error("method_without_permission", method=method)
            raise PermissionDenied("the method is in no table of permissions")
        if needed is Access.PUBLIC:
            return Caller(NOBODY, peer=context.peer(), request_id=request_id)
        known = await self._callers.identify(credentials_of(context))
        if isinstance(needed, Permission) and needed not in known.principal.permissions:
            raise PermissionDenied(f"{method.rpartition('/')[2]} needs the permission {needed.value}", needed.value)
        return replace(known, peer=context.peer(), request_id=request_id)


def credentials_of(context: ServicerContext[Any, Any]) -> Credentials:
    """What the call brings, not yet believed. Raises Unauthenticated for an `authorization` that says nothing clear."""
    given = [value for name, value in context.invocation_metadata() or () if name == _HEADER]
    # Only TLS that asked for a certificate and verified it puts names there.
    properties = context.auth_context()
    names = tuple(name.decode(errors="replace") for name in properties.get("x509_subject_alternative_name", ()))
    if not given:
        return Credentials(names=names)
    if len(given) > 1:
        raise Unauthenticated("more than one authorization was sent")
    header = given[0]
    if not isinstance(header, str) or header[: len(_SCHEME)].lower() != _SCHEME or len(header) > _LONGEST_BEARER:
        raise Unauthenticated("the authorization is not of the form `Bearer TOKEN`")
    return Credentials(header[len(_SCHEME) :].strip(), names)
