"""Keeps late workers out: every write of theirs names the token of its lease."""

from __future__ import annotations

import uuid
from typing import Any

from server.adapters.postgres.identifiers import parsed_id
from server.adapters.postgres.pool import Connection
from server.domain.documents import JobState, Lease
from server.domain.errors import JobCancelled, LeaseLost

# The condition under which a lease holds; its parameters are those of `fenced`.
HOLDS = "job_id = %(job_id)s AND lease_token = %(lease_token)s AND state = 'running'"


def fenced(lease: Lease) -> dict[str, Any]:
    """Parameters that name the job, its document and the lease."""
    return {
        "job_id": _uuid(lease.job.job_id),
        "document_id": _uuid(lease.document.document_id),
        "revision": lease.job.revision,
        "lease_token": lease.token,
    }


async def hold(connection: Connection, lease: Lease) -> None:
    """Locks the job until the transaction ends. Raises LeaseLost, JobCancelled."""
    cursor = await connection.execute(f"SELECT 1 FROM jobs WHERE {HOLDS} FOR UPDATE", fenced(lease))
    if await cursor.fetchone() is None:
        await refuse(connection, lease)


async def refuse(connection: Connection, lease: Lease) -> None:
    """Raises what happened to the lease."""
    cursor = await connection.execute("SELECT state FROM jobs WHERE job_id = %(job_id)s", fenced(lease))
    row = await cursor.fetchone()
    if row is not None and JobState(row["state"]) is JobState.CANCELLED:
        raise JobCancelled(lease.job.job_id)
    raise LeaseLost(lease.job.job_id)


def _uuid(text: str) -> uuid.UUID:
    parsed = parsed_id(text)
    if parsed is None:
        raise ValueError(f"{text!r} is no id")
    return parsed
