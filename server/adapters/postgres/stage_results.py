"""What the stages made, so that a restart goes on where it stopped."""

from __future__ import annotations

from server.adapters.postgres.fence import HOLDS, fenced, hold, refuse
from server.adapters.postgres.pool import PostgresPool
from server.domain.documents import Lease, Stage

# A result that was there already is no progress.
_SAVE = f"""
    WITH held AS (
        UPDATE jobs
        SET stalled_since = NULL,
            progressed = progressed OR NOT EXISTS (
                SELECT 1 FROM stage_results r
                WHERE r.document_id = jobs.document_id AND r.revision = jobs.revision
                  AND r.stage = %(stage)s AND r.inputs_hash = %(inputs_hash)s
            )
        WHERE {HOLDS} RETURNING document_id, revision
    )
    INSERT INTO stage_results (document_id, revision, stage, inputs_hash, result)
    SELECT document_id, revision, %(stage)s, %(inputs_hash)s, %(result)s FROM held
    ON CONFLICT (document_id, revision, stage, inputs_hash) DO UPDATE SET result = EXCLUDED.result
"""


class PostgresStageResults:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def load(self, lease: Lease, stage: Stage) -> dict[str, bytes]:
        async with self._pool.transaction(lease.job.tenant) as connection:
            await hold(connection, lease)
            cursor = await connection.execute(
                """SELECT r.inputs_hash, r.result FROM stage_results r JOIN jobs j USING (document_id)
                   WHERE j.job_id = %(job_id)s AND r.stage = %(stage)s
                     AND r.revision BETWEEN j.results_from AND j.revision""",
                fenced(lease) | {"stage": stage.value},
            )
            return {row["inputs_hash"]: bytes(row["result"]) async for row in cursor}

    async def forget(self, lease: Lease) -> None:
        async with self._pool.transaction(lease.job.tenant) as connection:
            await hold(connection, lease)
            await connection.execute(
                """DELETE FROM stage_results r USING jobs j
                   WHERE j.job_id = %(job_id)s AND r.document_id = j.document_id
                     AND r.revision BETWEEN j.results_from AND j.revision""",
                fenced(lease),
            )

    async def save(self, lease: Lease, stage: Stage, inputs_hash: str, result: bytes) -> None:
        parameters = fenced(lease) | {"stage": stage.value, "inputs_hash": inputs_hash, "result": result}
        async with self._pool.transaction(lease.job.tenant, flushed=False) as connection:
            cursor = await connection.execute(_SAVE, parameters)
            if cursor.rowcount == 0:
                await refuse(connection, lease)
