"""What the application needs from the world. Adapters implement these; `server/app.py` wires them.

Every method that waits takes a `Deadline` or has a bound of its own that its docstring states. Failures are raised as
`server.domain.errors`.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from server.domain.deadline import Deadline
from server.domain.documents import (
    Box,
    Chunk,
    DeadLetter,
    Document,
    DocumentState,
    Failure,
    Job,
    Lease,
    Page,
    PageReading,
    Priority,
    Stage,
)
from server.domain.generations import Generation, GenerationComparison, GenerationOptions, IndexCopy
from server.domain.models import CatalogueModel, KnownModels, LoadedState, WarmUp
from server.domain.passages import IndexQuery, IndexResult, LogEntry, Passage, Snippet
from server.domain.principals import AccessList, Principal

# --- models ------------------------------------------------------------------------------------------------------

_M_co = TypeVar("_M_co", covariant=True)


class Slot(Protocol[_M_co]):
    """A place for a model of one kind. Which model fills it changes while the program runs."""

    def model(self) -> _M_co:
        """The model that serves now. Whoever calls it more than once for one piece of work, or records its fingerprint,
        keeps what this returns: a model that was replaced finishes what it was asked. Raises ModelNotInstalled when the
        slot is empty, DependencyUnavailable when its models are not loaded."""


class EmbeddingKind(enum.Enum):
    QUERY = "query"
    PASSAGE = "passage"


@dataclass(frozen=True, slots=True)
class Embeddings:
    """vectors: float32[n, dim], rows of length 1. token_counts: int32[n], before truncation; 0: unknown. truncated:
    bool[n]."""

    vectors: npt.NDArray[np.float32]
    token_counts: npt.NDArray[np.int32]
    truncated: npt.NDArray[np.bool_]


class Embedder(Protocol):
    @property
    def fingerprint(self) -> str:
        """Names the model and its weights; embeddings of different fingerprints cannot be compared."""

    @property
    def dimension(self) -> int: ...

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind, deadline: Deadline) -> Embeddings:
        """Any number of texts, in order. Raises StageDeadline, DependencyUnavailable, Overloaded."""


class Reranker(Protocol):
    @property
    def fingerprint(self) -> str: ...

    async def rerank(self, query: str, texts: Sequence[str], deadline: Deadline) -> npt.NDArray[np.float32]:
        """float32[n], higher fits better. Raises StageDeadline, DependencyUnavailable, Overloaded."""


@dataclass(frozen=True, slots=True)
class RecognizedCharacter:
    text: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class RecognizedLine:
    """`characters` joined are the text."""

    text: str
    confidence: float
    box: Box
    characters: tuple[RecognizedCharacter, ...] = ()


@dataclass(frozen=True, slots=True)
class RecognizedImage:
    """Lines in reading order, boxes in pixels of the image. `rules` are the straight lines that tables are ruled with,
    each by its ends, x0, y0, x1, y1; `skew` is by how much the page is turned clockwise, in radians."""

    width: int
    height: int
    lines: tuple[RecognizedLine, ...]
    rules: tuple[tuple[float, float, float, float], ...] = ()
    skew: float = 0.0


class TextRecognizer(Protocol):
    @property
    def fingerprint(self) -> str: ...

    async def recognize(self, images: Sequence[bytes], deadline: Deadline) -> list[RecognizedImage]:
        """One result per encoded image (PNG, JPEG, TIFF, WebP). Raises UnreadableDocument for bytes that are none."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """`temperature` 0 is greedy. Generation ends before any of `stop`. `grammar` (GBNF, its start symbol is `root`) or
    `json_schema` (a JSON Schema as text) constrains the text, not both. With `log_probabilities` pieces carry their
    tokens, each with so many `alternatives`, 0 to 10."""

    prompt: str
    system: str = ""
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    grammar: str = ""
    json_schema: str = ""
    log_probabilities: bool = False
    alternatives: int = 0


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token's bytes, which may be part of a character, and the natural logarithm of the probability that the model
    itself gave it: before temperature and constraint."""

    token: bytes
    log_probability: float


@dataclass(frozen=True, slots=True)
class ChosenToken:
    """A token of the text, and the likeliest ones in its place (it may be among them), the likeliest first."""

    chosen: ScoredToken
    alternatives: tuple[ScoredToken, ...] = ()


@dataclass(frozen=True, slots=True)
class GeneratedText:
    """A piece of text. The last piece (and only it) has a `finish_reason` (`stop` or `length`) and the token counts;
    `cached_tokens` of the prompt had been read before. Engines leave out of `tokens` those that end inside a character,
    and those held back because a stop sequence might have begun."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    tokens: tuple[ChosenToken, ...] = ()


class Generator(Protocol):
    @property
    def fingerprint(self) -> str: ...

    def stream(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
        """Closing the generator stops the model: within 200 ms while it writes, after one batch of the prompt while it
        reads. Raises InvalidField for a prompt that does not fit or a constraint that cannot be used, Overloaded,
        StageDeadline, DependencyUnavailable."""

    async def token_counts(self, texts: Sequence[str], deadline: Deadline) -> tuple[int, ...] | None:
        """Of each text alone, by the model's own tokenizer; None if it cannot count. Does not wait for texts that are
        being written. Raises Overloaded, StageDeadline, DependencyUnavailable."""


class ModelCatalogue(Protocol):
    async def read(self) -> KnownModels:
        """As it is now. Raises DependencyUnavailable when it cannot be read."""


class ModelReadiness(Protocol):
    async def ready(self, model: str, deadline: Deadline) -> bool:
        """Whether the model can be called now; also False when nobody knows."""


class ModelControl(Protocol):
    """What runs the models. Loading one touches no other one."""

    async def states(self, deadline: Deadline) -> Mapping[str, LoadedState]:
        """By name; UNLOADED for those that are not in it. Raises DependencyUnavailable, StageDeadline."""

    async def load(self, model: CatalogueModel, deadline: Deadline) -> None:
        """Returns when it is ready. Not for one that is loaded. Raises ModelLoadFailed, DependencyUnavailable, and
        StageDeadline, after which it may become ready nevertheless."""

    async def unload(self, name: str, deadline: Deadline) -> None:
        """Returns when it has answered what it had been asked and is gone; at once if it is not loaded. Raises
        DependencyUnavailable, and StageDeadline, after which it goes nevertheless."""

    async def last_uses(self, deadline: Deadline) -> Mapping[str, float]:
        """When each loaded model was last called, in Unix seconds; without those that have not been called. Raises
        DependencyUnavailable, StageDeadline."""

    async def warm(self, model: CatalogueModel, deadline: Deadline) -> WarmUp:
        """Calls a loaded model with inputs of its usual sizes. Raises DependencyUnavailable, StageDeadline."""


class ModelMemory(Protocol):
    """Of the machine that this runs on."""

    @property
    def total_bytes(self) -> int: ...

    async def measured(self) -> Mapping[str, int]:
        """Resident bytes of the processes of each model that runs here."""


class AliasStore(Protocol):
    async def chains(self) -> Mapping[str, tuple[str, ...]]:
        """The models of each slot whose alias somebody has set. Raises DependencyUnavailable."""

    async def set(self, slot: str, models: Sequence[str]) -> None:
        """Durable when it returns. Without models, it is as if nobody had set the alias. Raises
        DependencyUnavailable."""


class FilledSlot(Protocol):
    """A slot, as who fills it sees it."""

    @property
    def serving(self) -> str:
        """The name of the model that serves; empty: none."""

    def expect(self, models: tuple[str, ...]) -> None:
        """Which models can come. Without any, nothing serves."""

    async def serve(self, model: str, deadline: Deadline) -> None:
        """Has calls that begin later go to `model`; until it is connected, and if it cannot be, nothing changes. Raises
        DependencyUnavailable, StageDeadline."""


# --- storage -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredBlob:
    key: str
    sha256: str
    size_bytes: int


class BlobStore(Protocol):
    """Bytes by key. A key is made by `put` and is never reused. What is stored is encrypted with keys of its tenant."""

    async def put(self, tenant: str, parts: AsyncIterator[bytes], limit_bytes: int) -> StoredBlob:
        """Durable (fsynced) when it returns. Raises DocumentTooLarge, KeyUnusable, and leaves nothing behind then or on
        cancel."""

    def open(self, tenant: str, key: str) -> AbstractAsyncContextManager[Path]:
        """The bytes as a read-only file while the context lasts, which processes of this machine can open. Raises
        DependencyUnavailable if they are gone, DocumentDamaged if they are not what was stored under the key for the
        tenant, KeyUnusable, and Overloaded when too much is open."""

    async def delete(self, key: str) -> None:
        """No error if the key does not exist."""

    async def older_than(self, age_s: float) -> list[str]:
        """Keys of blobs stored at least `age_s` ago (for the sweep that removes what no document refers to)."""


@dataclass(frozen=True, slots=True)
class NewDocument:
    name: str
    media_type: str
    blob: StoredBlob
    tags: tuple[str, ...]
    access: AccessList
    request_id: str
    trace_id: str = ""
    priority: Priority = Priority.INTERACTIVE
    replace: bool = False
    """A new revision of the owner's newest document of this name, if there is one."""
    replaced_document_id: str = ""
    """A new revision of this document; empty: of none."""


@dataclass(frozen=True, slots=True)
class DocumentPage:
    documents: tuple[Document, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class Deletion:
    """`position` is the change log's after the removals. The blobs are to be deleted by whoever asked."""

    position: int
    blob_keys: tuple[str, ...]


class DocumentCatalog(Protocol):
    """Documents as callers see them. Every method answers for `principal` only."""

    async def accept(self, principal: Principal, new: NewDocument) -> tuple[Document, Job, bool]:
        """Document or revision, job and outbox entry in one transaction. The bool is False when `new.request_id` named
        an earlier upload, which is then returned instead. A revision that was still on its way, or had failed, is
        dropped for the new one. Raises DocumentExists, QuotaExceeded, and DocumentNotFound for a document to be
        replaced."""

    async def get(self, principal: Principal, document_id: str) -> Document:
        """Raises DocumentNotFound."""

    async def page(
        self,
        principal: Principal,
        size: int,
        token: str,
        state: DocumentState | None,
        tags: tuple[str, ...],
    ) -> DocumentPage:
        """Newest first. Raises InvalidPageToken."""

    async def delete(self, principal: Principal, document_id: str) -> Deletion:
        """Marks it deleted, erases its content, logs the removal of its chunks, cancels its job. Only the owner may;
        a repeat returns the first call's result. Raises DocumentNotFound, also to those who may only read it."""

    async def job(self, principal: Principal, job_id: str) -> Job:
        """Raises JobNotFound."""


@dataclass(frozen=True, slots=True)
class WantedAccess:
    """Who is to read a document. Without an `owner` it stays whose it is. `etag` is of the access that is to be
    changed; empty: whatever it is."""

    owner: str = ""
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tenant_wide: bool = False
    etag: str = ""


class DocumentSharing(Protocol):
    async def share(
        self, principal: Principal, document_id: str, wanted: WantedAccess, version: int | None
    ) -> tuple[Document, int]:
        """The document with its new access, and the position of the change log after which the index has it. Reads see
        it as soon as this returns. With a `version` only the access of this version is changed. The same access again
        changes nothing. Raises DocumentNotFound, also to those who may only read it, AccessChanged, InvalidField."""


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    letters: tuple[DeadLetter, ...]
    next_page_token: str


class JobControl(Protocol):
    """Jobs as callers act on them. Whoever sees a document sees its dead letters; only its owner acts on them."""

    async def cancel(self, principal: Principal, job_id: str) -> Job:
        """Ends a job that has not ended, before its worker writes anything more; returns it as it is then. A document
        that never was searchable ends FAILED. Raises JobNotFound."""

    async def dead_letters(self, principal: Principal, size: int, token: str, wanted: WantedLetters) -> DeadLetterPage:
        """Newest jobs first. Raises InvalidPageToken."""

    async def replay(self, principal: Principal, job_id: str) -> Job:
        """Lets a dead letter's job run again, with all its attempts before it and what its stages made; returns it. A
        job that is at work already is returned as it is. Raises DeadLetterNotFound."""

    async def discard(self, principal: Principal, job_id: str) -> None:
        """Takes it off the list, and drops the bytes of a revision that never was searchable beside one that is. Safe
        to repeat. Raises DeadLetterNotFound."""

    async def reindex(self, principal: Principal, new: NewIngestion) -> Job:
        """A job that ingests the document's bytes anew, as a further revision. Raises DocumentNotFound,
        DocumentBusy."""


@dataclass(frozen=True, slots=True)
class WantedLetters:
    """`reasons`: class names of errors; empty: any. The times are of the failure: at or after, before; None: any."""

    reasons: tuple[str, ...] = ()
    not_before: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewIngestion:
    """`anew`: reads the document again; otherwise, the kept text of its pages is used."""

    document_id: str
    anew: bool
    request_id: str
    trace_id: str
    priority: Priority = Priority.BULK


class RevisionStore(Protocol):
    async def forget_replaced(self, age_s: float, limit: int) -> int:
        """Removes the chunks of revisions that were replaced `age_s` ago, of at most `limit` documents; returns of how
        many."""


class BlobReferences(Protocol):
    async def unreferenced(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that no document refers to, in the order given."""


class PassageStore(Protocol):
    async def passages(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> dict[str, Passage]:
        """Those of the chunks that exist, that the principal may read, and that belong to the revision of their
        document that was searchable at `position` of the change log, where the index stands that named them: a document
        that was replaced since is found as it was."""

    async def readable(self, principal: Principal, chunk_ids: Sequence[str], position: int) -> set[str]:
        """The ids of what `passages` would return, at a fraction of its cost."""

    async def beside(self, principal: Principal, chunk_ids: Sequence[str], reach: int) -> list[str]:
        """The chunks up to `reach` places before and behind these in the same revision, in the order of the document,
        and these, in the principal's tenant. Says nothing of who may read them."""


class DocumentNames(Protocol):
    async def named(self, principal: Principal, names: Sequence[str], most: int) -> dict[str, tuple[str, ...]]:
        """By name, the ids of at most `most` documents each, the newest first, that the principal may read and that are
        called so: whatever the case, the folder, the ending and the separators of words. Without names of none."""


@dataclass(frozen=True, slots=True)
class Busy:
    """The job cannot be claimed now: another lease is live, or its next attempt is not yet due."""

    retry_in_s: float


class JobLedger(Protocol):
    """Jobs as workers see them. Every write is fenced: it raises LeaseLost when the lease is not the newest, and
    JobCancelled when the job was cancelled."""

    async def claim(self, job_id: str, worker: str, lease_s: float) -> Lease | Busy | None:
        """Takes the lease; None when the job is terminal or gone. Counts an attempt, unless the one before it had kept
        new results when its lease ran out: a worker's death is rarely the fault of the job that got on (a bounded
        number of times)."""

    async def claim_next(self, worker: str, lease_s: float) -> Lease | None:
        """Takes the lease of the job whose turn it is, by priority and among tenants. None: none is due, or what is due
        is just being changed. As `claim` otherwise."""

    async def extend(self, lease: Lease, lease_s: float) -> None: ...

    async def progress(self, lease: Lease, stage: Stage, pages_done: int, pages_total: int) -> None: ...

    async def release(self, lease: Lease, failure: Failure, retry_in_s: float | None, *, counted: bool = True) -> None:
        """Ends a failed attempt: back to PENDING, to be tried again after `retry_in_s`; None gives up, and job and
        document end FAILED. An attempt that is not `counted` was ended by something else than the document."""

    async def hand_back(self, lease: Lease) -> None:
        """Ends an attempt that was only interrupted: back to PENDING at once, as if it had not begun."""


class StageResults(Protocol):
    """What a stage made, keyed by (document revision, stage, hash of its inputs), so that a repeat is a look-up."""

    async def load(self, lease: Lease, stage: Stage) -> dict[str, bytes]:
        """All results of the stage that the job may use, by the hash of their inputs: those of its own revision, and of
        earlier ones unless it was to begin anew."""

    async def save(self, lease: Lease, stage: Stage, inputs_hash: str, result: bytes) -> None:
        """Raises LeaseLost."""

    async def forget(self, lease: Lease) -> None:
        """All that the job may use. Raises LeaseLost."""


class ChunkWriter(Protocol):
    async def commit(
        self,
        lease: Lease,
        pages: Sequence[PageReading],
        chunks: Sequence[Chunk],
        vectors: npt.NDArray[np.float32],
        fingerprint: str,
    ) -> int:
        """Chunks, embeddings, change log, document READY and job SUCCEEDED in one transaction; returns the last log
        position. vectors: float32[len(chunks), dim]. Raises LeaseLost, JobCancelled, EmbeddingMismatch."""


class ChangeLog(Protocol):
    """The order of all changes to the searchable chunks. Positions become visible in increasing order."""

    async def read(self, after: int, limit: int, fingerprint: str) -> list[LogEntry]:
        """Up to `limit` entries in order. An upsert that a later entry supersedes may come as a removal."""

    async def head(self) -> int:
        """The last position; 0 when empty."""


# --- index -------------------------------------------------------------------------------------------------------


class PassageIndex(Protocol):
    """The searchable view of the change log."""

    @property
    def position(self) -> int:
        """The last applied position."""

    @property
    def fingerprint(self) -> str:
        """Of the embedding model whose vectors are searched."""

    @property
    def serving(self) -> str:
        """The name of the generation that is searched."""

    async def search(
        self, query: IndexQuery, vector: npt.NDArray[np.float32] | None, deadline: Deadline
    ) -> IndexResult:
        """vector: float32[dim] of length 1; None for LEXICAL. Raises StageDeadline, Overloaded."""

    async def wait_for(self, position: int, deadline: Deadline) -> None:
        """Returns when `position` is applied. Raises IndexBehind."""


class LogView(Protocol):
    """What follows the change log. One task only calls `apply` and `commit`; `compact` may run beside it."""

    @property
    def position(self) -> int:
        """The last applied position."""

    async def apply(self, entries: Sequence[LogEntry]) -> None:
        """In order; entries at or before `position` are ignored."""

    async def commit(self) -> None:
        """Makes what was applied durable, with its position."""

    async def compact(self) -> bool:
        """Takes the bytes of what had been removed or replaced before the call off the disk. Returns whether there were
        any. Raises DependencyUnavailable; another call then does what is left."""


class FollowedGenerations(Protocol):
    """The generations of the index, as who keeps them up to date sees them."""

    @property
    def serving(self) -> str:
        """The name of the one that is searched."""

    def views(self) -> Mapping[str, LogView]:
        """All of them, by name."""

    async def caught_up(self, name: str) -> None:
        """Says that this generation has come to the end of the log. Once more, or when it is gone, does nothing."""


class IndexGenerations(Protocol):
    """The generations of the index. What was begun here is built elsewhere, by who follows the change log."""

    async def all(self) -> tuple[Generation, ...]:
        """The oldest first."""

    async def begin(self, options: GenerationOptions) -> Generation:
        """An empty generation beside the serving one. Raises GenerationExists, DependencyUnavailable."""

    async def activate(self, name: str) -> tuple[Generation, str]:
        """Lets `name` serve; durable when it returns, with the name of the one before. Raises GenerationNotFound,
        WrongGenerationState unless `name` is complete."""

    async def retire(self, name: str) -> None:
        """Takes it off the list, for good. Raises GenerationNotFound, WrongGenerationState for the one that serves."""

    async def erase(self, name: str) -> None:
        """Deletes the files of a generation that was retired and that nobody follows any more."""


class IndexCare(Protocol):
    """Looks into what the index holds."""

    async def compare(self, name: str, samples: int, deadline: Deadline) -> GenerationComparison:
        """The serving generation and `name`, asked with `samples` of the stored passages. Raises GenerationNotFound,
        WrongGenerationState unless `name` is complete, StageDeadline, Overloaded."""

    async def copy(self, name: str, deadline: Deadline) -> IndexCopy:
        """The serving generation, written to a folder of its own. Raises SnapshotExists, StageDeadline,
        DependencyUnavailable."""

    async def verify(self, name: str) -> str:
        """Compares the generation's files with their checksums; what is wrong with it, or nothing. Cost: reading all of
        them once. Raises DependencyUnavailable when they cannot be read now, which says nothing about them."""


class Highlighter(Protocol):
    async def snippets(self, query: str, texts: Sequence[str], deadline: Deadline) -> list[Snippet | None]:
        """For each text the part of it that fits the query's words best, found as the index finds words; None where
        none of them occurs. Raises StageDeadline, Overloaded."""


# --- queue -------------------------------------------------------------------------------------------------------


class Delivery(Protocol):
    """A job handed to a worker. Exactly one of `done` and `again` ends it."""

    @property
    def job_id(self) -> str: ...

    async def done(self) -> None: ...

    async def again(self, delay_s: float) -> None: ...

    async def working(self) -> None:
        """Says that it is still being worked on; call it at less than half of the queue's redelivery time."""


class WorkQueue(Protocol):
    """Says which jobs want work. It may repeat and, over a crash, forget: PostgreSQL knows the truth."""

    async def publish(self, tenant: str, job_id: str, dedup_key: str) -> None:
        """Returns when the queue has stored it. Raises DependencyUnavailable."""

    async def fetch(self, timeout_s: float) -> Delivery | None:
        """The next job, or None when none came in `timeout_s`. Raises DependencyUnavailable."""


class Outbox(Protocol):
    """Jobs whose publication is due."""

    async def relay(self, queue: WorkQueue, limit: int) -> int:
        """Publishes due entries and marks them, at least once each; returns how many."""

    async def requeue_abandoned(self, limit: int, unanswered_s: float) -> int:
        """Makes jobs due again that are PENDING and were published over `unanswered_s` ago, or RUNNING with an expired
        lease, without a pending outbox entry; returns how many."""


class Bell(Protocol):
    """Says that there is something to do. Rings may be lost or mean nothing: whoever waits looks, with or without."""

    async def ring(self) -> None:
        """Wakes those who wait. Never fails and never waits."""

    async def wait(self, timeout_s: float) -> None:
        """Returns at a ring (also one since the last wait), at the latest after `timeout_s`."""


# --- extraction --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Probe:
    """What a document is, told by its content. `page_count` is 1 for documents without pages."""

    media_type: str
    page_count: int


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page without usable text, rendered for OCR. `scale` is pixels per unit of the page's boxes."""

    number: int
    width: float
    height: float
    image: bytes
    scale: float


class DocumentReader(Protocol):
    """Reads files. Blocking work runs off the event loop; memory is bounded by a page, not by the document. A limit of
    the reader's own bounds each page, and raises StageDeadline; who waits too long for a turn gets Overloaded."""

    @property
    def fingerprint(self) -> str:
        """Changes when the same file may be read differently (the version of the rules); pages read are kept by it."""

    async def probe(self, path: Path, name: str) -> Probe:
        """Opens far enough to promise that `pages` can start. Raises UnreadableDocument, UnsupportedFormat,
        EncryptedDocument."""

    def pages(self, path: Path, probe: Probe, first: int) -> AsyncGenerator[Page | PageImage, None]:
        """Pages from number `first` on, in order. Raises UnreadableDocument for a page that cannot be read."""
