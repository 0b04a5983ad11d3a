"""From rows to the domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.domain.documents import Document, DocumentState, Failure, Job, JobState, Priority, Stage
from server.domain.principals import AccessList, Principal

# Every query that reads a document or a job names its columns through these two.
DOCUMENT_COLUMNS = """
    d.document_id, d.tenant, d.owner, d.groups, d.users, d.tenant_wide, d.access_version, d.name, d.media_type,
    d.size_bytes, d.sha256, d.tags,
    d.state, d.failure_reason, d.failure_message, d.page_count, d.chunk_count, d.revision, d.newest_revision,
    d.create_time, d.update_time, j.job_id
"""
JOB_COLUMNS = """
    j.job_id, j.tenant, j.document_id, j.revision, j.state, j.stage, j.pages_done, j.pages_total, j.attempt,
    j.chunk_count, j.log_position, j.failure_reason, j.failure_message, j.create_time, j.update_time, j.end_time,
    j.trace_id, j.priority
"""

# The condition under which a principal sees a document `d`. `&&` with an empty list is false: no groups, no documents
# of groups. Its parameters are those of `seeing`.
VISIBLE = """
    d.tenant = %(tenant)s
    AND (d.owner = %(user)s OR d.tenant_wide OR %(user)s = ANY(d.users) OR d.groups && %(groups)s::text[])
"""


def seeing(principal: Principal) -> dict[str, Any]:
    return {"tenant": principal.tenant, "user": principal.user, "groups": sorted(principal.groups)}


def document_of(row: Mapping[str, Any]) -> Document:
    return Document(
        document_id=str(row["document_id"]),
        tenant=row["tenant"],
        name=row["name"],
        media_type=row["media_type"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        state=DocumentState(row["state"]),
        failure=_failure_of(row),
        page_count=row["page_count"],
        chunk_count=row["chunk_count"],
        revision=row["revision"],
        newest_revision=row["newest_revision"],
        tags=tuple(row["tags"]),
        access=AccessList(row["owner"], tuple(row["groups"]), row["tenant_wide"], tuple(row["users"])),
        create_time=row["create_time"],
        update_time=row["update_time"],
        job_id=str(row["job_id"]),
        access_version=row["access_version"],
    )


def job_of(row: Mapping[str, Any]) -> Job:
    return Job(
        job_id=str(row["job_id"]),
        document_id=str(row["document_id"]),
        tenant=row["tenant"],
        revision=row["revision"],
        state=JobState(row["state"]),
        stage=None if row["stage"] is None else Stage(row["stage"]),
        pages_done=row["pages_done"],
        pages_total=row["pages_total"],
        attempt=row["attempt"],
        chunk_count=row["chunk_count"],
        log_position=row["log_position"],
        failure=_failure_of(row),
        create_time=row["create_time"],
        update_time=row["update_time"],
        end_time=row["end_time"],
        trace_id=row["trace_id"],
        priority=Priority(row["priority"]),
    )


def _failure_of(row: Mapping[str, Any]) -> Failure | None:
    reason = row["failure_reason"]
    return None if reason is None else Failure(reason, row["failure_message"])
