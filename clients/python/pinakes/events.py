"""Events, as callers see them, and how they come off the wire."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from pinakes.mapping import enum_number, enum_of, ingestion_stage, reason, time
from pinakes.results import IngestionStage, WireEnum
from pinakes.v1 import event_service_pb2


class EventType(WireEnum):
    """Kinds of events, to ask for only some of them."""

    UNSPECIFIED = "unspecified"
    DOCUMENT_UPLOADED = "document_uploaded"
    DOCUMENT_PROCESSED = "document_processed"
    DOCUMENT_FAILED = "document_failed"
    DOCUMENT_DELETED = "document_deleted"
    JOB_PROGRESS = "job_progress"
    INDEX_COMMITTED = "index_committed"
    MODEL_LOADED = "model_loaded"
    MODEL_UNLOADED = "model_unloaded"
    SYSTEM_ALERT = "system_alert"


class AlertKind(WireEnum):
    """What an alert is about."""

    UNSPECIFIED = "unspecified"
    INDEX_DAMAGED = "index_damaged"
    MODEL_FAILED = "model_failed"
    CERTIFICATE = "certificate"
    """The server's certificate ends soon, or newer files of it cannot be used."""


@dataclass(frozen=True, slots=True)
class DocumentUploaded:
    """A document, or a new revision of one, was accepted; `job_id` makes it searchable."""

    document_id: str
    revision: int
    job_id: str


@dataclass(frozen=True, slots=True)
class DocumentProcessed:
    """That revision is searchable; a search that carries `consistency_token` sees it."""

    document_id: str
    revision: int
    job_id: str
    page_count: int
    chunk_count: int
    consistency_token: str


@dataclass(frozen=True, slots=True)
class DocumentFailed:
    """Its job failed for good, or was cancelled. `reason` is an ErrorReason's name without its prefix."""

    document_id: str
    revision: int
    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class DocumentDeleted:
    document_id: str


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A worker has begun a stage, or is done with a page; `pages_total` is 0 while it is not known."""

    document_id: str
    revision: int
    job_id: str
    stage: IngestionStage
    pages_done: int
    pages_total: int


@dataclass(frozen=True, slots=True)
class IndexCommitted:
    """The generation durably holds all changes up to the token's position."""

    generation: str
    consistency_token: str


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    model: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ModelUnloaded:
    model: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SystemAlert:
    """Something needs somebody's attention. `subject` is the generation, or the model."""

    kind: AlertKind
    subject: str
    problem: str


EventBody = (
    DocumentUploaded
    | DocumentProcessed
    | DocumentFailed
    | DocumentDeleted
    | JobProgress
    | IndexCommitted
    | ModelLoaded
    | ModelUnloaded
    | SystemAlert
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened. `event_id` is the same if it comes a second time; `body` is None if it is of a kind
    that this client is too old to know. A subscription with `resume_token` goes on after this event."""

    event_id: str
    time: datetime
    body: EventBody | None
    resume_token: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a subscription is while nothing happens. It begins with one."""

    resume_token: str


def told(wire: event_service_pb2.SubscribeResponse) -> list[Event | Checkpoint]:
    return [_told(wire), *map(_told, wire.further)]


def _told(wire: event_service_pb2.SubscribeResponse | event_service_pb2.FurtherEvent) -> Event | Checkpoint:
    if not wire.HasField("event"):
        return Checkpoint(wire.resume_token)
    kind = wire.event.WhichOneof("body")
    body = None if kind is None else _BODIES[kind](getattr(wire.event, kind))
    return Event(wire.event.event_id, time(wire.event.time), body, wire.resume_token)


def subscribe_request(
    types: Sequence[EventType], resume_token: str, since: datetime | None
) -> event_service_pb2.SubscribeRequest:
    """Raises ValueError if it is to begin at two places, or for a time without a time zone."""
    if resume_token and since is not None:
        raise ValueError("begin after resume_token or at since, not both")
    request = event_service_pb2.SubscribeRequest(types=[event_type_number(each) for each in types], several=True)
    if resume_token:
        request.resume_token = resume_token
    if since is not None:
        if since.tzinfo is None:
            raise ValueError("since must have a time zone")
        start = Timestamp()
        start.FromDatetime(since)
        request.start_time.CopyFrom(start)
    return request


def event_type_number(member: EventType) -> event_service_pb2.EventType.ValueType:
    return event_service_pb2.EventType.ValueType(enum_number(event_service_pb2.EventType.DESCRIPTOR, member))


def _uploaded(wire: event_service_pb2.DocumentUploaded) -> DocumentUploaded:
    return DocumentUploaded(wire.document_id, wire.revision, wire.job_id)


def _processed(wire: event_service_pb2.DocumentProcessed) -> DocumentProcessed:
    return DocumentProcessed(
        wire.document_id, wire.revision, wire.job_id, wire.page_count, wire.chunk_count, wire.consistency_token
    )


def _failed(wire: event_service_pb2.DocumentFailed) -> DocumentFailed:
    return DocumentFailed(wire.document_id, wire.revision, wire.job_id, reason(wire.reason))


def _deleted(wire: event_service_pb2.DocumentDeleted) -> DocumentDeleted:
    return DocumentDeleted(wire.document_id)


def _progress(wire: event_service_pb2.JobProgress) -> JobProgress:
    stage = ingestion_stage(wire.stage)
    return JobProgress(wire.document_id, wire.revision, wire.job_id, stage, wire.pages_done, wire.pages_total)


def _committed(wire: event_service_pb2.IndexCommitted) -> IndexCommitted:
    return IndexCommitted(wire.generation, wire.consistency_token)


def _loaded(wire: event_service_pb2.ModelLoaded) -> ModelLoaded:
    return ModelLoaded(wire.model, wire.fingerprint)


def _unloaded(wire: event_service_pb2.ModelUnloaded) -> ModelUnloaded:
    return ModelUnloaded(wire.model, wire.fingerprint)


def _alert(wire: event_service_pb2.SystemAlert) -> SystemAlert:
    return SystemAlert(
        enum_of(AlertKind, event_service_pb2.AlertKind.DESCRIPTOR, wire.kind), wire.subject, wire.problem
    )


_BODIES: dict[str, Callable[[Any], EventBody]] = {
    "document_uploaded": _uploaded,
    "document_processed": _processed,
    "document_failed": _failed,
    "document_deleted": _deleted,
    "job_progress": _progress,
    "index_committed": _committed,
    "model_loaded": _loaded,
    "model_unloaded": _unloaded,
    "system_alert": _alert,
}
