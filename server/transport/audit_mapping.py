"""The audit log between the wire and the domain."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from pinakes.v1 import audit_service_pb2 as wire
from server.application.audit_ports import EntryPage, WantedEntries
from server.application.verify_audit import ChainProgress, ChainReport
from server.domain.audit import ActorKind, AuditClass, AuditEntry, BreakReason
from server.domain.errors import InvalidField

_CLASSES = {
    AuditClass.AUDIT: wire.AUDIT_CLASS_AUDIT,
    AuditClass.ACCESS: wire.AUDIT_CLASS_ACCESS,
    AuditClass.APPLICATION: wire.AUDIT_CLASS_APPLICATION,
}
_WANTED = {number: audit_class for audit_class, number in _CLASSES.items()}
_ACTORS = {
    ActorKind.USER.value: wire.AUDIT_ACTOR_KIND_USER,
    ActorKind.SERVICE.value: wire.AUDIT_ACTOR_KIND_SERVICE,
    ActorKind.ANONYMOUS.value: wire.AUDIT_ACTOR_KIND_ANONYMOUS,
    ActorKind.SYSTEM.value: wire.AUDIT_ACTOR_KIND_SYSTEM,
}
_REASONS = {
    BreakReason.CHANGED: wire.AUDIT_BREAK_REASON_CHANGED,
    BreakReason.MISSING: wire.AUDIT_BREAK_REASON_MISSING,
    BreakReason.INSERTED: wire.AUDIT_BREAK_REASON_INSERTED,
    BreakReason.HEAD_MISMATCH: wire.AUDIT_BREAK_REASON_HEAD_MISMATCH,
    BreakReason.HEAD_MISSING: wire.AUDIT_BREAK_REASON_HEAD_MISSING,
    BreakReason.HEAD_FORGED: wire.AUDIT_BREAK_REASON_HEAD_FORGED,
    BreakReason.CHECKPOINT_FORGED: wire.AUDIT_BREAK_REASON_CHECKPOINT_FORGED,
    BreakReason.ANCHOR_MISMATCH: wire.AUDIT_BREAK_REASON_ANCHOR_MISMATCH,
    BreakReason.ROLLED_BACK: wire.AUDIT_BREAK_REASON_ROLLED_BACK,
}
# What a Timestamp can hold: the years 1 to 9999.
_EARLIEST_US, _LATEST_US = -62_135_596_800_000_000, 253_402_300_799_999_999


def audit_class(number: int) -> AuditClass | None:
    """None: none was said. Raises InvalidField."""
    if number == wire.AUDIT_CLASS_UNSPECIFIED:
        return None
    if number not in _WANTED:
        raise InvalidField("audit_class", "is not known to this server")
    return _WANTED[wire.AuditClass.ValueType(number)]


def microseconds(time: Timestamp, *, given: bool) -> int | None:
    return time.ToMicroseconds() if given else None


def wanted_entries(request: wire.QueryAuditLogRequest) -> WantedEntries:
    """Raises InvalidField."""
    return WantedEntries(
        audit_class=audit_class(request.audit_class),
        not_before_us=microseconds(request.not_before, given=request.HasField("not_before")),
        before_us=microseconds(request.before, given=request.HasField("before")),
        actor_id=request.actor_id,
        action=request.action,
        object_kind=request.object_kind,
        object_id=request.object_id,
        result=request.result,
        request_id=request.request_id,
    )


def entries_response(page: EntryPage) -> wire.QueryAuditLogResponse:
    return wire.QueryAuditLogResponse(
        entries=[_entry(entry) for entry in page.entries], next_page_token=page.next_page_token
    )


def verify_response(event: ChainProgress | ChainReport) -> wire.VerifyAuditLogResponse:
    kind = _CLASSES[event.chain.audit_class]
    if isinstance(event, ChainProgress):
        progress = wire.AuditProgress(audit_class=kind, sequence=event.sequence, last_sequence=event.last_sequence)
        return wire.VerifyAuditLogResponse(progress=progress)
    report = wire.AuditReport(
        audit_class=kind,
        first_sequence=event.first_sequence,
        last_sequence=event.last_sequence,
        pruned_sequence=event.pruned_sequence,
        anchored_sequence=event.anchored_sequence,
    )
    if event.broken is not None:
        report.broken.sequence = event.broken.sequence
        report.broken.reason = _REASONS[event.broken.reason]
    return wire.VerifyAuditLogResponse(report=report)


def _entry(entry: AuditEntry) -> wire.AuditEntry:
    record = entry.record
    time = Timestamp()
    # A time that somebody has put there may be any number.
    time.FromMicroseconds(max(_EARLIEST_US, min(record.time_us, _LATEST_US)))
    return wire.AuditEntry(
        audit_class=_CLASSES[record.audit_class],
        sequence=entry.sequence,
        time=time,
        actor_kind=_ACTORS.get(record.actor_kind, wire.AUDIT_ACTOR_KIND_UNSPECIFIED),
        actor_id=record.actor_id,
        credential_id=record.credential_id,
        action=record.action,
        object_kind=record.object_kind,
        object_id=record.object_id,
        result=record.result,
        peer=record.peer,
        request_id=record.request_id,
        trace_id=record.trace_id,
        detail=record.detail,
        hash=entry.hash,
    )
