"""How a job goes from one state to another: the only statements that write `jobs.state`. ARCHITECTURE.md has a table.

Each runs in a transaction of the caller's, which has locked the job. Where the document never was searchable, its state
follows; where it is, an older revision goes on serving, and nothing of the document changes until `succeed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.adapters.postgres.events import tell
from server.adapters.postgres.pool import Connection
from server.domain.documents import Failure, Stage
from server.domain.errors import PinakesError
from server.domain.events import DocumentFailed, DocumentProcessed

# Of a worker that dies, all jobs lose their leases, whichever was to blame. The one that got on was not: its attempt is
# begun anew instead of counted. A bound, because a job may also end its workers slowly.
_MOST_SPARED = 20
_TAKE = """
    UPDATE jobs
    SET attempt = attempt + CASE WHEN {spared} THEN 0 ELSE 1 END,
        spared = spared + CASE WHEN {spared} THEN 1 ELSE 0 END,
        state = 'running', progressed = false, lease_token = lease_token + 1, worker = %(worker)s,
        lease_until = now() + make_interval(secs => %(lease_s)s), failure_reason = NULL, failure_message = NULL,
        update_time = now()
    WHERE job_id = %(job_id)s
    RETURNING lease_token, document_id,
              coalesce(extract(epoch FROM now() - stalled_since), 0)::double precision AS stalled_s
""".format(spared=f"state = 'running' AND progressed AND spared < {_MOST_SPARED}")


async def take(connection: Connection, job: Mapping[str, Any]) -> dict[str, Any]:
    """PENDING, or RUNNING without a live lease → RUNNING, with a lease of `lease_s` for `worker`."""
    cursor = await connection.execute(_TAKE, job)
    taken = await cursor.fetchone()
    assert taken is not None, "locked by the caller"
    return taken


async def hand_back(connection: Connection, job: Mapping[str, Any]) -> None:
    """RUNNING → PENDING, due at once: the attempt was only interrupted, and is as if it had not begun."""
    await connection.execute(
        """UPDATE jobs SET state = 'pending', lease_until = NULL, attempt = attempt - 1, due_time = now(),
               update_time = now()
           WHERE job_id = %(job_id)s""",
        job,
    )
    await _make_due(connection, job)


async def put_back(
    connection: Connection, job: Mapping[str, Any], failure: Failure, retry_in_s: float, *, counted: bool
) -> None:
    """RUNNING → PENDING, due in `retry_in_s`. What ended the attempt stays to be read until the next one begins."""
    await connection.execute(
        """UPDATE jobs SET state = 'pending', lease_until = NULL, failure_reason = %(reason)s,
               failure_message = %(message)s, attempt = attempt - CASE WHEN %(counted)s THEN 0 ELSE 1 END,
               stalled_since = CASE WHEN %(counted)s THEN stalled_since ELSE coalesce(stalled_since, now()) END,
               due_time = now() + make_interval(secs => %(retry_in_s)s), update_time = now()
           WHERE job_id = %(job_id)s""",
        {**job, **_told(failure), "retry_in_s": retry_in_s, "counted": counted},
    )
    await _make_due(connection, job)


async def succeed(connection: Connection, job: Mapping[str, Any], pages: int, chunks: int, position: int) -> None:
    """RUNNING → SUCCEEDED; the document → READY with this revision, whose chunks were logged up to `position`."""
    parameters = {**job, "pages": pages, "chunks": chunks, "position": position, "kept": Stage.EXTRACT.value}
    await connection.execute(
        """UPDATE documents SET previous_revision = CASE WHEN state = 'ready' THEN revision END,
               previous_groups = groups, previous_users = users, previous_tenant_wide = tenant_wide
           WHERE document_id = %(document_id)s""",
        parameters,
    )
    await connection.execute(
        """UPDATE documents d SET name = r.name, media_type = r.media_type, size_bytes = r.size_bytes,
               sha256 = r.sha256, blob_key = r.blob_key, tags = r.tags, groups = r.groups, users = r.users,
               tenant_wide = r.tenant_wide, access_version = access_version + 1
           FROM replacements r
           WHERE d.document_id = %(document_id)s AND (r.document_id, r.revision) = (d.document_id, %(revision)s)""",
        parameters,
    )
    await connection.execute("DELETE FROM replacements WHERE document_id = %(document_id)s", parameters)
    await connection.execute(
        """UPDATE documents SET state = 'ready', page_count = %(pages)s, chunk_count = %(chunks)s,
               revision = %(revision)s, log_position = %(position)s, swap_time = clock_timestamp(),
               failure_reason = NULL, failure_message = NULL, update_time = now()
           WHERE document_id = %(document_id)s""",
        parameters,
    )
    await connection.execute(
        """UPDATE jobs SET state = 'succeeded', stage = 'commit', chunk_count = %(chunks)s, log_position = %(position)s,
               lease_until = NULL, stalled_since = NULL, end_time = now(), update_time = now()
           WHERE job_id = %(job_id)s""",
        parameters,
    )
    document_id, job_id = str(job["document_id"]), str(job["job_id"])
    await tell(connection, DocumentProcessed(document_id, job["revision"], job_id, pages, chunks, position))
    # The pages' text is worth keeping: another way to chunk or embed need not read the document again.
    await connection.execute(
        """DELETE FROM stage_results WHERE document_id = %(document_id)s AND (stage <> %(kept)s OR revision <
               (SELECT results_from FROM jobs WHERE job_id = %(job_id)s))""",
        parameters,
    )


async def give_up(connection: Connection, job: Mapping[str, Any], failure: Failure) -> None:
    """RUNNING → FAILED, which is a dead letter."""
    await _end(connection, job, "failed", failure)


async def cancel(connection: Connection, job: Mapping[str, Any], error: PinakesError) -> None:
    """PENDING, RUNNING → CANCELLED because of `error`. The lease's token grows, so that its holder is refused."""
    await _end(connection, job, "cancelled", Failure(type(error).__name__, error.told))
    await connection.execute("DELETE FROM outbox WHERE job_id = %(job_id)s", job)


async def revive(connection: Connection, job: Mapping[str, Any]) -> None:
    """FAILED → PENDING, due at once, with all its attempts before it and what its stages made."""
    await connection.execute(
        """UPDATE jobs SET state = 'pending', attempt = 0, spared = 0, progressed = false, stalled_since = NULL,
               failure_reason = NULL, failure_message = NULL, end_time = NULL, due_time = now(), update_time = now()
           WHERE job_id = %(job_id)s""",
        job,
    )
    await connection.execute(
        """UPDATE documents SET state = 'processing', failure_reason = NULL, failure_message = NULL, update_time = now()
           WHERE document_id = %(document_id)s AND revision = %(revision)s""",
        job,
    )
    await _make_due(connection, job)


async def _end(connection: Connection, job: Mapping[str, Any], state: str, failure: Failure) -> None:
    parameters = {**job, **_told(failure), "state": state}
    await connection.execute(
        """UPDATE jobs SET state = %(state)s, lease_token = lease_token + 1, lease_until = NULL, end_time = now(),
               failure_reason = %(reason)s, failure_message = %(message)s, update_time = now()
           WHERE job_id = %(job_id)s""",
        parameters,
    )
    await connection.execute(
        """UPDATE documents SET state = 'failed', failure_reason = %(reason)s, failure_message = %(message)s,
               update_time = now()
           WHERE document_id = %(document_id)s AND revision = %(revision)s""",
        parameters,
    )
    document_id, job_id = str(job["document_id"]), str(job["job_id"])
    await tell(connection, DocumentFailed(document_id, job["revision"], job_id, failure.reason))


async def _make_due(connection: Connection, job: Mapping[str, Any]) -> None:
    await connection.execute(
        """INSERT INTO outbox (job_id, due_time) SELECT job_id, due_time FROM jobs WHERE job_id = %(job_id)s
           ON CONFLICT (job_id) DO UPDATE SET due_time = EXCLUDED.due_time""",
        job,
    )


def _told(failure: Failure) -> dict[str, str]:
    return {"reason": failure.reason, "message": failure.message}
