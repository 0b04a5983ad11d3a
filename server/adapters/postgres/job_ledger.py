"""Jobs as workers see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.adapters.postgres.fence import HOLDS, fenced, hold, refuse
from server.adapters.postgres.identifiers import parsed_id
from server.adapters.postgres.pool import Connection, PostgresPool
from server.adapters.postgres.rows import DOCUMENT_COLUMNS, JOB_COLUMNS, document_of, job_of
from server.application.ports import Busy
from server.domain.documents import Failure, JobState, Lease, Stage

_LOOK = """
    SELECT state,
           CASE state
               WHEN 'pending' THEN extract(epoch FROM due_time - now())
               WHEN 'running' THEN extract(epoch FROM lease_until - now())
               ELSE 0
           END::double precision AS wait_s
    FROM jobs WHERE job_id = %(job_id)s FOR UPDATE
"""
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


class PostgresJobLedger:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def claim(self, job_id: str, worker: str, lease_s: float) -> Lease | Busy | None:
        parameters = {"job_id": parsed_id(job_id), "worker": worker, "lease_s": lease_s}
        async with self._pool.transaction() as connection:
            cursor = await connection.execute(_LOOK, parameters)
            row = await cursor.fetchone()
            if row is None or JobState(row["state"]).terminal:
                return None
            if row["wait_s"] > 0:
                return Busy(row["wait_s"])
            cursor = await connection.execute(_TAKE, parameters)
            taken = await cursor.fetchone()
            assert taken is not None, "locked above"
            return await _lease(connection, taken, parameters)

    async def extend(self, lease: Lease, lease_s: float) -> None:
        async with self._pool.transaction(flushed=False) as connection:
            cursor = await connection.execute(
                f"UPDATE jobs SET lease_until = now() + make_interval(secs => %(lease_s)s) WHERE {HOLDS}",
                fenced(lease) | {"lease_s": lease_s},
            )
            if cursor.rowcount == 0:
                await refuse(connection, lease)

    async def progress(self, lease: Lease, stage: Stage, pages_done: int, pages_total: int) -> None:
        parameters = fenced(lease) | {"stage": stage.value, "pages_done": pages_done, "pages_total": pages_total}
        async with self._pool.transaction(flushed=False) as connection:
            cursor = await connection.execute(
                f"""UPDATE jobs SET stage = %(stage)s, pages_done = %(pages_done)s, pages_total = %(pages_total)s,
                        update_time = now()
                    WHERE {HOLDS}""",
                parameters,
            )
            if cursor.rowcount == 0:
                await refuse(connection, lease)
            await connection.execute(
                """UPDATE documents SET page_count = %(pages_total)s, update_time = now()
                   WHERE document_id = %(document_id)s AND page_count <> %(pages_total)s""",
                parameters,
            )

    async def release(self, lease: Lease, failure: Failure, retry_in_s: float | None, *, counted: bool = True) -> None:
        parameters = fenced(lease) | {"reason": failure.reason, "message": failure.message}
        async with self._pool.transaction() as connection:
            await hold(connection, lease)
            if retry_in_s is None:
                await _give_up(connection, parameters)
            else:
                await _put_back(connection, parameters | {"retry_in_s": retry_in_s, "counted": counted})

    async def hand_back(self, lease: Lease) -> None:
        async with self._pool.transaction() as connection:
            await hold(connection, lease)
            await connection.execute(
                """UPDATE jobs SET state = 'pending', lease_until = NULL, attempt = attempt - 1, due_time = now(),
                       update_time = now()
                   WHERE job_id = %(job_id)s""",
                fenced(lease),
            )
            await _make_due(connection, fenced(lease))


async def _lease(connection: Connection, taken: Mapping[str, Any], parameters: Mapping[str, Any]) -> Lease:
    cursor = await connection.execute(f"SELECT {JOB_COLUMNS} FROM jobs j WHERE j.job_id = %(job_id)s", parameters)
    job = await cursor.fetchone()
    cursor = await connection.execute(
        f"SELECT {DOCUMENT_COLUMNS}, d.blob_key FROM documents d JOIN jobs j USING (document_id)"
        " WHERE j.job_id = %(job_id)s",
        parameters,
    )
    document = await cursor.fetchone()
    assert job is not None and document is not None, "locked by the claim"
    return Lease(job_of(job), document_of(document), taken["lease_token"], document["blob_key"], taken["stalled_s"])


async def _give_up(connection: Connection, parameters: dict[str, Any]) -> None:
    await connection.execute(
        """UPDATE jobs SET state = 'failed', lease_until = NULL, failure_reason = %(reason)s,
               failure_message = %(message)s, update_time = now()
           WHERE job_id = %(job_id)s""",
        parameters,
    )
    await connection.execute(
        """UPDATE documents SET state = 'failed', failure_reason = %(reason)s, failure_message = %(message)s,
               update_time = now()
           WHERE document_id = %(document_id)s""",
        parameters,
    )


async def _put_back(connection: Connection, parameters: dict[str, Any]) -> None:
    """What ended the attempt stays to be read until the next one begins."""
    await connection.execute(
        """UPDATE jobs SET state = 'pending', lease_until = NULL, failure_reason = %(reason)s,
               failure_message = %(message)s, attempt = attempt - CASE WHEN %(counted)s THEN 0 ELSE 1 END,
               stalled_since = CASE WHEN %(counted)s THEN stalled_since ELSE coalesce(stalled_since, now()) END,
               due_time = now() + make_interval(secs => %(retry_in_s)s), update_time = now()
           WHERE job_id = %(job_id)s""",
        parameters,
    )
    await _make_due(connection, parameters)


async def _make_due(connection: Connection, parameters: dict[str, Any]) -> None:
    await connection.execute(
        """INSERT INTO outbox (job_id, due_time) SELECT job_id, due_time FROM jobs WHERE job_id = %(job_id)s
           ON CONFLICT (job_id) DO UPDATE SET due_time = EXCLUDED.due_time""",
        parameters,
    )
