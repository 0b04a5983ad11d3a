"""What happens, for those who want to be told.

| type | when | kept for |
|---|---|---|
| `document.uploaded` | a document, or a new revision of one, was accepted | 90 days |
| `document.processed` | that revision is searchable | 90 days |
| `document.failed` | its job failed for good, or was cancelled | 90 days |
| `document.deleted` | the document is gone | 90 days |
| `job.progress` | a worker has begun a stage, or is done with a page | 7 days |
| `index.committed` | the changes up to a position of the log have been made durable in an index | 7 days |
| `model.loaded`, `model.unloaded` | a model takes memory, or no longer does | 30 days |
| `system.alert` | something needs somebody's attention | 1 year |

How long they are kept is a default (`JetStreamEventOptions`). Events of documents and jobs belong to the document's
tenant, and to those in it who may read the document; the others belong to the installation. They name things by their
ids, and never hold text.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from server.domain.documents import Stage


class EventType(enum.StrEnum):
    DOCUMENT_UPLOADED = "document.uploaded"
    DOCUMENT_PROCESSED = "document.processed"
    DOCUMENT_FAILED = "document.failed"
    DOCUMENT_DELETED = "document.deleted"
    JOB_PROGRESS = "job.progress"
    INDEX_COMMITTED = "index.committed"
    MODEL_LOADED = "model.loaded"
    MODEL_UNLOADED = "model.unloaded"
    SYSTEM_ALERT = "system.alert"


@dataclass(frozen=True, slots=True)
class DocumentUploaded:
    type: ClassVar = EventType.DOCUMENT_UPLOADED
    document_id: str
    revision: int
    job_id: str


@dataclass(frozen=True, slots=True)
class DocumentProcessed:
    """Searches that carry the token of `log_position` see it."""

    type: ClassVar = EventType.DOCUMENT_PROCESSED
    document_id: str
    revision: int
    job_id: str
    page_count: int
    chunk_count: int
    log_position: int


@dataclass(frozen=True, slots=True)
class DocumentFailed:
    """`reason` is the class name of a PinakesError."""

    type: ClassVar = EventType.DOCUMENT_FAILED
    document_id: str
    revision: int
    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class DocumentDeleted:
    type: ClassVar = EventType.DOCUMENT_DELETED
    document_id: str


@dataclass(frozen=True, slots=True)
class JobProgress:
    type: ClassVar = EventType.JOB_PROGRESS
    document_id: str
    revision: int
    job_id: str
    stage: Stage
    pages_done: int
    pages_total: int


@dataclass(frozen=True, slots=True)
class IndexCommitted:
    """`generation` of the index holds what the change log says up to `log_position`, and would after a crash."""

    type: ClassVar = EventType.INDEX_COMMITTED
    generation: str
    log_position: int


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    type: ClassVar = EventType.MODEL_LOADED
    model: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ModelUnloaded:
    type: ClassVar = EventType.MODEL_UNLOADED
    model: str
    fingerprint: str


class AlertKind(enum.StrEnum):
    INDEX_DAMAGED = "index_damaged"
    MODEL_FAILED = "model_failed"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class SystemAlert:
    """`subject` names what it is about; `problem` is one sentence."""

    type: ClassVar = EventType.SYSTEM_ALERT
    kind: AlertKind
    subject: str
    problem: str


DocumentEvent = DocumentUploaded | DocumentProcessed | DocumentFailed | DocumentDeleted | JobProgress
"""Of a tenant; seen by those who may read the document."""
InstallationEvent = IndexCommitted | ModelLoaded | ModelUnloaded | SystemAlert
EventBody = DocumentEvent | InstallationEvent


@dataclass(frozen=True, slots=True)
class Event:
    """`event_id` is the same when an event comes a second time. `tenant` is None in an event of the installation."""

    event_id: str
    time: datetime
    tenant: str | None
    body: EventBody


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """Where a subscriber is: `sequence` is of the last event that it has seen, `stream` names the stream that numbers
    them; one that was lost and made anew has another name."""

    stream: str
    sequence: int
