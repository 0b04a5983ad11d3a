"""Cancels jobs, has documents ingested anew, and settles what failed."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from server.application.job_ports import Bell, DeadLetterPage, JobControl, NewIngestion, WantedLetters
from server.application.upload_document import MAX_REQUEST_ID_CHARACTERS, check_text
from server.domain.documents import Job, Priority, Stage
from server.domain.errors import InvalidField
from server.domain.principals import Principal

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReindexCommand:
    """A reindexing as the caller asked for it, not yet checked."""

    document_id: str
    first_stage: Stage | None = None
    request_id: str = ""
    trace_id: str = ""
    priority: Priority = Priority.BULK


class LookAfterJobs:
    def __init__(self, jobs: JobControl, outbox_bell: Bell) -> None:
        self._jobs = jobs
        self._outbox_bell = outbox_bell

    async def cancel(self, principal: Principal, job_id: str) -> Job:
        """The job as it is when it can no longer write anything; one that had ended before stays as it was. Raises
        JobNotFound."""
        job = await self._jobs.cancel(principal, job_id)
        _log.info("cancel_asked", job_id=job_id, state=job.state.value)
        return job

    async def reindex(self, principal: Principal, command: ReindexCommand) -> Job:
        """Raises InvalidField, DocumentNotFound, DocumentBusy."""
        if command.first_stage not in (None, Stage.EXTRACT, Stage.CHUNK):
            raise InvalidField("first_stage", "must be extract, chunk, or not set")
        if command.request_id:
            check_text("request_id", command.request_id, MAX_REQUEST_ID_CHARACTERS)
        anew = command.first_stage is Stage.EXTRACT
        job = await self._jobs.reindex(
            principal, NewIngestion(command.document_id, anew, command.request_id, command.trace_id, command.priority)
        )
        await self._outbox_bell.ring()
        return job

    async def dead_letters(self, principal: Principal, size: int, token: str, wanted: WantedLetters) -> DeadLetterPage:
        """Newest jobs first. 0 asks for the default size, a size over the limit for the limit. Raises InvalidField,
        InvalidPageToken."""
        if size < 0:
            raise InvalidField("page_size", "must not be negative")
        return await self._jobs.dead_letters(principal, min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE), token, wanted)

    async def replay(self, principal: Principal, job_id: str) -> Job:
        """Raises DeadLetterNotFound."""
        job = await self._jobs.replay(principal, job_id)
        await self._outbox_bell.ring()
        return job

    async def discard(self, principal: Principal, job_id: str) -> None:
        """Raises DeadLetterNotFound."""
        await self._jobs.discard(principal, job_id)
