"""A migrated database, and what is put into it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import numpy.typing as npt
import pytest

from server.adapters.postgres.chunk_writer import PostgresChunkWriter
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.job_ledger import PostgresJobLedger
from server.adapters.postgres.passage_store import PostgresPassageStore
from server.adapters.postgres.pool import PostgresPool
from server.application.document_ports import NewDocument, StoredBlob
from server.domain.documents import Box, Chunk, Document, Job, Lease, LineSpan, PageReading
from server.domain.passages import Passage
from server.domain.principals import AccessList, Principal

ANA = Principal("acme", "ana", frozenset({"research"}))
BEN = Principal("acme", "ben", frozenset({"sales"}))
EVE = Principal("rival", "ana", frozenset({"research"}))

MODEL = "model-1"
DIMENSION = 4


@dataclass
class Archive:
    """Puts documents into the database as the use cases would."""

    pool: PostgresPool
    _numbers: count[int] = field(default_factory=count)

    async def accept(self, principal: Principal = ANA, **changes: object) -> tuple[Document, Job]:
        document, job, _ = await PostgresDocumentCatalog(self.pool).accept(principal, self.new(principal, **changes))
        return document, job

    def new(self, principal: Principal = ANA, **changes: object) -> NewDocument:
        """`content` stands for the bytes, unlike all others by default; other changes are NewDocument's fields."""
        number = next(self._numbers)
        content = changes.pop("content", f"content {number}")
        sha256 = hashlib.sha256(str(content).encode()).hexdigest()
        values: dict[str, object] = {
            "name": f"document {number}",
            "media_type": "text/plain",
            "blob": StoredBlob(f"blob-{number}", sha256, 10),
            "tags": (),
            "access": AccessList(principal.user, (), tenant_wide=True),
            "request_id": "",
        }
        return NewDocument(**(values | changes))  # type: ignore[arg-type]

    async def claim(self, job_id: str, lease_s: float = 60.0) -> Lease:
        lease = await PostgresJobLedger(self.pool).claim(job_id, "worker", lease_s)
        assert isinstance(lease, Lease)
        return lease

    async def commit(self, lease: Lease, chunks: list[Chunk], fingerprint: str = MODEL) -> int:
        pages = [PageReading(1, 595.0, 842.0), PageReading(2, 842.0, 595.0, 0.93, "recognizer@1+ab12")]
        return await PostgresChunkWriter(self.pool).commit(lease, pages, chunks, vectors_for(chunks), fingerprint)

    async def ready(self, principal: Principal = ANA, chunks: int = 2, **changes: object) -> tuple[Document, list[str]]:
        """A searchable document and the ids of its chunks."""
        document, job = await self.accept(principal, **changes)
        made = make_chunks(document, chunks)
        await self.commit(await self.claim(job.job_id), made)
        return document, [chunk.chunk_id for chunk in made]

    async def scalar(self, query: str, *parameters: object) -> object:
        async with self.pool.as_login() as connection:
            cursor = await connection.execute(query.encode(), parameters)
            row = await cursor.fetchone()
        assert row is not None
        return next(iter(row.values()))


@pytest.fixture
def archive(pool: PostgresPool) -> Archive:
    return Archive(pool)


def make_chunks(document: Document, number: int) -> list[Chunk]:
    return [
        Chunk(
            chunk_id=str(uuid.uuid5(uuid.UUID(document.document_id), str(ordinal))),
            ordinal=ordinal,
            text=f"chunk {ordinal} of {document.name}",
            heading_path=("Part", "Chapter"),
            language="en",
            line_spans=(LineSpan(0, 5, 1, Box(1.25, 2.0, 3.0, 4.0)), LineSpan(6, 9, 2, None)),
        )
        for ordinal in range(number)
    ]


def vectors_for(chunks: list[Chunk]) -> npt.NDArray[np.float32]:
    vectors = np.ones((len(chunks), DIMENSION), dtype=np.float32)
    vectors[:, 0] += np.arange(len(chunks), dtype=np.float32)
    normalized: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normalized


async def shown(
    store: PostgresPassageStore, principal: Principal, chunk_ids: Sequence[str], position: int
) -> dict[str, Passage]:
    """The passages that the store returns; their ids are what it calls readable."""
    passages = await store.passages(principal, chunk_ids, position)
    assert await store.readable(principal, chunk_ids, position) == set(passages)
    return passages
