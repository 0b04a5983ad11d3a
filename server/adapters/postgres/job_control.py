"""Jobs as callers act on them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from server.adapters.postgres import job_states
from server.adapters.postgres.document_catalog import (
    drop_replacement,
    insert_job,
    job_of_request,
    locked_document,
    read_job,
)
from server.adapters.postgres.identifiers import parsed_id
from server.adapters.postgres.page_tokens import page_token, resume_after
from server.adapters.postgres.pool import Connection, PostgresPool
from server.adapters.postgres.rows import JOB_COLUMNS, VISIBLE, job_of, seeing
from server.application.job_ports import DeadLetterPage, NewIngestion, WantedLetters
from server.domain.documents import DeadLetter, DocumentState, Job, JobState
from server.domain.errors import (
    DeadLetterNotFound,
    DocumentBusy,
    DocumentNotFound,
    InvalidField,
    JobCancelled,
    JobNotFound,
)
from server.domain.principals import Principal

# A failed job that a newer one followed has no say any more.
_DEAD = """
    j.state = 'failed' AND j.discard_time IS NULL AND d.delete_time IS NULL AND d.newest_revision = j.revision
"""


class PostgresJobControl:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def cancel(self, principal: Principal, job_id: str) -> Job:
        async with self._pool.transaction(principal.tenant) as connection:
            job = await _owned(connection, principal, job_id)
            if job is None:
                raise JobNotFound(job_id)
            if not JobState(job["state"]).terminal:
                await job_states.cancel(connection, job, JobCancelled(job_id))
                await drop_replacement(connection, job)
            return (await read_job(connection, job["job_id"]))[1]

    async def dead_letters(self, principal: Principal, size: int, token: str, wanted: WantedLetters) -> DeadLetterPage:
        listed = [
            *("dead letters", principal.tenant, principal.user, sorted(principal.groups), sorted(wanted.reasons)),
            *(None if moment is None else moment.isoformat() for moment in (wanted.not_before, wanted.before)),
        ]
        parameters = seeing(principal) | {
            "limit": size + 1,
            "reasons": list(wanted.reasons),
            "not_before": wanted.not_before,
            "before": wanted.before,
            "after": resume_after(token, listed) if token else None,
        }
        async with self._pool.transaction(principal.tenant) as connection:
            cursor = await connection.execute(
                f"""SELECT {JOB_COLUMNS},
                           coalesce(
                               CASE WHEN d.owner = %(user)s OR r.tenant_wide OR %(user)s = ANY(r.users)
                                       OR r.groups && %(groups)s::text[]
                                    THEN r.name END,
                               d.name
                           ) AS document_name
                    FROM jobs j JOIN documents d USING (document_id)
                    LEFT JOIN replacements r ON (r.document_id, r.revision) = (j.document_id, j.revision)
                    WHERE {_DEAD} AND {VISIBLE} AND j.tenant = %(tenant)s
                      AND (cardinality(%(reasons)s::text[]) = 0 OR j.failure_reason = ANY(%(reasons)s))
                      AND (%(not_before)s::timestamptz IS NULL OR j.end_time >= %(not_before)s)
                      AND (%(before)s::timestamptz IS NULL OR j.end_time < %(before)s)
                      AND (%(after)s::uuid IS NULL OR j.job_id < %(after)s)
                    ORDER BY j.job_id DESC LIMIT %(limit)s""",
                parameters,
            )
            rows = await cursor.fetchall()
        following = page_token(rows[size - 1]["job_id"], listed) if len(rows) > size else ""
        return DeadLetterPage(tuple(DeadLetter(job_of(row), row["document_name"]) for row in rows[:size]), following)

    async def replay(self, principal: Principal, job_id: str) -> Job:
        async with self._pool.transaction(principal.tenant) as connection:
            job = await _owned(connection, principal, job_id)
            if job is None:
                raise DeadLetterNotFound(job_id)
            if job["dead"]:
                await job_states.revive(connection, job)
            elif JobState(job["state"]).terminal:
                raise DeadLetterNotFound(job_id)
            return (await read_job(connection, job["job_id"]))[1]

    async def discard(self, principal: Principal, job_id: str) -> None:
        async with self._pool.transaction(principal.tenant) as connection:
            job = await _owned(connection, principal, job_id)
            if job is not None and job["discarded"]:
                return
            if job is None or not job["dead"]:
                raise DeadLetterNotFound(job_id)
            await connection.execute("UPDATE jobs SET discard_time = now() WHERE job_id = %(job_id)s", job)
            await drop_replacement(connection, job)

    async def reindex(self, principal: Principal, new: NewIngestion) -> Job:
        async with self._pool.transaction(principal.tenant) as connection:
            document = await locked_document(connection, principal, parsed_id(new.document_id))
            if document is None:
                raise DocumentNotFound(new.document_id)
            earlier = await job_of_request(connection, principal, new.request_id)
            if earlier is not None:
                job = (await read_job(connection, earlier))[1]
                if job.document_id != new.document_id:
                    raise InvalidField("request_id", "was used for another document; make one for each call")
                return job
            await _refuse_while_busy(connection, document)
            return (await read_job(connection, await _reindex(connection, principal, document, new)))[1]


async def _owned(connection: Connection, principal: Principal, job_id: str) -> dict[str, Any] | None:
    """A job of the principal's own, locked with its document."""
    named = {"job_id": parsed_id(job_id), "tenant": principal.tenant, "owner": principal.user}
    cursor = await connection.execute("SELECT document_id FROM jobs WHERE job_id = %(job_id)s", named)
    row = await cursor.fetchone()
    if row is None:
        return None
    await locked_document(connection, principal, row["document_id"])
    cursor = await connection.execute(
        f"""SELECT j.job_id, j.document_id, j.revision, j.state, {_DEAD} AS dead,
                   j.discard_time IS NOT NULL AS discarded
            FROM jobs j JOIN documents d USING (document_id)
            WHERE j.job_id = %(job_id)s AND d.tenant = %(tenant)s AND d.owner = %(owner)s""",
        named,
    )
    return await cursor.fetchone()


async def _refuse_while_busy(connection: Connection, document: Mapping[str, Any]) -> None:
    cursor = await connection.execute(
        """SELECT j.job_id, j.state, r.revision AS replacement
           FROM jobs j LEFT JOIN replacements r USING (document_id)
           WHERE (j.document_id, j.revision) = (%(document_id)s, %(newest_revision)s)""",
        document,
    )
    newest = await cursor.fetchone()
    assert newest is not None, "every revision has its job"
    document_id, job_id = str(document["document_id"]), str(newest["job_id"])
    if not JobState(newest["state"]).terminal:
        raise DocumentBusy(document_id, job_id, f"is being ingested by job {job_id}: wait for it, or cancel it")
    if newest["replacement"] is not None:
        problem = f"has a revision that failed: replay or discard the dead letter of job {job_id} first"
        raise DocumentBusy(document_id, job_id, problem)


async def _reindex(
    connection: Connection, principal: Principal, document: Mapping[str, Any], new: NewIngestion
) -> uuid.UUID:
    revision = document["newest_revision"] + 1
    cursor = await connection.execute(
        "SELECT results_from FROM jobs WHERE (document_id, revision) = (%(document_id)s, %(revision)s)", document
    )
    bytes_of = await cursor.fetchone()
    assert bytes_of is not None, "every revision has its job"
    serves = DocumentState(document["state"]) is DocumentState.READY
    await connection.execute(
        """UPDATE documents SET newest_revision = %(next)s, update_time = now(),
               revision = CASE WHEN %(serves)s THEN revision ELSE %(next)s END,
               state = CASE WHEN %(serves)s THEN state ELSE 'processing' END, failure_reason = NULL,
               failure_message = NULL
           WHERE document_id = %(document_id)s""",
        {**document, "next": revision, "serves": serves},
    )
    return await insert_job(
        connection,
        {
            **document,
            "tenant": principal.tenant,
            "revision": revision,
            "results_from": revision if new.anew else bytes_of["results_from"],
            "request_id": new.request_id,
            "trace_id": new.trace_id,
            "priority": new.priority.value,
        },
    )
