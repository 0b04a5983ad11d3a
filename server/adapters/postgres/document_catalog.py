"""Documents as callers see them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from server.adapters.postgres import change_log, job_states
from server.adapters.postgres.answer_erasure import erase_documents
from server.adapters.postgres.events import tell
from server.adapters.postgres.identifiers import new_id, parsed_id
from server.adapters.postgres.page_tokens import page_token, resume_after
from server.adapters.postgres.pool import Connection, PostgresPool
from server.adapters.postgres.rows import DOCUMENT_COLUMNS, JOB_COLUMNS, VISIBLE, document_of, job_of, seeing
from server.application.document_ports import Deletion, DocumentPage, NewDocument
from server.domain import events
from server.domain.documents import Document, DocumentState, Job, JobState
from server.domain.errors import (
    DocumentDeleted,
    DocumentExists,
    DocumentNotFound,
    JobNotFound,
    QuotaExceeded,
    RevisionSuperseded,
)
from server.domain.principals import Principal
from server.domain.quotas import Quota

_DOCUMENTS = "documents d JOIN jobs j ON (j.document_id, j.revision) = (d.document_id, d.newest_revision)"

_INSERT_DOCUMENT = """
    INSERT INTO documents (document_id, tenant, owner, groups, users, tenant_wide, name, media_type, size_bytes, sha256,
                           blob_key, tags, state)
    VALUES (%(document_id)s, %(tenant)s, %(owner)s, %(groups)s, %(users)s, %(tenant_wide)s, %(name)s, %(media_type)s,
            %(size_bytes)s, %(sha256)s, %(blob_key)s, %(tags)s, 'processing')
"""
# In a document that never was searchable, nothing is lost with the revision before.
_OVERWRITE_DOCUMENT = """
    UPDATE documents
    SET groups = %(groups)s, users = %(users)s, tenant_wide = %(tenant_wide)s, access_version = access_version + 1,
        name = %(name)s, media_type = %(media_type)s, size_bytes = %(size_bytes)s, sha256 = %(sha256)s,
        blob_key = %(blob_key)s, tags = %(tags)s,
        state = 'processing', failure_reason = NULL, failure_message = NULL, page_count = 0, revision = %(revision)s,
        newest_revision = %(revision)s, update_time = now()
    WHERE document_id = %(document_id)s
"""
_INSERT_REPLACEMENT = """
    INSERT INTO replacements (document_id, revision, tenant, groups, users, tenant_wide, name, media_type, size_bytes,
                              sha256, blob_key, tags)
    VALUES (%(document_id)s, %(revision)s, %(tenant)s, %(groups)s, %(users)s, %(tenant_wide)s, %(name)s,
            %(media_type)s, %(size_bytes)s, %(sha256)s, %(blob_key)s, %(tags)s)
"""

# Of a deleted document stays what says who may see that it is gone. `name` and the rest may tell of the content.
_TOMBSTONE = """
    UPDATE documents
    SET delete_time = now(), update_time = now(), delete_position = %(position)s, name = '', sha256 = '', tags = '{}',
        failure_message = CASE WHEN failure_reason IS NULL THEN NULL ELSE '' END
    WHERE document_id = %(document_id)s
"""


_USED = """
    SELECT u.documents, u.bytes, q.documents AS max_documents, q.bytes AS max_bytes
    FROM tenant_usage u LEFT JOIN quotas q USING (tenant) WHERE u.tenant = %(tenant)s
"""


class PostgresDocumentCatalog:
    """The same bytes are refused while the caller can see a document that holds them. A document of somebody else that
    the caller cannot see is neither told of nor in the way: the caller gets one of its own.

    Whoever locks several rows locks jobs first, by revision, then documents, then chunks."""

    def __init__(self, pool: PostgresPool, default_quota: Quota | None = None) -> None:
        """default_quota: of tenants that have none of their own; None: no limit."""
        self._pool = pool
        self._default_quota = default_quota or Quota()

    async def _within_quota(self, connection: Connection, principal: Principal, *, new: bool) -> None:
        """Raises QuotaExceeded if what the transaction has added is too much. The triggers that counted it have locked
        the tenant's row: uploads at the same time come one after another, and each sees all before it."""
        row = await (await connection.execute(_USED, {"tenant": principal.tenant})).fetchone()
        if row is None:
            return
        own = Quota(documents=row["max_documents"], bytes=row["max_bytes"]).over(self._default_quota)
        if new and own.documents is not None and row["documents"] > own.documents:
            raise QuotaExceeded("documents", own.documents)
        if own.bytes is not None and row["bytes"] > own.bytes:
            raise QuotaExceeded("bytes", own.bytes)

    async def accept(self, principal: Principal, new: NewDocument) -> tuple[Document, Job, bool]:
        async with self._pool.transaction(principal.tenant) as connection:
            await _lock_uploads(connection, principal, new)
            earlier = await job_of_request(connection, principal, new.request_id)
            if earlier is not None:
                return *await read_job(connection, earlier), False
            target = await _target(connection, principal, new)
            await _refuse_duplicate(connection, principal, new.blob.sha256, target)
            values = _values(principal, new)
            if target is None:
                job_id = await _insert(connection, values)
            else:
                job_id = await _revise(connection, values | {"document_id": target})
            await self._within_quota(connection, principal, new=target is None)
            return *await read_job(connection, job_id), True

    async def get(self, principal: Principal, document_id: str) -> Document:
        parameters = seeing(principal) | {"document_id": parsed_id(document_id)}
        async with self._pool.transaction(principal.tenant) as connection:
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
        async with self._pool.transaction(principal.tenant) as connection:
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
        async with self._pool.transaction(principal.tenant) as connection:
            # This also waits for the workers' writes.
            cursor = await connection.execute(
                """SELECT j.job_id FROM jobs j JOIN documents d USING (document_id)
                   WHERE d.document_id = %(document_id)s AND d.tenant = %(tenant)s AND d.owner = %(owner)s
                   ORDER BY j.revision FOR UPDATE OF j""",
                parameters,
            )
            if not await cursor.fetchall():
                raise DocumentNotFound(document_id)
            cursor = await connection.execute(
                """SELECT d.blob_key, d.delete_position, r.blob_key AS replacement
                   FROM documents d LEFT JOIN replacements r USING (document_id)
                   WHERE d.document_id = %(document_id)s FOR UPDATE OF d""",
                parameters,
            )
            row = await cursor.fetchone()
            assert row is not None, "the job refers to it"
            position = row["delete_position"]
            if position is None:
                position = await _erase(connection, parameters)
        return Deletion(position, tuple(key for key in (row["blob_key"], row["replacement"]) if key is not None))

    async def job(self, principal: Principal, job_id: str) -> Job:
        parameters = seeing(principal) | {"job_id": parsed_id(job_id)}
        async with self._pool.transaction(principal.tenant) as connection:
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
    """Uploads of the same bytes to a tenant, uploads under the same request id, and replacements of the same name go
    one after another: what one of them decides, the next one sees."""
    keys = [["content", principal.tenant, new.blob.sha256]]
    if new.request_id:
        keys.append(["request", principal.tenant, principal.user, new.request_id])
    if new.replace:
        keys.append(["name", principal.tenant, principal.user, new.name])
    # In one order for everybody, or two uploads could wait for each other.
    for number in sorted(_lock_number(key) for key in keys):
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (number,))


def _lock_number(key: list[str]) -> int:
    digest = hashlib.blake2b("\0".join(key).encode(), digest_size=8, person=b"upload").digest()
    return int.from_bytes(digest, "big", signed=True)


async def job_of_request(connection: Connection, principal: Principal, request_id: str) -> uuid.UUID | None:
    """The job that an earlier call with this id made, for a document that still is there."""
    if not request_id:
        return None
    cursor = await connection.execute(
        """SELECT j.job_id FROM jobs j JOIN documents d USING (document_id)
           WHERE j.tenant = %s AND j.request_id = %s AND d.owner = %s AND d.delete_time IS NULL""",
        (principal.tenant, request_id, principal.user),
    )
    row = await cursor.fetchone()
    return None if row is None else row["job_id"]


async def _target(connection: Connection, principal: Principal, new: NewDocument) -> uuid.UUID | None:
    """The document that `new` is a revision of, with its jobs and itself locked; None: it is a document of its own."""
    if new.replaced_document_id:
        found = parsed_id(new.replaced_document_id)
    elif new.replace:
        found = await _newest_of_name(connection, principal, new.name)
    else:
        return None
    document = await locked_document(connection, principal, found)
    if document is None and new.replaced_document_id:
        raise DocumentNotFound(new.replaced_document_id)
    return None if document is None else found


async def _newest_of_name(connection: Connection, principal: Principal, name: str) -> uuid.UUID | None:
    cursor = await connection.execute(
        """SELECT document_id FROM documents
           WHERE tenant = %s AND owner = %s AND name = %s AND delete_time IS NULL
           ORDER BY document_id DESC LIMIT 1""",
        (principal.tenant, principal.user, name),
    )
    row = await cursor.fetchone()
    return None if row is None else row["document_id"]


async def locked_document(
    connection: Connection, principal: Principal, document_id: uuid.UUID | None
) -> dict[str, Any] | None:
    """A document of the principal's own, with all its jobs locked, and itself; None if there is none."""
    parameters = {"tenant": principal.tenant, "owner": principal.user, "document_id": document_id}
    await connection.execute(
        """SELECT 1 FROM jobs j JOIN documents d USING (document_id)
           WHERE d.document_id = %(document_id)s AND d.tenant = %(tenant)s AND d.owner = %(owner)s
           ORDER BY j.revision FOR UPDATE OF j""",
        parameters,
    )
    cursor = await connection.execute(
        """SELECT document_id, state, revision, newest_revision FROM documents
           WHERE document_id = %(document_id)s AND tenant = %(tenant)s AND owner = %(owner)s AND delete_time IS NULL
           FOR UPDATE""",
        parameters,
    )
    return await cursor.fetchone()


async def _refuse_duplicate(
    connection: Connection, principal: Principal, sha256: str, target: uuid.UUID | None
) -> None:
    """Of the document that is to be replaced only the newest bytes count: what is searchable may be wanted again while
    something newer is on its way. Bytes that are on their way are told of to those alone who will see them."""
    cursor = await connection.execute(
        f"""SELECT d.document_id FROM documents d LEFT JOIN replacements r USING (document_id)
            WHERE d.document_id IN (
                      SELECT document_id FROM documents
                      WHERE tenant = %(tenant)s AND sha256 = %(sha256)s AND delete_time IS NULL
                      UNION ALL
                      SELECT document_id FROM replacements JOIN documents own USING (document_id, tenant)
                      WHERE tenant = %(tenant)s AND replacements.sha256 = %(sha256)s
                        AND (own.owner = %(user)s OR replacements.tenant_wide
                             OR %(user)s = ANY(replacements.users) OR replacements.groups && %(groups)s::text[])
                  )
                  AND (d.document_id IS DISTINCT FROM %(target)s::uuid OR coalesce(r.sha256, d.sha256) = %(sha256)s)
                  AND {VISIBLE}
            ORDER BY d.document_id LIMIT 1""",
        seeing(principal) | {"sha256": sha256, "target": target},
    )
    row = await cursor.fetchone()
    if row is not None:
        raise DocumentExists(str(row["document_id"]))


def _values(principal: Principal, new: NewDocument) -> dict[str, Any]:
    return {
        "tenant": principal.tenant,
        "owner": new.access.owner,
        "groups": sorted(new.access.groups),
        "users": sorted(new.access.users),
        "tenant_wide": new.access.tenant_wide,
        "name": new.name,
        "media_type": new.media_type,
        "size_bytes": new.blob.size_bytes,
        "sha256": new.blob.sha256,
        "blob_key": new.blob.key,
        "tags": sorted(new.tags),
        "request_id": new.request_id,
        "trace_id": new.trace_id,
        "priority": new.priority.value,
    }


async def _insert(connection: Connection, values: dict[str, Any]) -> uuid.UUID:
    document = values | {"document_id": new_id(), "revision": 1, "results_from": 1}
    await connection.execute(_INSERT_DOCUMENT, document)
    return await insert_job(connection, document)


async def _revise(connection: Connection, values: dict[str, Any]) -> uuid.UUID:
    """A further revision of a document that is locked. What was to be the newest one until now is dropped."""
    cursor = await connection.execute(
        """SELECT d.state, d.newest_revision, j.job_id, j.revision, j.state AS job_state
           FROM documents d JOIN jobs j ON (j.document_id, j.revision) = (d.document_id, d.newest_revision)
           WHERE d.document_id = %(document_id)s""",
        values,
    )
    newest = await cursor.fetchone()
    assert newest is not None, "locked by the caller"
    document = values | {"revision": newest["newest_revision"] + 1, "results_from": newest["newest_revision"] + 1}
    if not JobState(newest["job_state"]).terminal:
        superseded = RevisionSuperseded(str(values["document_id"]))
        await job_states.cancel(connection, newest | {"document_id": values["document_id"]}, superseded)
    await drop_replacement(connection, document)
    if DocumentState(newest["state"]) is DocumentState.READY:
        await connection.execute(_INSERT_REPLACEMENT, document)
        await connection.execute(
            """UPDATE documents SET newest_revision = %(revision)s, update_time = now()
               WHERE document_id = %(document_id)s""",
            document,
        )
    else:
        await connection.execute("DELETE FROM stage_results WHERE document_id = %(document_id)s", document)
        await connection.execute(_OVERWRITE_DOCUMENT, document)
    return await insert_job(connection, document)


async def drop_replacement(connection: Connection, document: Mapping[str, Any]) -> None:
    """Its bytes, which nothing refers to then, are left to the sweep."""
    await connection.execute(
        """WITH dropped AS (
               DELETE FROM replacements WHERE document_id = %(document_id)s RETURNING document_id, revision
           )
           DELETE FROM stage_results r USING dropped
           WHERE (r.document_id, r.revision) = (dropped.document_id, dropped.revision)""",
        document,
    )


async def insert_job(connection: Connection, values: Mapping[str, Any]) -> uuid.UUID:
    """The job of a revision, due at once. Returns its id."""
    job_id = new_id()
    await connection.execute(
        """INSERT INTO jobs (job_id, tenant, document_id, revision, results_from, request_id, trace_id, priority)
           VALUES (%(job_id)s, %(tenant)s, %(document_id)s, %(revision)s, %(results_from)s, %(request_id)s,
                   %(trace_id)s, %(priority)s)""",
        {**values, "job_id": job_id},
    )
    await connection.execute("INSERT INTO outbox (job_id) VALUES (%s)", (job_id,))
    await tell(connection, events.DocumentUploaded(str(values["document_id"]), values["revision"], str(job_id)))
    return job_id


async def read_job(connection: Connection, job_id: uuid.UUID) -> tuple[Document, Job]:
    """The job, and its document as it is now."""
    cursor = await connection.execute(
        f"""SELECT {DOCUMENT_COLUMNS} FROM {_DOCUMENTS}
            WHERE d.document_id = (SELECT document_id FROM jobs WHERE job_id = %s)""",
        (job_id,),
    )
    document = await cursor.fetchone()
    cursor = await connection.execute(f"SELECT {JOB_COLUMNS} FROM jobs j WHERE j.job_id = %s", (job_id,))
    job = await cursor.fetchone()
    assert document is not None and job is not None, "the caller knows of it"
    return document_of(document), job_of(job)


async def _erase(connection: Connection, parameters: dict[str, Any]) -> int:
    """Cancels the job, removes everything that was read from the document, and returns the log's position."""
    cursor = await connection.execute(
        """SELECT job_id, document_id, revision FROM jobs
           WHERE document_id = %(document_id)s AND state IN ('pending', 'running')""",
        parameters,
    )
    for live in await cursor.fetchall():
        await job_states.cancel(connection, live, DocumentDeleted(str(parameters["document_id"])))
    await connection.execute(
        "DELETE FROM outbox WHERE job_id IN (SELECT job_id FROM jobs WHERE document_id = %(document_id)s)", parameters
    )
    for table in ("replacements", "stage_results", "pages"):
        await connection.execute(f"DELETE FROM {table} WHERE document_id = %(document_id)s", parameters)
    await erase_documents(connection, [parameters["document_id"]])
    # Embeddings go with their chunks.
    cursor = await connection.execute(
        "DELETE FROM chunks WHERE document_id = %(document_id)s RETURNING chunk_id", parameters
    )
    removed = [row["chunk_id"] for row in await cursor.fetchall()]
    position = await change_log.append(connection, [], removed)
    await connection.execute(_TOMBSTONE, parameters | {"position": position})
    await tell(connection, events.DocumentDeleted(str(parameters["document_id"])))
    return position
