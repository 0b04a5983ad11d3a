"""Documents, what is read from them, and the jobs that read them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from server.domain.principals import AccessList
from server.domain.privacy import PiiKind, PiiSpan


class DocumentState(enum.Enum):
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class JobState(enum.Enum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Priority(enum.Enum):
    """Which jobs come first: those that somebody waits for."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class Stage(enum.Enum):
    """The stages of an ingestion, in their order."""

    PROBE = "probe"
    EXTRACT = "extract"
    CHUNK = "chunk"
    EMBED = "embed"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job ended without a searchable document. `reason` is the class name of a PinakesError."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """All but `newest_revision` and `job_id`, which is its job, is said of `revision`: the one that is searchable, or,
    in a document that never was, the newest."""

    document_id: str
    tenant: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    state: DocumentState
    failure: Failure | None
    page_count: int
    chunk_count: int
    revision: int
    newest_revision: int
    tags: tuple[str, ...]
    access: AccessList
    create_time: datetime
    update_time: datetime
    job_id: str
    access_version: int = 1
    """Grows with each change of `access`."""


@dataclass(frozen=True, slots=True)
class Job:
    job_id: str
    document_id: str
    tenant: str
    revision: int
    state: JobState
    stage: Stage | None
    pages_done: int
    pages_total: int
    attempt: int
    chunk_count: int
    log_position: int | None
    """Position in the change log of the committed chunks; None until SUCCEEDED."""
    failure: Failure | None
    create_time: datetime
    update_time: datetime
    end_time: datetime | None
    """None until it is terminal."""
    trace_id: str
    """Of the call that made the job, as the server's log names it."""
    priority: Priority


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that failed for good, is the newest of its document, and has not been discarded."""

    job: Job
    document_name: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job. Every write that a worker makes carries `token`; a newer lease has a greater one.

    `stalled_s` is for how long attempts have ended with an outage of something else, without any progress.
    """

    job: Job
    document: Document
    token: int
    blob_key: str
    stalled_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page: origin top-left; PDF points for PDFs, pixels for images."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text on a page. `box` is None in documents without pages."""

    text: str
    box: Box | None


class BlockKind(enum.Enum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST = "list"
    TABLE = "table"
    CAPTION = "caption"


@dataclass(frozen=True, slots=True)
class Block:
    """A run of lines that belong together. `level` is a heading's (1 is the outermost), 0 for other kinds. A table has
    one line per row, its cells as a row of a Markdown table. A caption stands right before the table that it names, or
    beside a figure."""

    kind: BlockKind
    lines: tuple[Line, ...]
    level: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A page as read: blocks in reading order. `number` counts from 1; `confidence` is 1 for born-digital text and the
    mean of the lines' for OCR."""

    number: int
    width: float
    height: float
    blocks: tuple[Block, ...]
    confidence: float = 1.0
    recognized: bool = False


@dataclass(frozen=True, slots=True)
class LineSpan:
    """Where `chunk.text[start:end]` stands: one line of one page. `box` is None in documents without pages."""

    start: int
    end: int
    page: int
    box: Box | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored passage. `line_spans` cover the text in order, without overlap; what is between them is separators."""

    chunk_id: str
    ordinal: int
    text: str
    heading_path: tuple[str, ...]
    language: str
    line_spans: tuple[LineSpan, ...]
    masked: tuple[PiiSpan, ...] = ()
    """Where words stand in the place of personal data, in order."""


@dataclass(frozen=True, slots=True)
class SensitivePart:
    """A part of a page where personal data stands."""

    kind: PiiKind
    box: Box


@dataclass(frozen=True, slots=True)
class PageSize:
    """Size of a page, in the unit of its boxes; 0 x 0 for documents without pages."""

    number: int
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class PageReading(PageSize):
    """How a page was read besides: how surely (as `Page.confidence`), and by which model, named by its fingerprint;
    None for text that stands in the file."""

    confidence: float = 1.0
    engine: str | None = None
    sensitive: tuple[SensitivePart, ...] = ()
