"""Whose turn it is, when a worker has a place for a job.

What a dead worker had begun comes first. Then interactive jobs come before bulk ones, but every `_BULK_EVERY`th turn it
is the other way round: no number of interactive jobs keeps bulk ones from going on. Among the jobs of one priority,
tenants take turns: first the one with the fewest jobs at work, then the one whose last turn is longest ago, so that no
number of documents of one tenant holds another one up. A tenant's own jobs come as they fell due.
"""

from __future__ import annotations

import uuid
from typing import Any

from server.adapters.postgres.pool import Connection
from server.domain.documents import Priority

_BULK_EVERY = 4

# Skips what another worker, or a write, has in hand.
_ABANDONED = """
    SELECT job_id FROM jobs WHERE state = 'running' AND lease_until < now()
    ORDER BY lease_until LIMIT 1 FOR UPDATE SKIP LOCKED
"""
# Jumps from tenant to tenant through the index: its cost grows with the tenants that wait, not with their jobs.
_TENANTS = """
    WITH RECURSIVE waiting AS (
        (SELECT tenant, due_time FROM jobs WHERE state = 'pending' AND priority = %(priority)s
         ORDER BY tenant, due_time LIMIT 1)
        UNION ALL
        SELECT following.tenant, following.due_time FROM waiting CROSS JOIN LATERAL (
            SELECT tenant, due_time FROM jobs
            WHERE state = 'pending' AND priority = %(priority)s AND tenant > waiting.tenant
            ORDER BY tenant, due_time LIMIT 1
        ) following
    )
    SELECT tenant FROM waiting
    LEFT JOIN tenant_turns USING (tenant)
    LEFT JOIN (SELECT tenant, count(*) AS jobs FROM jobs WHERE state = 'running' GROUP BY tenant) running USING (tenant)
    WHERE due_time <= now()
    ORDER BY coalesce(running.jobs, 0), coalesce(tenant_turns.turn, 0), tenant
"""
_FIRST = """
    SELECT job_id FROM jobs
    WHERE state = 'pending' AND priority = %(priority)s AND tenant = %(tenant)s AND due_time <= now()
    ORDER BY due_time, job_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""


async def next_job(connection: Connection) -> uuid.UUID | None:
    """A job that can be claimed now, locked; None if nothing is due, or what is due is in hand."""
    abandoned = await _one(connection, _ABANDONED, {})
    if abandoned is not None:
        return _id_of(abandoned)
    # Claims go one after another, or two at a time would take their turns from one and the same state.
    turns = await _one(connection, "SELECT turn FROM claim_turns FOR UPDATE", {})
    assert turns is not None, "the schema holds this row"
    turn = turns["turn"] + 1
    order = (Priority.INTERACTIVE, Priority.BULK) if turn % _BULK_EVERY else (Priority.BULK, Priority.INTERACTIVE)
    for priority in order:
        job_id = await _of_priority(connection, priority, turn)
        if job_id is not None:
            await connection.execute("UPDATE claim_turns SET turn = %s", (turn,))
            return job_id
    return None


async def _of_priority(connection: Connection, priority: Priority, turn: int) -> uuid.UUID | None:
    wanted = {"priority": priority.value, "turn": turn}
    cursor = await connection.execute(_TENANTS, wanted)
    for tenant in [row["tenant"] for row in await cursor.fetchall()]:
        row = await _one(connection, _FIRST, wanted | {"tenant": tenant})
        if row is not None:
            await connection.execute(
                """INSERT INTO tenant_turns (tenant, turn) VALUES (%(tenant)s, %(turn)s)
                   ON CONFLICT (tenant) DO UPDATE SET turn = EXCLUDED.turn""",
                wanted | {"tenant": tenant},
            )
            return _id_of(row)
    return None


def _id_of(row: dict[str, Any]) -> uuid.UUID:
    job_id: uuid.UUID = row["job_id"]
    return job_id


async def _one(connection: Connection, query: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    cursor = await connection.execute(query.encode(), parameters)
    return await cursor.fetchone()
