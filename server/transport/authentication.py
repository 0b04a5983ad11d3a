"""The first thing that happens to a call: who makes it, and whether it may."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import structlog
from grpc.aio import ServicerContext

from server.application.background import repeat
from server.domain.callers import NOBODY, Caller, CredentialKind
from server.domain.credentials import Credentials
from server.domain.errors import (
    CredentialsExpired,
    DependencyUnavailable,
    PermissionDenied,
    PinakesError,
    Unauthenticated,
)
from server.domain.permissions import METHODS, Access, Permission
from server.domain.principals import Principal

_log = structlog.get_logger()

_HEADER = "authorization"
_TRACE_HEADER = "traceparent"
_SCHEME = "bearer "
_LONGEST_BEARER = 8_192
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
_LOOK_EVERY_S = 0.2
_REVIEW_EVERY_S = 10.0
_REVIEW_LIMIT_S = 10.0
_LONGEST_UNKNOWN_S = 60.0


class Callers(Protocol):
    """Knows callers by their credentials."""

    @property
    def version(self) -> int:
        """Changes when what was said of somebody may not hold any more."""

    async def identify(self, credentials: Credentials) -> Caller:
        """The caller; its address and the call's id are not looked at. Raises Unauthenticated; DependencyUnavailable or
        Overloaded where it cannot be found out, which is no leave to go on."""


class Everybody:
    """Authentication switched off: whoever reaches the server is one principal. For development on the loopback
    address, which the settings see to."""

    def __init__(self, principal: Principal) -> None:
        self._caller = Caller(principal, CredentialKind.DEVELOPMENT)
        self.version = 0

    async def identify(self, credentials: Credentials) -> Caller:
        return self._caller


@dataclass(slots=True)
class _Running:
    """A call that was let in: by what, for what, when that last was found right, and when it last was asked about."""

    needed: Permission | Access
    credentials: Credentials
    confirmed: float
    asked: float
    ended_by: PinakesError | None = None


class Gate:
    """Lets a call in or refuses it. A method without a row in the table is refused to everybody.

    A call that is let in goes on while its caller may: `run` ends those whose credential is revoked, or whose caller
    has lost the permission. That a token expires ends no call that began before."""

    def __init__(self, callers: Callers, methods: Mapping[str, Permission | Access] = METHODS) -> None:
        self._callers = callers
        self._methods = methods
        self._running: dict[asyncio.Task[Any], _Running] = {}

    def is_public(self, method: str) -> bool:
        """`method` as gRPC names it, with the leading slash."""
        return self._methods.get(method.removeprefix("/")) is Access.PUBLIC

    async def identify(self, method: str, brought: Brought, caller: Caller) -> Caller:
        """Who calls; `caller`, of whom nothing is believed yet, where the method asks for nobody. Raises
        Unauthenticated, PermissionDenied for a method that is in no table, and what `Callers.identify` raises."""
        if self._needed(method) is Access.PUBLIC:
            return caller
        known = await self._callers.identify(brought.credentials)
        return Caller(known.principal, known.kind, known.credential_id, caller.peer, caller.request_id, caller.trace_id)

    def authorize(self, method: str, caller: Caller) -> None:
        """Whether the caller may make the call. Raises PermissionDenied."""
        needed = self._needed(method)
        if isinstance(needed, Permission) and needed not in caller.principal.permissions:
            raise PermissionDenied(f"{method.rpartition('/')[2]} needs the permission {needed.value}", needed.value)

    @contextmanager
    def watched(self, method: str, brought: Brought) -> Iterator[None]:
        """A call that was let in, while the context lasts. Raises what its caller would be told now, when it is
        ended."""
        needed, task = self._needed(method), asyncio.current_task()
        if needed is Access.PUBLIC or task is None:
            yield
            return
        began = time.monotonic()
        running = self._running[task] = _Running(needed, brought.credentials, began, began)
        try:
            yield
        except asyncio.CancelledError:
            if running.ended_by is not None:
                raise running.ended_by from None
            raise
        finally:
            del self._running[task]

    async def run(self) -> None:
        """Looks after running calls until cancelled: at once when something was revoked, and now and then."""
        version, reviewed = self._callers.version, time.monotonic()

        async def step() -> None:
            nonlocal version, reviewed
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._callers.version != version or time.monotonic() - reviewed >= _REVIEW_EVERY_S:
                # Read before: what is revoked meanwhile is for the next time.
                version, reviewed = self._callers.version, time.monotonic()
                await self.review()

        await repeat("call_review", step)

    async def review(self) -> None:
        """Ends the calls whose callers would not be let in now; also those of whom it could not be found out for a
        minute. Where answers take long, those whose turn does not come in time are the first ones next time."""
        until = asyncio.get_running_loop().time() + _REVIEW_LIMIT_S
        for task, running in sorted(self._running.items(), key=lambda each: each[1].asked):
            ended_by = await self._objection(running, until)
            if ended_by is not None and running.ended_by is None and self._running.get(task) is running:
                running.ended_by = ended_by
                task.cancel()

    async def _objection(self, running: _Running, until: float) -> PinakesError | None:
        if asyncio.get_running_loop().time() < until:
            running.asked = time.monotonic()
        try:
            # What is known already is told without waiting, also when the time is over.
            async with asyncio.timeout_at(until):
                known = await self._callers.identify(running.credentials)
        except CredentialsExpired:
            return None
        except Unauthenticated as error:
            return error
        except (PinakesError, TimeoutError):
            if time.monotonic() - running.confirmed < _LONGEST_UNKNOWN_S:
                return None
            return DependencyUnavailable("identity", "it cannot be found out whether the caller still may do this")
        running.confirmed = time.monotonic()
        if isinstance(running.needed, Permission) and running.needed not in known.principal.permissions:
            return PermissionDenied("the permission was taken away", running.needed.value)
        return None

    def _needed(self, method: str) -> Permission | Access:
        needed = self._methods.get(method.removeprefix("/"))
        if needed is None:
            _log.error("method_without_permission", method=method)
            raise PermissionDenied("the method is in no table of permissions")
        return needed


class Brought:
    """What a call says of its caller, not yet believed. gRPC makes its metadata anew for each who asks: they are read
    once."""

    def __init__(self, context: ServicerContext[Any, Any]) -> None:
        self._context = context
        self._headers: list[str | bytes] = []
        self._traces: list[str | bytes] = []
        for name, value in context.invocation_metadata() or ():
            if name == _HEADER:
                self._headers.append(value)
            elif name == _TRACE_HEADER:
                self._traces.append(value)

    def caller(self, request_id: str) -> Caller:
        """Before anything is believed."""
        given = self._traces
        trace = _TRACE.fullmatch(given[0]) if len(given) == 1 and isinstance(given[0], str) else None
        return Caller(NOBODY, peer=self._context.peer(), request_id=request_id, trace_id=trace[1] if trace else "")

    @cached_property
    def credentials(self) -> Credentials:
        """Raises Unauthenticated for an `authorization` that says nothing clear."""
        # Only TLS that asked for a certificate and verified it puts names there.
        properties = self._context.auth_context()
        names = tuple(name.decode(errors="replace") for name in properties.get("x509_subject_alternative_name", ()))
        if not self._headers:
            return Credentials(names=names)
        if len(self._headers) > 1:
            raise Unauthenticated("more than one authorization was sent")
        header = self._headers[0]
        if not isinstance(header, str) or header[: len(_SCHEME)].lower() != _SCHEME or len(header) > _LONGEST_BEARER:
            raise Unauthenticated("the authorization is not of the form `Bearer TOKEN`")
        return Credentials(header[len(_SCHEME) :].strip(), names)
