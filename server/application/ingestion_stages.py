"""The stages of an ingestion, each resuming where an earlier attempt stopped."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from server.application.chunking import ChunkingOptions, chunk_pages
from server.application.document_ports import BlobStore
from server.application.headings import under_headings
from server.application.job_ports import ChunkWriter, JobLedger, StageResults
from server.application.model_ports import Embedder, EmbeddingKind, Slot, TextRecognizer
from server.application.page_records import RECORD_VERSION, decode_page, encode_page, storable
from server.application.privacy.screening import ScreenDocuments, Screened
from server.application.reading_ports import DocumentReader, PageImage, Probe
from server.application.recognized_pages import page_from_recognition
from server.domain.deadline import Deadline
from server.domain.documents import Chunk, Lease, Page, PageReading, SensitivePart, Stage
from server.domain.errors import DependencyUnavailable, Overloaded, PersonalDataBlocked, UnreadableDocument

_T = TypeVar("_T")

# float16 models are off by about 1e-3.
_LENGTH_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class StageOptions:
    """`pages_in_flight` bounds the page images in memory. `storage_patience_s` is how long a write waits for the
    database to come back before the attempt ends."""

    recognition_deadline_s: float = 120.0
    embedding_deadline_s: float = 120.0
    storage_patience_s: float = 60.0
    pages_in_flight: int = 2
    embedding_batch: int = 32
    chunking: ChunkingOptions = field(default_factory=ChunkingOptions)


class IngestionStages:
    """Probe, extract, chunk, embed, commit. Every method but `run` is one of them; nothing here knows of retries."""

    def __init__(
        self,
        blobs: BlobStore,
        reader: DocumentReader,
        recognizer: Slot[TextRecognizer],
        embedder: Slot[Embedder],
        ledger: JobLedger,
        results: StageResults,
        writer: ChunkWriter,
        screening: ScreenDocuments,
        options: StageOptions,
    ) -> None:
        self._blobs = blobs
        self._reader = reader
        self._recognizer = recognizer
        self._embedder = embedder
        self._ledger = ledger
        self._results = results
        self._writer = writer
        self._screening = screening
        self._options = options

    async def run(self, lease: Lease) -> int:
        """The position of the change log after the commit. Raises whatever ends the attempt; what was made until then
        is kept."""
        async with self._blobs.open(lease.document.tenant, lease.blob_key) as path:
            probe = await self._probe(lease, path)
            recognizer = self._recognizer.model()
            pages = await self._extract(lease, path, probe, recognizer)
        screened = await self._screen(lease, pages, await self._chunk(lease, pages))
        chunks = screened.chunks
        # One for all chunks: vectors of two models cannot be compared.
        embedder = self._embedder.model()
        vectors = await self._embed(lease, embedder, chunks, len(pages))
        # A page that an earlier attempt kept is used only if the same recognizer read it: its key says so.
        readings = [
            _reading(page, recognizer.fingerprint, parts) for page, parts in zip(pages, screened.parts, strict=True)
        ]
        return await self._commit(lease, readings, chunks, vectors, embedder.fingerprint)

    async def _probe(self, lease: Lease, path: Path) -> Probe:
        await self._progress(lease, Stage.PROBE, 0, lease.job.pages_total)
        return await self._reader.probe(path, lease.document.name)

    async def _extract(self, lease: Lease, path: Path, probe: Probe, recognizer: TextRecognizer) -> list[Page]:
        kept = await self._patiently(lambda: self._results.load(lease, Stage.EXTRACT))
        keys = {
            number: self._page_key(lease, number, recognizer.fingerprint) for number in range(1, probe.page_count + 1)
        }
        pages = await asyncio.to_thread(_decode_kept, kept, keys)
        extraction = _Extraction(self, lease, recognizer, keys, pages)
        await self._progress(lease, Stage.EXTRACT, len(pages), len(keys))
        first = next((number for number in keys if number not in pages), None)
        if first is not None:
            await self._read(extraction, path, probe, first)
        missing = [number for number in keys if number not in pages]
        if missing:
            raise UnreadableDocument(f"page {missing[0]} of {len(keys)} is missing")
        return [pages[number] for number in keys]

    async def _read(self, extraction: _Extraction, path: Path, probe: Probe, first: int) -> None:
        """Reads page by page, while up to `pages_in_flight` images are being recognized."""
        places = asyncio.Semaphore(self._options.pages_in_flight)
        try:
            async with asyncio.TaskGroup() as group, aclosing(self._reader.pages(path, probe, first)) as stream:
                async for item in stream:
                    if not extraction.lacks(item.number):
                        continue
                    if isinstance(item, Page):
                        await extraction.keep(item)
                        continue
                    await places.acquire()
                    recognition = group.create_task(self._recognize(extraction, item))
                    recognition.add_done_callback(lambda _: places.release())
        except ExceptionGroup as group_error:
            raise _first_of(group_error) from group_error

    async def _recognize(self, extraction: _Extraction, image: PageImage) -> None:
        deadline = Deadline.after(self._options.recognition_deadline_s)
        [recognized] = await extraction.recognizer.recognize([image.image], deadline)
        await extraction.keep(page_from_recognition(image, recognized))

    async def _chunk(self, lease: Lease, pages: Sequence[Page]) -> list[Chunk]:
        await self._progress(lease, Stage.CHUNK, len(pages), len(pages))
        # The same document revision gives the same ids in every attempt.
        revision = uuid.uuid5(uuid.UUID(lease.document.document_id), f"revision {lease.job.revision}")
        return await asyncio.to_thread(
            chunk_pages, pages, self._options.chunking, lambda ordinal: str(uuid.uuid5(revision, f"chunk {ordinal}"))
        )

    async def _screen(self, lease: Lease, pages: Sequence[Page], chunks: Sequence[Chunk]) -> Screened:
        try:
            screened = await self._patiently(lambda: self._screening.run(lease.job.tenant, pages, chunks))
        except PersonalDataBlocked:
            # What is not let in is not kept either.
            await self._patiently(lambda: self._results.forget(lease))
            raise
        if screened.changed:
            await self._patiently(lambda: self._results.forget(lease))
        return screened

    async def _embed(
        self, lease: Lease, embedder: Embedder, chunks: Sequence[Chunk], pages: int
    ) -> npt.NDArray[np.float32]:
        """float32[len(chunks), dim]"""
        await self._progress(lease, Stage.EMBED, pages, pages)
        kept = await self._patiently(lambda: self._results.load(lease, Stage.EMBED))
        vectors = np.empty((len(chunks), embedder.dimension), dtype=np.float32)
        for start in range(0, len(chunks), self._options.embedding_batch):
            batch = chunks[start : start + self._options.embedding_batch]
            texts = [under_headings(chunk.heading_path, chunk.text) for chunk in batch]
            key = _hash(embedder.fingerprint, *texts)
            rows = _kept_vectors(kept.get(key, b""), len(texts))
            vectors[start : start + len(texts)] = (
                rows if rows is not None else await self._embed_batch(lease, embedder, key, texts)
            )
        return vectors

    async def _embed_batch(
        self, lease: Lease, embedder: Embedder, key: str, texts: Sequence[str]
    ) -> npt.NDArray[np.float32]:
        deadline = Deadline.after(self._options.embedding_deadline_s)
        embeddings = await embedder.embed(texts, EmbeddingKind.PASSAGE, deadline)
        # One of them in the change log would stop every index for good.
        if not _comparable(embeddings.vectors):
            raise DependencyUnavailable("the model embed", "its vectors are not finite and of length 1")
        record = np.ascontiguousarray(embeddings.vectors, dtype="<f4").tobytes()
        await self._patiently(lambda: self._results.save(lease, Stage.EMBED, key, record))
        return embeddings.vectors

    async def _commit(
        self,
        lease: Lease,
        pages: Sequence[PageReading],
        chunks: Sequence[Chunk],
        vectors: npt.NDArray[np.float32],
        fingerprint: str,
    ) -> int:
        await self._progress(lease, Stage.COMMIT, len(pages), len(pages))
        return await self._patiently(lambda: self._writer.commit(lease, pages, chunks, vectors, fingerprint))

    async def keep_page(self, lease: Lease, key: str, page: Page, done: int, total: int) -> None:
        record = encode_page(page)
        await self._patiently(lambda: self._results.save(lease, Stage.EXTRACT, key, record))
        await self._progress(lease, Stage.EXTRACT, done, total)

    async def _progress(self, lease: Lease, stage: Stage, done: int, total: int) -> None:
        await self._patiently(lambda: self._ledger.progress(lease, stage, done, total))

    async def _patiently(self, work: Callable[[], Awaitable[_T]]) -> _T:
        return await patiently(work, self._options.storage_patience_s)

    def _page_key(self, lease: Lease, number: int, recognizer: str) -> str:
        return _hash(RECORD_VERSION, lease.document.sha256, str(number), self._reader.fingerprint, recognizer)


async def patiently(work: Callable[[], Awaitable[_T]], patience_s: float) -> _T:
    """Repeats `work`, which must be safe to repeat, while the database is away, for at most `patience_s`."""
    async for attempt in AsyncRetrying(
        wait=wait_exponential_jitter(multiplier=0.05, max=5.0, jitter=0.05),
        stop=stop_after_delay(patience_s),
        retry=retry_if_exception_type((DependencyUnavailable, Overloaded)),
        reraise=True,
    ):
        with attempt:
            return await work()
    raise AssertionError("the loop returns or raises")


class _Extraction:
    """The pages of one attempt. Pages are kept one after another, so that progress only grows."""

    def __init__(
        self,
        stages: IngestionStages,
        lease: Lease,
        recognizer: TextRecognizer,
        keys: Mapping[int, str],
        pages: dict[int, Page],
    ) -> None:
        self.recognizer = recognizer
        self._stages = stages
        self._lease = lease
        self._keys = keys
        self._pages = pages
        self._keeping = asyncio.Lock()

    def lacks(self, number: int) -> bool:
        return number in self._keys and number not in self._pages

    async def keep(self, page: Page) -> None:
        page = storable(page)
        async with self._keeping:
            done = len(self._pages) + 1
            await self._stages.keep_page(self._lease, self._keys[page.number], page, done, len(self._keys))
            self._pages[page.number] = page


def _reading(page: Page, recognizer: str, sensitive: tuple[SensitivePart, ...]) -> PageReading:
    engine = recognizer if page.recognized else None
    return PageReading(page.number, page.width, page.height, page.confidence, engine, sensitive)


def _first_of(group: ExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, ExceptionGroup) else first


def _kept_vectors(record: bytes, count: int) -> npt.NDArray[np.float32] | None:
    """float32[count, dim]; None when the record holds none that can be used."""
    if not record or len(record) % (4 * count):
        return None
    rows = np.frombuffer(record, dtype="<f4").reshape(count, -1)
    return rows if _comparable(rows) else None


def _comparable(vectors: npt.NDArray[np.float32]) -> bool:
    """Whether every row of float32[n, dim] is a direction: finite, of length 1."""
    return bool(np.all(np.abs(np.linalg.norm(vectors.astype(np.float64), axis=1) - 1.0) < _LENGTH_TOLERANCE))


def _decode_kept(kept: Mapping[str, bytes], keys: Mapping[int, str]) -> dict[int, Page]:
    return {number: decode_page(kept[key]) for number, key in keys.items() if key in kept}


def _hash(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()
