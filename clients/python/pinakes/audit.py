"""`client.audit`: what has happened in the caller's tenant, and whether the record of it is whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict, Unpack

from google.protobuf.timestamp_pb2 import Timestamp

from pinakes import mapping
from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.options import Deadlines
from pinakes.results import WireEnum
from pinakes.streams import AsyncStream, Stream
from pinakes.v1 import audit_service_pb2
from pinakes.v1.audit_service_pb2_grpc import AuditServiceStub

if TYPE_CHECKING:
    import grpc


class AuditClass(WireEnum):
    """What an entry tells of; each class is a chain of its own, and kept for a time of its own."""

    UNSPECIFIED = "unspecified"
    AUDIT = "audit"
    """Changes, sign-ins, refusals, and calls of the audit log itself."""
    ACCESS = "access"
    """Calls that show documents, or what is in them."""
    APPLICATION = "application"
    """Calls that show neither, and what the server does by itself."""


class AuditActorKind(WireEnum):
    """Who acted."""

    UNSPECIFIED = "unspecified"
    USER = "user"
    SERVICE = "service"
    ANONYMOUS = "anonymous"
    SYSTEM = "system"


class AuditBreakReason(WireEnum):
    """Why a chain does not hold."""

    UNSPECIFIED = "unspecified"
    CHANGED = "changed"
    """The entry, or the hash before it, is not what was written."""
    MISSING = "missing"
    """The entry is not there, though later ones are, or the signed head is later."""
    INSERTED = "inserted"
    """The entry does not belong there: it follows the signed head, or stands where entries were removed."""
    HEAD_MISMATCH = "head_mismatch"
    """The last entry is not the one that the signed head names: the chain was written anew from somewhere on."""
    HEAD_MISSING = "head_missing"
    HEAD_FORGED = "head_forged"
    """The head's signature is not by a key that the server trusts."""
    CHECKPOINT_FORGED = "checkpoint_forged"
    """The same of the statement that says from where on old entries were removed, or a break was accepted."""
    ANCHOR_MISMATCH = "anchor_mismatch"
    """The entry is not the one that the server's anchors outside of its database name."""
    ROLLED_BACK = "rolled_back"
    """The anchors name a later entry: chain and head were set back, by a restored backup, for example."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that happened; texts are empty where there is nothing to tell. `result` is the name of a gRPC status
    code, or `BEGUN`: another entry with the same `request_id` tells the outcome then."""

    audit_class: AuditClass
    sequence: int
    time: datetime
    actor_kind: AuditActorKind
    actor_id: str
    credential_id: str
    action: str
    object_kind: str
    object_id: str
    result: str
    peer: str
    request_id: str
    trace_id: str
    detail: str
    hash: str
    """Hexadecimal."""


@dataclass(frozen=True, slots=True)
class AuditPage:
    entries: tuple[AuditEntry, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class AuditProgress:
    """How far a chain is verified."""

    audit_class: AuditClass
    sequence: int
    last_sequence: int


@dataclass(frozen=True, slots=True)
class AuditBreak:
    """Where a chain does not hold at first."""

    sequence: int
    reason: AuditBreakReason


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was found of a chain; `broken` is None where it holds. Sequences are 0 where there is no such entry: the
    first and last that were looked at, the last that was removed as too old, the last that anchors outside of the
    database name."""

    audit_class: AuditClass
    first_sequence: int
    last_sequence: int
    pruned_sequence: int
    anchored_sequence: int
    broken: AuditBreak | None


class AuditConditions(TypedDict, total=False):
    """Of `query`; all that are given hold."""

    audit_class: AuditClass
    not_before: datetime
    before: datetime
    actor_id: str
    action: str
    """Such as `DocumentService/DeleteDocument`."""
    object_kind: str
    object_id: str
    result: str
    request_id: str


class AsyncAudit:
    """`client.audit`: the tenant's audit log. Every call needs the permission `audit:read`, and is recorded itself."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = AuditServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def query(
        self, *, page_size: int = 0, timeout_s: float | None = None, **conditions: Unpack[AuditConditions]
    ) -> AsyncIterator[AuditEntry]:
        """Entries, newest first, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.QueryAuditLog,
            lambda token: query_audit_log(conditions, page_size, token),
            timeout_s or self._deadlines.unary_s,
            audit_page,
            lambda page: page.entries,
        )

    def verify(
        self,
        audit_class: AuditClass = AuditClass.UNSPECIFIED,
        *,
        first_sequence: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncStream[AuditProgress | AuditReport]:
        """Whether the chains hold: of each class, or of the one, AuditProgress and at last an AuditReport."""
        request = verify_audit_log(audit_class, first_sequence)
        return self._calls.stream(
            self._stub.VerifyAuditLog, request, timeout_s or self._deadlines.audit_s, audit_verification
        )

    def export(
        self,
        audit_class: AuditClass,
        *,
        not_before: datetime | None = None,
        before: datetime | None = None,
        timeout_s: float | None = None,
    ) -> AsyncStream[str]:
        """Lines of JSON, without their ends; `pinakes.audit_exports.verify_export` verifies them without the server."""
        request = export_audit_log(audit_class, not_before, before)
        return self._calls.gathered(
            self._stub.ExportAuditLog, request, timeout_s or self._deadlines.audit_s, exported_lines
        )


class Audit:
    """`client.audit`: the tenant's audit log. Every call needs the permission `audit:read`, and is recorded itself."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = AuditServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def query(
        self, *, page_size: int = 0, timeout_s: float | None = None, **conditions: Unpack[AuditConditions]
    ) -> Iterator[AuditEntry]:
        """Entries, newest first, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.QueryAuditLog,
            lambda token: query_audit_log(conditions, page_size, token),
            timeout_s or self._deadlines.unary_s,
            audit_page,
            lambda page: page.entries,
        )

    def verify(
        self,
        audit_class: AuditClass = AuditClass.UNSPECIFIED,
        *,
        first_sequence: int = 0,
        timeout_s: float | None = None,
    ) -> Stream[AuditProgress | AuditReport]:
        """Whether the chains hold: of each class, or of the one, AuditProgress and at last an AuditReport."""
        request = verify_audit_log(audit_class, first_sequence)
        return self._calls.stream(
            self._stub.VerifyAuditLog, request, timeout_s or self._deadlines.audit_s, audit_verification
        )

    def export(
        self,
        audit_class: AuditClass,
        *,
        not_before: datetime | None = None,
        before: datetime | None = None,
        timeout_s: float | None = None,
    ) -> Stream[str]:
        """Lines of JSON, without their ends; `pinakes.audit_exports.verify_export` verifies them without the server."""
        request = export_audit_log(audit_class, not_before, before)
        return self._calls.gathered(
            self._stub.ExportAuditLog, request, timeout_s or self._deadlines.audit_s, exported_lines
        )


def query_audit_log(
    conditions: AuditConditions, page_size: int, page_token: str
) -> audit_service_pb2.QueryAuditLogRequest:
    return audit_service_pb2.QueryAuditLogRequest(
        audit_class=_number(conditions.get("audit_class", AuditClass.UNSPECIFIED)),
        not_before=_timestamp(conditions.get("not_before")),
        before=_timestamp(conditions.get("before")),
        actor_id=conditions.get("actor_id", ""),
        action=conditions.get("action", ""),
        object_kind=conditions.get("object_kind", ""),
        object_id=conditions.get("object_id", ""),
        result=conditions.get("result", ""),
        request_id=conditions.get("request_id", ""),
        page_size=page_size,
        page_token=page_token,
    )


def verify_audit_log(audit_class: AuditClass, first_sequence: int) -> audit_service_pb2.VerifyAuditLogRequest:
    return audit_service_pb2.VerifyAuditLogRequest(audit_class=_number(audit_class), first_sequence=first_sequence)


def export_audit_log(
    audit_class: AuditClass, not_before: datetime | None, before: datetime | None
) -> audit_service_pb2.ExportAuditLogRequest:
    return audit_service_pb2.ExportAuditLogRequest(
        audit_class=_number(audit_class), not_before=_timestamp(not_before), before=_timestamp(before)
    )


def audit_page(wire: audit_service_pb2.QueryAuditLogResponse) -> AuditPage:
    return AuditPage(tuple(_entry(entry) for entry in wire.entries), wire.next_page_token)


def audit_verification(wire: audit_service_pb2.VerifyAuditLogResponse) -> AuditProgress | AuditReport | None:
    """None for an event that this client is too old to know."""
    match wire.WhichOneof("event"):
        case "progress":
            told = wire.progress
            return AuditProgress(_class(told.audit_class), told.sequence, told.last_sequence)
        case "report":
            report = wire.report
            return AuditReport(
                audit_class=_class(report.audit_class),
                first_sequence=report.first_sequence,
                last_sequence=report.last_sequence,
                pruned_sequence=report.pruned_sequence,
                anchored_sequence=report.anchored_sequence,
                broken=_break(report.broken) if report.HasField("broken") else None,
            )
        case _:
            return None


def exported_lines(wire: audit_service_pb2.ExportAuditLogResponse) -> tuple[str, ...]:
    return tuple(wire.lines)


def _entry(wire: audit_service_pb2.AuditEntry) -> AuditEntry:
    return AuditEntry(
        audit_class=_class(wire.audit_class),
        sequence=wire.sequence,
        time=mapping.time(wire.time),
        actor_kind=mapping.enum_of(AuditActorKind, audit_service_pb2.AuditActorKind.DESCRIPTOR, wire.actor_kind),
        actor_id=wire.actor_id,
        credential_id=wire.credential_id,
        action=wire.action,
        object_kind=wire.object_kind,
        object_id=wire.object_id,
        result=wire.result,
        peer=wire.peer,
        request_id=wire.request_id,
        trace_id=wire.trace_id,
        detail=wire.detail,
        hash=wire.hash.hex(),
    )


def _break(wire: audit_service_pb2.AuditBreak) -> AuditBreak:
    reason = mapping.enum_of(AuditBreakReason, audit_service_pb2.AuditBreakReason.DESCRIPTOR, wire.reason)
    return AuditBreak(wire.sequence, reason)


def _class(number: int) -> AuditClass:
    return mapping.enum_of(AuditClass, audit_service_pb2.AuditClass.DESCRIPTOR, number)


def _number(audit_class: AuditClass) -> audit_service_pb2.AuditClass.ValueType:
    number = mapping.enum_number(audit_service_pb2.AuditClass.DESCRIPTOR, audit_class)
    return audit_service_pb2.AuditClass.ValueType(number)


def _timestamp(time: datetime | None) -> Timestamp | None:
    """Raises ValueError for a time without a zone."""
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError("a time needs a time zone")
    wire = Timestamp()
    wire.FromDatetime(time)
    return wire
