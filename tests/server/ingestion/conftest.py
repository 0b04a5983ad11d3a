"""The whole ingestion on real PostgreSQL, NATS and files; only the reader and the models are played by small parts."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from server.adapters.file_blobs import FileBlobStore
from server.adapters.jetstream import JetStreamOptions, JetStreamWorkQueue
from server.adapters.nats_connection import NatsConnection, NatsConnectionOptions
from server.adapters.postgres.chunk_writer import PostgresChunkWriter
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.job_ledger import PostgresJobLedger
from server.adapters.postgres.outbox import PostgresOutbox
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.stage_results import PostgresStageResults
from server.application.delete_document import DeleteDocument
from server.application.ingest_document import IngestDocument, IngestOptions
from server.application.ingestion_failures import RetryOptions
from server.application.ingestion_stages import IngestionStages, StageOptions
from server.application.job_ports import Busy
from server.application.local_bell import LocalBell
from server.application.model_ports import EmbeddingKind, Embeddings, RecognizedImage, RecognizedLine
from server.application.privacy.screening import ScreenDocuments
from server.application.reading_ports import DocumentReader, PageImage, Probe
from server.application.relay_outbox import RelayOptions, RelayOutbox
from server.application.upload_document import UploadDocument, UploadHeader, UploadOptions
from server.application.watch_job import WatchJob, WatchOptions
from server.application.work_off_queue import WorkerOptions, WorkOffQueue
from server.domain.deadline import Deadline
from server.domain.documents import Block, BlockKind, Box, Document, Job, Line, Page
from server.domain.errors import EncryptedDocument, UnreadableDocument
from server.domain.principals import Principal
from tests.server.application.doubles import OneModel
from tests.server.application.policy_doubles import FixedPolicies
from tests.server.keys import MemoryKeys, MemoryRecord

ANA = Principal("acme", "ana", frozenset())
PATIENCE_S = 30.0
DIMENSION = 4


class PagesOfText:
    """Reads files of pages parted by form feeds. `scan:` begins a page that needs OCR, `broken:` one that cannot be
    read; a file that begins with `bad` or `encrypted` is that."""

    fingerprint = "pages of text 1"

    async def probe(self, path: Path, name: str) -> Probe:
        text = path.read_text()
        if text.startswith("bad"):
            raise UnreadableDocument("it is bad")
        if text.startswith("encrypted"):
            raise EncryptedDocument
        return Probe("text/x-pages", text.count("\f") + 1)

    async def pages(self, path: Path, probe: Probe, first: int) -> AsyncGenerator[Page | PageImage, None]:
        for number, text in enumerate(path.read_text().split("\f"), start=1):
            if number < first:
                continue
            if text.startswith("broken:"):
                raise UnreadableDocument(f"page {number} is broken")
            if text.startswith("scan:"):
                yield PageImage(number, 100.0, 200.0, text.removeprefix("scan:").encode(), scale=2.0)
            else:
                line = Line(text, Box(1.0, 2.0, 3.0, 4.0))
                yield Page(number, 100.0, 200.0, (Block(BlockKind.PARAGRAPH, (line,)),))


class CountingRecognizer:
    """'Reads' images that are text. `before` is called first: it may wait or raise."""

    fingerprint = "recognizer 1"

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.finished: Counter[str] = Counter()
        self.before: Callable[[str], Awaitable[None]] | None = None

    async def recognize(self, images: Sequence[bytes], deadline: Deadline) -> list[RecognizedImage]:
        return [await self._recognize(image.decode()) for image in images]

    async def _recognize(self, text: str) -> RecognizedImage:
        self.started[text] += 1
        if self.before is not None:
            await self.before(text)
        self.finished[text] += 1
        return RecognizedImage(200, 400, (RecognizedLine(text, 0.9, Box(10.0, 10.0, 100.0, 30.0)),))


class CountingEmbedder:
    fingerprint = "embedder 1"
    dimension = DIMENSION

    def __init__(self) -> None:
        self.embedded: Counter[str] = Counter()
        self.failures: list[Exception] = []

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind, deadline: Deadline) -> Embeddings:
        if self.failures:
            raise self.failures.pop(0)
        self.embedded.update(texts)
        vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        vectors[:, 0] = 1.0
        counts = np.array([len(text) for text in texts], dtype=np.int32)
        return Embeddings(vectors, counts, np.zeros(len(texts), dtype=np.bool_))


class OneJob(IngestDocument):
    """Also works on a job of the test's choice, whosever turn it is."""

    async def run(self, job_id: str, working: Callable[[], Awaitable[None]]) -> float | None:
        """None: the job is settled, or has an owner; a number: look again in so many seconds."""
        claimed = await self._ledger.claim(job_id, self._worker, self._options.lease_s)
        if isinstance(claimed, Busy):
            return claimed.retry_in_s
        if claimed is not None:
            await self.work(claimed, working)
        return None


class Workshop:
    """Everything between an upload and a searchable document, with waits made short."""

    def __init__(
        self, pool: PostgresPool, nats: NatsConnection, queue: JetStreamWorkQueue, stream: str, blobs: FileBlobStore
    ) -> None:
        self.pool = pool
        self.nats = nats
        self.queue = queue
        self.stream = stream
        self.blobs = blobs
        self.reader: DocumentReader = PagesOfText()
        self.recognizer = CountingRecognizer()
        self.embedder = CountingEmbedder()
        self.catalog = PostgresDocumentCatalog(pool)
        self.ledger = PostgresJobLedger(pool)
        self.writer = PostgresChunkWriter(pool)
        self.policies = FixedPolicies()
        self.log_bell = LocalBell()
        self.outbox_bell = LocalBell()
        self.upload = self.uploader(UploadOptions(max_document_bytes=10_000))
        self.delete = DeleteDocument(self.catalog, blobs, self.log_bell)

    def uploader(self, options: UploadOptions) -> UploadDocument:
        return UploadDocument(self.blobs, self.reader, self.catalog, self.outbox_bell, options)

    async def take_in(self, text: str, **header: str) -> tuple[Document, Job]:
        """`header`: text fields of UploadHeader."""
        whole = replace(UploadHeader("document"), **header)  # type: ignore[arg-type]
        return await self.upload.run(ANA, whole, parts_of(text), Deadline.after(PATIENCE_S))

    def ingestion(self, **changes: float) -> OneJob:
        """`changes`: IngestOptions' fields."""
        stages = IngestionStages(
            self.blobs,
            self.reader,
            OneModel(self.recognizer),
            OneModel(self.embedder),
            self.ledger,
            PostgresStageResults(self.pool),
            self.writer,
            ScreenDocuments(self.policies),
            StageOptions(embedding_batch=2, pages_in_flight=1),
        )
        retry = RetryOptions(first_retry_s=0.05, growth=1.0)
        options = IngestOptions(**({"lease_s": 3.0} | changes), retry=retry)  # type: ignore[arg-type]
        return OneJob(self.ledger, stages, self.log_bell, "test", options)

    def relay(self) -> RelayOutbox:
        options = RelayOptions(poll_s=0.05, requeue_every_s=0.1, unanswered_s=0.5)
        return RelayOutbox(PostgresOutbox(self.pool), self.queue, self.outbox_bell, options)

    def worker(self, ingestion: IngestDocument | None = None) -> WorkOffQueue:
        options = WorkerOptions(parallel_documents=2, fetch_s=0.5, after_outage_s=0.1)
        return WorkOffQueue(self.queue, ingestion or self.ingestion(), options)

    async def ended(self, job: Job) -> Job:
        """The job in its terminal state, waited for."""
        watch = WatchJob(self.catalog, WatchOptions(shortest_wait_s=0.02, longest_wait_s=0.1))
        async with aclosing(watch.run(ANA, job.job_id, Deadline.after(PATIENCE_S))) as states:
            return [state async for state in states][-1]

    async def row(self, query: str, *parameters: object) -> tuple[object, ...]:
        async with self.pool.spanning() as connection:
            cursor = await connection.execute(query.encode(), parameters)
            row = await cursor.fetchone()
        assert row is not None
        return tuple(row.values())


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def parts_of(text: str, size: int = 7) -> AsyncIterator[bytes]:
    encoded = text.encode()
    for start in range(0, len(encoded), size):
        yield encoded[start : start + size]


def own_queue() -> JetStreamOptions:
    name = uuid.uuid4().hex
    return JetStreamOptions(stream=f"JOBS_{name}", subject=f"jobs.{name}", redelivery_s=3.0, request_timeout_s=2.0)


@asynccontextmanager
async def opened_workshop(pool: PostgresPool, nats_url: str, folder: Path) -> AsyncIterator[Workshop]:
    options = NatsConnectionOptions(connect_timeout_s=2.0, reconnect_wait_s=0.05)
    names = own_queue()
    async with (
        NatsConnection(nats_url, options) as nats,
        JetStreamWorkQueue(nats, names) as queue,
        FileBlobStore(folder / "blobs", MemoryKeys(), MemoryRecord()) as blobs,
    ):
        yield Workshop(pool, nats, queue, names.stream, blobs)


@asynccontextmanager
async def in_background(*loops: WorkOffQueue | RelayOutbox) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Runs loops while the context lasts."""
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    try:
        yield tasks
    finally:
        for task in tasks:
            await stopped(task)


@pytest.fixture
async def workshop(pool: PostgresPool, nats_url: str, tmp_path: Path) -> AsyncIterator[Workshop]:
    async with opened_workshop(pool, nats_url, tmp_path) as opened:
        yield opened
