"""Jobs as workers see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.adapters.postgres import job_states
from server.adapters.postgres.claim_order import next_job
from server.adapters.postgres.events import tell
from server.adapters.postgres.fence import HOLDS, fenced, hold, refuse
from server.adapters.postgres.identifiers import parsed_id
from server.adapters.postgres.pool import Connection, PostgresPool
from server.adapters.postgres.rows import DOCUMENT_COLUMNS, JOB_COLUMNS, document_of, job_of
from server.application.job_ports import Busy
from server.domain.documents import Failure, JobState, Lease, Stage
from server.domain.events import JobProgress

_LOOK = """
    SELECT state,
           CASE state
               WHEN 'pending' THEN extract(epoch FROM due_time - now())
               WHEN 'running' THEN extract(epoch FROM lease_until - now())
               ELSE 0
           END::double precision AS wait_s
    FROM jobs WHERE job_id = %(job_id)s FOR UPDATE
"""


class PostgresJobLedger:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def claim(self, job_id: str, worker: str, lease_s: float) -> Lease | Busy | None:
        parameters = {"job_id": parsed_id(job_id), "worker": worker, "lease_s": lease_s}
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(_LOOK, parameters)
            row = await cursor.fetchone()
            if row is None or JobState(row["state"]).terminal:
                return None
            if row["wait_s"] > 0:
                return Busy(row["wait_s"])
            return await _lease(connection, await job_states.take(connection, parameters), parameters)

    async def claim_next(self, worker: str, lease_s: float) -> Lease | None:
        async with self._pool.spanning() as connection:
            parameters = {"job_id": await next_job(connection), "worker": worker, "lease_s": lease_s}
            if parameters["job_id"] is None:
                return None
            return await _lease(connection, await job_states.take(connection, parameters), parameters)

    async def extend(self, lease: Lease, lease_s: float) -> None:
        async with self._pool.transaction(lease.job.tenant, flushed=False) as connection:
            cursor = await connection.execute(
                f"UPDATE jobs SET lease_until = now() + make_interval(secs => %(lease_s)s) WHERE {HOLDS}",
                fenced(lease) | {"lease_s": lease_s},
            )
            if cursor.rowcount == 0:
                await refuse(connection, lease)

    async def progress(self, lease: Lease, stage: Stage, pages_done: int, pages_total: int) -> None:
        parameters = fenced(lease) | {"stage": stage.value, "pages_done": pages_done, "pages_total": pages_total}
        async with self._pool.transaction(lease.job.tenant, flushed=False) as connection:
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
                   WHERE document_id = %(document_id)s AND revision = %(revision)s
                     AND page_count <> %(pages_total)s""",
                parameters,
            )
            job = lease.job
            await tell(
                connection,
                JobProgress(job.document_id, job.revision, job.job_id, stage, pages_done, pages_total),
            )

    async def release(self, lease: Lease, failure: Failure, retry_in_s: float | None, *, counted: bool = True) -> None:
        async with self._pool.transaction(lease.job.tenant) as connection:
            await hold(connection, lease)
            if retry_in_s is None:
                await job_states.give_up(connection, fenced(lease), failure)
            else:
                await job_states.put_back(connection, fenced(lease), failure, retry_in_s, counted=counted)

    async def hand_back(self, lease: Lease) -> None:
        async with self._pool.transaction(lease.job.tenant) as connection:
            await hold(connection, lease)
            await job_states.hand_back(connection, fenced(lease))


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
    cursor = await connection.execute(
        "SELECT * FROM replacements WHERE (document_id, revision) = (%s, %s)", (job["document_id"], job["revision"])
    )
    replaced = document | (await cursor.fetchone() or {})
    return Lease(job_of(job), document_of(replaced), taken["lease_token"], replaced["blob_key"], taken["stalled_s"])
