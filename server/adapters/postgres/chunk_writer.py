"""Makes a document searchable, all at once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any, LiteralString

import numpy as np
import numpy.typing as npt

from server.adapters.postgres import change_log, job_states
from server.adapters.postgres.fence import fenced, hold
from server.adapters.postgres.line_spans import encode_line_spans, encode_masked
from server.adapters.postgres.pool import Connection, PostgresPool, among_all_tenants
from server.adapters.postgres.sensitive_pages import encode_parts
from server.domain.documents import Chunk, JobState, Lease, PageReading
from server.domain.errors import EmbeddingMismatch

# COPY would be faster, and is not to be had where row security is.
_CHUNKS = """
    INSERT INTO chunks (chunk_id, tenant, document_id, revision, ordinal, text, heading_path, language, first_page,
                        last_page, line_spans, masked)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_EMBEDDINGS = """
    INSERT INTO embeddings (chunk_id, fingerprint, vector)
    SELECT chunk_id, %(fingerprint)s, vector FROM unnest(%(chunk_ids)b::uuid[], %(vectors)b::bytea[])
        AS made (chunk_id, vector)
"""
_PAGES = """
    INSERT INTO pages (document_id, revision, number, width, height, confidence, engine, sensitive)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""


class PostgresChunkWriter:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def commit(
        self,
        lease: Lease,
        pages: Sequence[PageReading],
        chunks: Sequence[Chunk],
        vectors: npt.NDArray[np.float32],
        fingerprint: str,
    ) -> int:
        """A repeat under the same lease (when the answer to the first was lost) returns the first one's position."""
        if len(vectors) != len(chunks):
            raise ValueError(f"{len(chunks)} chunks with {len(vectors)} vectors")
        rows = await asyncio.to_thread(_chunk_rows, lease, chunks)
        async with self._pool.transaction(lease.job.tenant) as connection:
            earlier = await _committed(connection, lease)
            if earlier is not None:
                return earlier
            await hold(connection, lease)
            replaced = await _retire_chunks(connection, lease)
            await _write_pages(connection, lease, pages)
            await _insert(connection, _CHUNKS, rows)
            await _require_comparable(connection, fingerprint)
            ids = [uuid.UUID(chunk.chunk_id) for chunk in chunks]
            little_endian = np.ascontiguousarray(vectors, dtype="<f4")
            vectors_of = {"chunk_ids": ids, "vectors": [vector.tobytes() for vector in little_endian]}
            await connection.execute(_EMBEDDINGS, {**vectors_of, "fingerprint": fingerprint})
            position = await change_log.append(connection, ids, replaced)
            await job_states.succeed(connection, fenced(lease), len(pages), len(chunks), position)
            return position


def _chunk_rows(lease: Lease, chunks: Sequence[Chunk]) -> list[tuple[Any, ...]]:
    document = lease.document
    return [
        (
            chunk.chunk_id,
            document.tenant,
            document.document_id,
            lease.job.revision,
            chunk.ordinal,
            chunk.text,
            list(chunk.heading_path),
            chunk.language,
            min((span.page for span in chunk.line_spans), default=1),
            max((span.page for span in chunk.line_spans), default=1),
            encode_line_spans(chunk.line_spans),
            encode_masked(chunk.masked),
        )
        for chunk in chunks
    ]


async def _committed(connection: Connection, lease: Lease) -> int | None:
    cursor = await connection.execute(
        "SELECT state, log_position FROM jobs WHERE job_id = %(job_id)s AND lease_token = %(lease_token)s FOR UPDATE",
        fenced(lease),
    )
    row = await cursor.fetchone()
    if row is None or JobState(row["state"]) is not JobState.SUCCEEDED:
        return None
    return int(row["log_position"])


async def _retire_chunks(connection: Connection, lease: Lease) -> list[uuid.UUID]:
    """Those of the revision that was searchable until now: they stay for searches whose index has not yet come so far.
    What was replaced before them goes. Locks the document before its chunks, as everybody does."""
    await connection.execute("SELECT 1 FROM documents WHERE document_id = %(document_id)s FOR UPDATE", fenced(lease))
    for table in ("chunks", "pages"):
        await connection.execute(
            f"""DELETE FROM {table} WHERE document_id = %(document_id)s AND revision <>
                    (SELECT revision FROM documents WHERE document_id = %(document_id)s)""",
            fenced(lease),
        )
    cursor = await connection.execute(
        "SELECT chunk_id FROM chunks WHERE document_id = %(document_id)s ORDER BY ordinal", fenced(lease)
    )
    return [row["chunk_id"] for row in await cursor.fetchall()]


async def _require_comparable(connection: Connection, fingerprint: str) -> None:
    """Raises EmbeddingMismatch if what is stored was embedded by another model: a process that was started with another
    default, or has not noticed yet which model serves, would make chunks that no search finds."""
    held = await _held_fingerprint(connection)
    if held is None:
        # Of two first commits at a time, the second sees what the first has stored.
        await change_log.lock(connection)
        held = await _held_fingerprint(connection)
    if held is not None and held != fingerprint:
        raise EmbeddingMismatch(fingerprint, held)


async def _held_fingerprint(connection: Connection) -> str | None:
    """Of the model that all embeddings are of; None without any."""
    async with among_all_tenants(connection):
        row = await (await connection.execute("SELECT fingerprint FROM embeddings LIMIT 1")).fetchone()
    return None if row is None else str(row["fingerprint"])


async def _write_pages(connection: Connection, lease: Lease, pages: Sequence[PageReading]) -> None:
    document_id, revision = lease.document.document_id, lease.job.revision
    rows = [
        (
            document_id,
            revision,
            page.number,
            page.width,
            page.height,
            page.confidence,
            page.engine,
            encode_parts(page.sensitive),
        )
        for page in pages
    ]
    await _insert(connection, _PAGES, rows)


async def _insert(connection: Connection, statement: LiteralString, rows: Sequence[Sequence[Any]]) -> None:
    """All rows in one pipeline."""
    async with connection.cursor() as cursor:
        await cursor.executemany(statement, rows)
