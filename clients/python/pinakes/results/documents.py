"""Documents and the jobs that ingest them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pinakes.results.wire_enum import WireEnum


class DocumentState(WireEnum):
    """Where a document stands."""

    UNSPECIFIED = "unspecified"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class JobState(WireEnum):
    """Where a job stands."""

    UNSPECIFIED = "unspecified"
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class IngestionPriority(WireEnum):
    """Which jobs come first."""

    UNSPECIFIED = "unspecified"
    """INTERACTIVE for an upload, BULK for a reindexing."""
    INTERACTIVE = "interactive"
    BULK = "bulk"


class IngestionStage(WireEnum):
    """What a job is working on; UNSPECIFIED before the first stage."""

    UNSPECIFIED = "unspecified"
    PROBE = "probe"
    EXTRACT = "extract"
    CHUNK = "chunk"
    EMBED = "embed"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an ingestion ended without a searchable document. `reason` is an ErrorReason's name without its prefix."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class DocumentAcl:
    """Who may read a document: its owner, and whoever is named here; nobody else. In what is sent, an empty `owner` is
    the one that it has. `etag` changes with every change: one that is sent has to be the newest, an empty one not."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tenant_wide: bool = False
    """Everybody in the tenant."""
    owner: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Sharing:
    """A document with its new access. Searches on another server that carry the token find it for those who may read
    it now."""

    document: Document
    consistency_token: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document that the server holds."""

    document_id: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    state: DocumentState
    failure: Failure | None
    page_count: int
    chunk_count: int
    revision: int
    tags: tuple[str, ...]
    allowed_groups: tuple[str, ...]
    create_time: datetime
    update_time: datetime
    job_id: str
    """The job of the newest revision."""
    newest_revision: int
    """Greater than `revision`, which is the searchable one, while it is being ingested, and when that failed."""
    acl: DocumentAcl | None = None
    """Who may read it; None for callers who may not change that."""


@dataclass(frozen=True, slots=True)
class JobSuccess:
    """What an ingestion made. See `Job.consistency_token`."""

    chunk_count: int
    consistency_token: str


@dataclass(frozen=True, slots=True)
class Job:
    """The ingestion of one document. `success` or `failure` is there once it is `done`."""

    job_id: str
    document_id: str
    state: JobState
    stage: IngestionStage
    pages_done: int
    pages_total: int
    attempt: int
    create_time: datetime
    update_time: datetime
    success: JobSuccess | None
    failure: Failure | None
    revision: int
    end_time: datetime | None
    trace_id: str
    """What the server's logs name the job by."""
    priority: IngestionPriority

    @property
    def done(self) -> bool:
        """Whether the job will not change any more."""
        return self.state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

    @property
    def consistency_token(self) -> str:
        """For searches and questions that must see the document: they wait until the index has it. Empty before the job
        has succeeded."""
        return self.success.consistency_token if self.success else ""


@dataclass(frozen=True, slots=True)
class Upload:
    """A stored document and the job that ingests it."""

    document: Document
    job: Job


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that failed for good; `job` tells reason, attempts, last stage and trace."""

    job: Job
    document_name: str


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """One page of the list of dead letters; an empty token says that it is the last."""

    dead_letters: tuple[DeadLetter, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """One page of the list of documents; an empty token says that it is the last."""

    documents: tuple[Document, ...]
    next_page_token: str
