"""Publications that are due."""

from __future__ import annotations

import asyncio

from server.adapters.postgres.pool import PostgresPool
from server.application.job_ports import WorkQueue
from server.domain.errors import DependencyUnavailable

# Everybody else locks a job before its outbox entry. Here it is the other way round, so nothing here waits for a job:
# one that is locked is being acted on, and skipping it costs at worst a needless publication.

# Entries that another relay has in hand are skipped, so any number of relays may run.
_DUE = """
    SELECT outbox_id, tenant, job_id FROM outbox WHERE due_time <= now()
    ORDER BY due_time, outbox_id LIMIT %s FOR UPDATE SKIP LOCKED
"""
_SENT = """
    WITH sent AS (
        DELETE FROM outbox WHERE outbox_id = ANY(%s) RETURNING job_id
    ), unlocked AS (
        SELECT job_id FROM jobs WHERE job_id IN (SELECT job_id FROM sent) FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE jobs SET publish_time = now() FROM unlocked WHERE jobs.job_id = unlocked.job_id
"""
_REQUEUE = """
    WITH abandoned AS (
        SELECT job_id, tenant FROM jobs
        WHERE (
                  (state = 'running' AND lease_until < now())
                  OR (state = 'pending' AND due_time <= now()
                      AND coalesce(publish_time, create_time) < now() - make_interval(secs => %(unanswered_s)s))
              )
              AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.job_id = jobs.job_id)
        ORDER BY job_id LIMIT %(limit)s
        FOR KEY SHARE OF jobs SKIP LOCKED
    )
    INSERT INTO outbox (job_id, tenant) SELECT job_id, tenant FROM abandoned
    ON CONFLICT (job_id) DO NOTHING
"""


class PostgresOutbox:
    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    async def relay(self, queue: WorkQueue, limit: int) -> int:
        """Raises DependencyUnavailable when the queue took not all of them; those it took are marked all the same."""
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(_DUE, (limit,))
            due = [(row["outbox_id"], row["tenant"], str(row["job_id"])) for row in await cursor.fetchall()]
            if not due:
                return 0
            # The outbox id tells a repeat of this publication from a later one of the same job.
            outcomes = await asyncio.gather(
                *(queue.publish(tenant, job_id, f"{job_id}.{outbox_id}") for outbox_id, tenant, job_id in due),
                return_exceptions=True,
            )
            sent = [outbox_id for (outbox_id, *_), outcome in zip(due, outcomes, strict=True) if outcome is None]
            await connection.execute(_SENT, (sent,))
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                if isinstance(outcome, DependencyUnavailable):
                    continue
                raise outcome
        if len(sent) < len(due):
            raise next(outcome for outcome in outcomes if isinstance(outcome, DependencyUnavailable))
        return len(sent)

    async def requeue_abandoned(self, limit: int, unanswered_s: float) -> int:
        async with self._pool.spanning() as connection:
            cursor = await connection.execute(_REQUEUE, {"limit": limit, "unanswered_s": unanswered_s})
            return cursor.rowcount
