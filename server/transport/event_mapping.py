"""Between EventService's messages and the domain: pure functions, one per message."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from pinakes.v1 import event_service_pb2
from server.application.consistency import token_of
from server.application.subscribe_events import SubscribeCommand, Told
from server.domain.documents import Failure
from server.domain.errors import InvalidField
from server.domain.events import (
    AlertKind,
    DocumentDeleted,
    DocumentFailed,
    DocumentProcessed,
    DocumentUploaded,
    Event,
    EventType,
    IndexCommitted,
    JobProgress,
    ModelLoaded,
    ModelUnloaded,
    StreamPosition,
    SystemAlert,
)
from server.transport.document_mapping import failure_to_wire, stage_to_wire
from server.transport.mapping import time_from_wire, timestamp_to_wire

_TYPES: dict[int, EventType] = {
    event_service_pb2.EVENT_TYPE_DOCUMENT_UPLOADED: EventType.DOCUMENT_UPLOADED,
    event_service_pb2.EVENT_TYPE_DOCUMENT_PROCESSED: EventType.DOCUMENT_PROCESSED,
    event_service_pb2.EVENT_TYPE_DOCUMENT_FAILED: EventType.DOCUMENT_FAILED,
    event_service_pb2.EVENT_TYPE_DOCUMENT_DELETED: EventType.DOCUMENT_DELETED,
    event_service_pb2.EVENT_TYPE_JOB_PROGRESS: EventType.JOB_PROGRESS,
    event_service_pb2.EVENT_TYPE_INDEX_COMMITTED: EventType.INDEX_COMMITTED,
    event_service_pb2.EVENT_TYPE_MODEL_LOADED: EventType.MODEL_LOADED,
    event_service_pb2.EVENT_TYPE_MODEL_UNLOADED: EventType.MODEL_UNLOADED,
    event_service_pb2.EVENT_TYPE_SYSTEM_ALERT: EventType.SYSTEM_ALERT,
}
_ALERTS = {
    AlertKind.INDEX_DAMAGED: event_service_pb2.ALERT_KIND_INDEX_DAMAGED,
    AlertKind.MODEL_FAILED: event_service_pb2.ALERT_KIND_MODEL_FAILED,
    AlertKind.CERTIFICATE: event_service_pb2.ALERT_KIND_CERTIFICATE,
}


def subscription(request: event_service_pb2.SubscribeRequest) -> SubscribeCommand:
    """Raises InvalidField."""
    unknown = [kind for kind in request.types if kind not in _TYPES]
    if unknown:
        raise InvalidField("types", f"has no type {unknown[0]}")
    types = frozenset(_TYPES[kind] for kind in request.types)
    match request.WhichOneof("start"):
        case "resume_token":
            return SubscribeCommand(types, position_of(request.resume_token))
        case "start_time":
            return SubscribeCommand(types, time_from_wire("start_time", request.start_time))
        case _:
            return SubscribeCommand(types, None)


def told_to_wire(told: Sequence[Told]) -> event_service_pb2.SubscribeResponse:
    """One message for all of them, which are one at least."""
    response = event_service_pb2.SubscribeResponse(**_told(told[0]))
    for each in told[1:]:
        response.further.add(**_told(each))
    return response


def _told(told: Told) -> dict[str, Any]:
    event = None if told.event is None else event_to_wire(told.event)
    return {"event": event, "resume_token": token_of_position(told.position)}


def token_of_position(position: StreamPosition) -> str:
    return base64.urlsafe_b64encode(f"{position.sequence}:{position.stream}".encode()).decode()


def position_of(token: str) -> StreamPosition:
    """Raises InvalidField for anything that `token_of_position` did not make."""
    try:
        sequence, _, stream = base64.b64decode(token, altchars=b"-_", validate=True).decode().partition(":")
        position = StreamPosition(stream, int(sequence))
    except (binascii.Error, ValueError) as error:
        raise InvalidField("resume_token", "must be a token from an earlier subscription") from error
    if token_of_position(position) != token or not 0 <= position.sequence < 2**63:
        raise InvalidField("resume_token", "must be a token from an earlier subscription")
    return position


def event_to_wire(event: Event) -> event_service_pb2.Event:
    name, body = _BODIES[type(event.body)](event.body)
    members: dict[str, Any] = {name: body}
    return event_service_pb2.Event(event_id=event.event_id, time=timestamp_to_wire(event.time), **members)


def _uploaded(body: DocumentUploaded) -> tuple[str, Message]:
    return "document_uploaded", event_service_pb2.DocumentUploaded(
        document_id=body.document_id, revision=body.revision, job_id=body.job_id
    )


def _processed(body: DocumentProcessed) -> tuple[str, Message]:
    return "document_processed", event_service_pb2.DocumentProcessed(
        document_id=body.document_id,
        revision=body.revision,
        job_id=body.job_id,
        page_count=body.page_count,
        chunk_count=body.chunk_count,
        consistency_token=token_of(body.log_position),
    )


def _failed(body: DocumentFailed) -> tuple[str, Message]:
    return "document_failed", event_service_pb2.DocumentFailed(
        document_id=body.document_id,
        revision=body.revision,
        job_id=body.job_id,
        reason=failure_to_wire(Failure(body.reason, "")).reason,
    )


def _deleted(body: DocumentDeleted) -> tuple[str, Message]:
    return "document_deleted", event_service_pb2.DocumentDeleted(document_id=body.document_id)


def _progress(body: JobProgress) -> tuple[str, Message]:
    return "job_progress", event_service_pb2.JobProgress(
        document_id=body.document_id,
        revision=body.revision,
        job_id=body.job_id,
        stage=stage_to_wire(body.stage),
        pages_done=body.pages_done,
        pages_total=body.pages_total,
    )


def _committed(body: IndexCommitted) -> tuple[str, Message]:
    return "index_committed", event_service_pb2.IndexCommitted(
        generation=body.generation, consistency_token=token_of(body.log_position)
    )


def _loaded(body: ModelLoaded) -> tuple[str, Message]:
    return "model_loaded", event_service_pb2.ModelLoaded(model=body.model, fingerprint=body.fingerprint)


def _unloaded(body: ModelUnloaded) -> tuple[str, Message]:
    return "model_unloaded", event_service_pb2.ModelUnloaded(model=body.model, fingerprint=body.fingerprint)


def _alert(body: SystemAlert) -> tuple[str, Message]:
    return "system_alert", event_service_pb2.SystemAlert(
        kind=_ALERTS[body.kind], subject=body.subject, problem=body.problem
    )


_BODIES: dict[type, Callable[[Any], tuple[str, Message]]] = {
    DocumentUploaded: _uploaded,
    DocumentProcessed: _processed,
    DocumentFailed: _failed,
    DocumentDeleted: _deleted,
    JobProgress: _progress,
    IndexCommitted: _committed,
    ModelLoaded: _loaded,
    ModelUnloaded: _unloaded,
    SystemAlert: _alert,
}
