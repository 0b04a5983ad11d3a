"""Follows a job to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from server.application.document_ports import DocumentCatalog
from server.domain.deadline import Deadline
from server.domain.documents import Job
from server.domain.principals import Principal


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """A job is looked at after `shortest_wait_s`, and less and less often while nothing changes."""

    shortest_wait_s: float = 0.1
    longest_wait_s: float = 1.0
    slowing: float = 1.3


class WatchJob:
    def __init__(self, catalog: DocumentCatalog, options: WatchOptions) -> None:
        self._catalog = catalog
        self._options = options

    async def run(self, principal: Principal, job_id: str, deadline: Deadline) -> AsyncGenerator[Job, None]:
        """The job as it is, then after each change seen, up to and with its terminal state.

        Raises JobNotFound, StageDeadline, DependencyUnavailable.
        """
        seen: Job | None = None
        wait_s = self._options.shortest_wait_s
        while True:
            job = await self._catalog.job(principal, job_id)
            if job != seen:
                yield job
                seen, wait_s = job, self._options.shortest_wait_s
            if job.state.terminal:
                return
            await asyncio.sleep(min(wait_s, deadline.budget("watch")))
            wait_s = min(wait_s * self._options.slowing, self._options.longest_wait_s)
