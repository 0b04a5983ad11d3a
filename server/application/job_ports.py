"""What ingestion jobs need from the world: as callers act on them, as workers see them, and the queue between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from server.domain.documents import (
    Chunk,
    DeadLetter,
    Failure,
    Job,
    Lease,
    PageReading,
    Priority,
    Stage,
)
from server.domain.principals import Principal


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    letters: tuple[DeadLetter, ...]
    next_page_token: str


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
