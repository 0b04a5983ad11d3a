"""What is recorded of each call, and when: before it changes anything, and before its answer is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message
from grpc.aio import AbortError

from server.application.record_audit import Place, RecordAudit, now_us
from server.domain.audit import BEGUN, ActorKind, AuditClass, AuditRecord, ChainId, plain
from server.domain.audited_calls import AUDITED, UNKNOWN, AuditedCall
from server.domain.callers import Caller, CredentialKind
from server.domain.errors import PinakesError
from server.domain.permissions import Role
from server.domain.principals import Principal
from server.transport.status import status_of

# protobuf has two classes of descriptors.
Field = Any

_OURS = "pinakes.v1."
_MOST_TOLD = 16
_LONGEST_DETAIL = 1_000


@dataclass(slots=True)
class _Running:
    """A call, and what it has told of itself so far."""

    principal: Principal
    object_id: str
    detail: str


_RUNNING: ContextVar[_Running | None] = ContextVar("audited", default=None)


def note(principal: Principal | None = None, object_id: str = "", detail: str = "") -> None:
    """Adds to what is recorded of this call's outcome: who it turned out to be, for calls that say it, what it acted
    on, and `name=value`. Never contents or secrets. Does nothing outside of calls."""
    running = _RUNNING.get()
    if running is None:
        return
    running.principal = principal or running.principal
    running.object_id = object_id or running.object_id
    running.detail = ";".join(filter(None, (running.detail, detail)))


class CallAudit:
    """`operator` is the tenant in whose log callers are recorded of whom no tenant is known: what such a caller says of
    itself is no reason to begin a chain."""

    def __init__(self, recorder: RecordAudit, operator: str, audited: Mapping[str, AuditedCall] = AUDITED) -> None:
        self._recorder = recorder
        self._operator = operator
        self._audited = audited

    def refused(self, method: str, caller: Caller, refusal: PinakesError) -> None:
        """A call that was not let in; `caller` is as far as it is known. Never waits."""
        row = replace(self._row(method), audit_class=AuditClass.AUDIT)
        call = CallRecord(method, row, caller, _Running(caller.principal, "", ""), now_us())
        self._recorder.refused(self._record(call, status_of(refusal).code.name, call.began_us))

    @asynccontextmanager
    async def recorded(self, method: str, caller: Caller, request: Any) -> AsyncIterator[CallRecord]:
        """Around what answers the call. Does not begin, or does not end, where it cannot be recorded, and raises
        Overloaded, AuditBroken, DependencyUnavailable then."""
        row = self._row(method)
        known = isinstance(request, Message)
        running = _Running(
            caller.principal,
            _object_id(request, row.named) if known else "",
            _told(request, row.told) if known else "",
        )
        _RUNNING.set(running)
        chain = ChainId(self._tenant_of(caller.principal), row.audit_class)
        with self._recorder.place(chain) as place:
            record = CallRecord(method, row, caller, running, now_us())
            if row.begins:
                await place.first(self._record(record, BEGUN, record.began_us))
            try:
                yield record
            except BaseException as error:
                await self._ended(place, record, _result_of(error), error)
                raise
            await self._ended(place, record, "OK", None)

    async def _ended(self, place: Place, call: CallRecord, result: str, error: BaseException | None) -> None:
        outcome = self._record(call, result, now_us() if call.row.begins else call.began_us)
        if not call.running.principal.tenant and error is not None:
            # Somebody who could not say who he is; there may be many.
            self._recorder.refused(outcome)
        elif call.row.audit_class is not AuditClass.AUDIT or _is_leaving(error):
            place.later(outcome)
        else:
            await place.outcome(outcome)

    def _row(self, method: str) -> AuditedCall:
        return self._audited.get(method.removeprefix("/"), UNKNOWN)

    def _tenant_of(self, principal: Principal) -> str:
        return principal.tenant or self._operator

    def _record(self, call: CallRecord, result: str, time_us: int) -> AuditRecord:
        caller, running = call.caller, call.running
        return AuditRecord(
            tenant=self._tenant_of(running.principal),
            audit_class=call.row.audit_class,
            time_us=time_us,
            actor_kind=_kind_of(running.principal).value,
            actor_id=plain(running.principal.user),
            credential_id=plain(_credential(caller)),
            action=call.method.removeprefix("/").removeprefix(_OURS),
            object_kind=call.row.object_kind,
            object_id=plain(running.object_id),
            result=result,
            peer=plain(caller.peer),
            request_id=caller.request_id,
            trace_id=caller.trace_id,
            detail=plain(running.detail, _LONGEST_DETAIL),
        )


@dataclass(frozen=True, slots=True)
class CallRecord:
    """Of a call that goes on. `caller` is who made it; who it turned out to be is in `running`."""

    method: str
    row: AuditedCall
    caller: Caller
    running: _Running
    began_us: int

    def answered(self, response: Any) -> None:
        """Takes from a response the id of what the call has made."""
        if self.row.made and not self.running.object_id and isinstance(response, Message):
            self.running.object_id = _object_id(response, (self.row.made,))


def _result_of(error: BaseException) -> str:
    if isinstance(error, PinakesError):
        return status_of(error).code.name
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "CANCELLED"
    return "UNKNOWN" if isinstance(error, AbortError) else "INTERNAL"


def _is_leaving(error: BaseException | None) -> bool:
    """Nobody waits for the outcome any more."""
    return isinstance(error, asyncio.CancelledError | GeneratorExit)


def _kind_of(principal: Principal) -> ActorKind:
    if not principal.tenant:
        return ActorKind.ANONYMOUS
    return ActorKind.SERVICE if principal.role is Role.SERVICE else ActorKind.USER


def _credential(caller: Caller) -> str:
    if caller.kind is CredentialKind.NONE:
        return ""
    return f"{caller.kind.value}:{caller.credential_id}" if caller.credential_id else caller.kind.value


def _object_id(message: Message, paths: tuple[str, ...]) -> str:
    for path in paths:
        within, field = _at(message, path)
        if found := getattr(within, field.name):
            return str(found)
    return ""


def _told(message: Message, paths: tuple[str, ...]) -> str:
    told = []
    for path in paths:
        within, field = _at(message, path)
        value = getattr(within, field.name)
        if field.is_repeated:
            text = ",".join(map(plain, value)) if len(value) <= _MOST_TOLD else f"{len(value)}"
        elif field.enum_type is not None:
            known = field.enum_type.values_by_number.get(value)
            text = str(value) if known is None else known.name
        else:
            text = plain(str(value))
        if within.HasField(field.name) if field.has_presence else value:
            told.append(f"{field.name}={text}")
    return ";".join(told)


def _at(message: Message, path: str) -> tuple[Message, Field]:
    """The field at the end of a path, and the message that it is in."""
    *outer, last = path.split(".")
    for name in outer:
        message = getattr(message, name)
    return message, message.DESCRIPTOR.fields_by_name[last]
