"""Documents as callers see them."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from server.adapters.postgres import change_log
from server.adapters.postgres.identifiers import new_id, parsed_id
from server.adapters.postgres.page_tokens import page_token, resume_after
from server.adapters.postgres.pool import Connection, PostgresPool
from server.adapters.postgres.rows import DOCUMENT_COLUMNS, JOB_COLUMNS, VISIBLE, document_of, job_of, seeing
from server.application.ports import Deletion, DocumentPage, NewDocument
from server.domain.documents import Document, DocumentState, Job
from server.domain.errors import DocumentDeleted, DocumentExists, DocumentNotFound, JobNotFound
from server.domain.principals import Principal

_DOCUMENTS = "documents d JOIN jobs j ON (j.document_id, j.revision) = (d.document_id, d.revision)"

_INSERT_DOCUMENT = """
    INSERT INTO documents (document_id, tenant, owner, groups, tenant_wide, name, media_type, size_bytes, sha256,
                           blob_key, tags, request_id, state)
    VALUES (%(document_id)s, %(tenant)s, %(owner)s, %(groups)s, %(tenant_wide)s, %(name)s, %(media_type)s,
            %(size_bytes)s, %(sha256)s, %(blob_key)s, %(tags)s, %(request_id)s, 'processing')
"""

# Of a deleted document stays what says who may see that it is gone. `name` and the rest may tell of the content.
_TOMBSTONE = """
    UPDATE documents
    SET delete_time = now(), update_time = now(), delete_position = %(position)s, name = '', sha256 = '', tags = '{}',
        failure_message = CASE WHEN failure_reason IS NULL THEN NULL ELSE '' END
    WHERE document_id = %(document_id)s
"""


class PostgresDocumentCatalog:
    """The same bytes are refused while the caller can see a document that holds them. A document of somebody else that
    the caller cannot see is neither told of nor in the way: the caller gets one of its own."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def accept(self, principal: Principal, new: NewDocument) -> tuple[Document, Job, bool]:
        async with self._pool.transaction() as connection:
            await _lock_uploads(connection, principal, new)
            earlier = await _by_request(connection, principal, new.request_id)
            if earlier is not None:
                return *await _read(connection, earlier), False
            await _refuse_duplicate(connection, principal, new.blob.sha256)
            document_id = await _insert(connection, principal, new)
            return *await _read(connection, document_id), True

    async def get(self, principal: Principal, document_id: str) -> Document:
        parameters = seeing(principal) | {"document_id": parsed_id(document_id)}
        async with self._pool.transaction() as connection:
            cursor = await connection.execute(
                f"""SELECT {DOCUMENT_COLUMNS} FROM {_DOCUMENTS}
                    WHERE d.document_id = %(document_id)s AND d.delete_time IS NULL AND {VISIBLE}""",
                parameters,
            )
            row = await cursor.fetchone()
        if row is None:
            raise DocumentNotFound(document_id)
        return document_of(row)

    async def page(
        self,
        principal: Principal,
        size: int,
        token: str,
        state: DocumentState | None,
        tags: tuple[str, ...],
    ) -> DocumentPage:
        listed = [principal.tenant, principal.user, sorted(principal.groups), state and state.value, sorted(tags)]
        parameters = seeing(principal) | {"limit": size + 1, "tags": list(tags)}
        conditions = [VISIBLE, "d.delete_time IS NULL", "d.tags @> %(tags)s::text[]"]
        if state is not None:
            conditions.append("d.state = %(state)s")
            parameters["state"] = state.value
        if token:
            conditions.append("d.document_id < %(last)s")
            parameters["last"] = resume_after(token, listed)
        async with self._pool.transaction() as connection:
            cursor = await connection.execute(
                f"""SELECT {DOCUMENT_COLUMNS} FROM {_DOCUMENTS} WHERE {" AND ".join(conditions)}
                    ORDER BY d.document_id DESC LIMIT %(limit)s""",
                parameters,
            )
            rows = await cursor.fetchall()
        more = len(rows) > size
        documents = tuple(document_of(row) for row in rows[:size])
        return DocumentPage(documents, page_token(rows[size - 1]["document_id"], listed) if more else "")

    async def delete(self, principal: Principal, document_id: str) -> Deletion:
        parameters = {"tenant": principal.tenant, "owner": principal.user, "document_id": parsed_id(document_id)}
        async with self._pool.transaction() as connection:
            # Jobs are locked before documents, here as in the workers' writes, and this also waits for those.
            cursor = await connection.execute(
                """SELECT j.job_id FROM jobs j JOIN documents d USING (document_id)
                   WHERE d.document_id = %(document_id)s AND d.tenant = %(tenant)s AND d.owner = %(owner)s
                   FOR UPDATE OF j""",
                parameters,
            )
            if not await cursor.fetchall():
                raise DocumentNotFound(document_id)
            cursor = await connection.execute(
                "SELECT blob_key, delete_position FROM documents WHERE document_id = %(document_id)s", parameters
            )
            row = await cursor.fetchone()
            assert row is not None, "the job refers to it"
            position = row["delete_position"]
            if position is None:
                position = await _erase(connection, parameters)
        return Deletion(position, row["blob_key"])

    async def job(self, principal: Principal, job_id: str) -> Job:
        parameters = seeing(principal) | {"job_id": parsed_id(job_id)}
        async with self._pool.transaction() as connection:
            cursor = await connection.execute(
                f"SELECT {JOB_COLUMNS} FROM jobs j JOIN documents d USING (document_id)"
                f" WHERE j.job_id = %(job_id)s AND {VISIBLE}",
                parameters,
            )
            row = await cursor.fetchone()
        if row is None:
            raise JobNotFound(job_id)
        return job_of(row)


async def _lock_uploads(connection: Connection, principal: Principal, new: NewDocument) -> None:
    """Uploads of the same bytes to a tenant, and uploads under the same request id, go one after another: what one of
    them decides, the next one sees."""
    keys = [["content", principal.tenant, new.blob.sha256]]
    if new.request_id:
        keys.append(["request", principal.tenant, principal.user, new.request_id])
    # In one order for everybody, or two uploads could wait for each other.
    for number in sorted(_lock_number(key) for key in keys):
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (number,))


def _lock_number(key: list[str]) -> int:
    digest = hashlib.blake2b("\0".join(key).encode(), digest_size=8, person=b"upload").digest()
    return int.from_bytes(digest, "big", signed=True)


async def _by_request(connection: Connection, principal: Principal, request_id: str) -> uuid.UUID | None:
    if not request_id:
        return None
    cursor = await connection.execute(
        """SELECT document_id FROM documents
           WHERE tenant = %s AND owner = %s AND request_id = %s AND delete_time IS NULL""",
        (principal.tenant, principal.user, request_id),
    )
    row = await cursor.fetchone()
    return None if row is None else row["document_id"]


async def _refuse_duplicate(connection: Connection, principal: Principal, sha256: str) -> None:
    cursor = await connection.execute(
        f"""SELECT d.document_id FROM documents d
            WHERE d.sha256 = %(sha256)s AND d.delete_time IS NULL AND {VISIBLE}
            ORDER BY d.document_id LIMIT 1""",
        seeing(principal) | {"sha256": sha256},
    )
    row = await cursor.fetchone()
    if row is not None:
        raise DocumentExists(str(row["document_id"]))


async def _insert(connection: Connection, principal: Principal, new: NewDocument) -> uuid.UUID:
    values: dict[str, Any] = {
        "document_id": new_id(),
        "job_id": new_id(),
        "tenant": principal.tenant,
        "owner": new.access.owner,
        "groups": sorted(new.access.groups),
        "tenant_wide": new.access.tenant_wide,
        "name": new.name,
        "media_type": new.media_type,
        "size_bytes": new.blob.size_bytes,
        "sha256": new.blob.sha256,
        "blob_key": new.blob.key,
        "tags": sorted(new.tags),
        "request_id": new.request_id,
    }
    await connection.execute(_INSERT_DOCUMENT, values)
    await connection.execute(
        "INSERT INTO jobs (job_id, tenant, document_id, revision) VALUES (%(job_id)s, %(tenant)s, %(document_id)s, 1)",
        values,
    )
    await connection.execute("INSERT INTO outbox (job_id) VALUES (%(job_id)s)", values)
    document_id: uuid.UUID = values["document_id"]
    return document_id


async def _read(connection: Connection, document_id: uuid.UUID) -> tuple[Document, Job]:
    cursor = await connection.execute(
        f"SELECT {DOCUMENT_COLUMNS} FROM {_DOCUMENTS} WHERE d.document_id = %s", (document_id,)
    )
    document = await cursor.fetchone()
    cursor = await connection.execute(
        f"SELECT {JOB_COLUMNS} FROM {_DOCUMENTS} WHERE d.document_id = %s", (document_id,)
    )
    job = await cursor.fetchone()
    assert document is not None and job is not None, "inserted together"
    return document_of(document), job_of(job)


async def _erase(connection: Connection, parameters: dict[str, Any]) -> int:
    """Cancels the job, removes everything that was read from the document, and returns the log's position."""
    deleted = DocumentDeleted(str(parameters["document_id"]))
    await connection.execute(
        """UPDATE jobs SET state = 'cancelled', lease_token = lease_token + 1, lease_until = NULL, update_time = now(),
                  failure_reason = %(reason)s, failure_message = %(message)s
           WHERE document_id = %(document_id)s AND state IN ('pending', 'running')""",
        parameters | {"reason": type(deleted).__name__, "message": str(deleted)},
    )
    await connection.execute(
        "DELETE FROM outbox WHERE job_id IN (SELECT job_id FROM jobs WHERE document_id = %(document_id)s)", parameters
    )
    await connection.execute("DELETE FROM stage_results WHERE document_id = %(document_id)s", parameters)
    await connection.execute("DELETE FROM pages WHERE document_id = %(document_id)s", parameters)
    # Embeddings go with their chunks.
    cursor = await connection.execute(
        "DELETE FROM chunks WHERE document_id = %(document_id)s RETURNING chunk_id", parameters
    )
    removed = [row["chunk_id"] for row in await cursor.fetchall()]
    position = await change_log.append(connection, removed, [])
    await connection.execute(_TOMBSTONE, parameters | {"position": position})
    return position
