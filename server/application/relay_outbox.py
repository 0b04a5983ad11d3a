"""Tells the queue of the jobs that are due."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from server.application.background import repeat
from server.application.job_ports import Bell, Outbox, WorkQueue

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """`unanswered_s`: a job that is pending so long after its publication is published again; the queue drops what it
    still holds."""

    batch: int = 100
    poll_s: float = 0.5
    requeue_every_s: float = 5.0
    unanswered_s: float = 60.0


class RelayOutbox:
    """Any number may run. The queue may forget everything: what is abandoned becomes due again."""

    def __init__(self, outbox: Outbox, queue: WorkQueue, bell: Bell, options: RelayOptions) -> None:
        self._outbox = outbox
        self._queue = queue
        self._bell = bell
        self._options = options

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(repeat("relay_outbox", self._relay))
            group.create_task(repeat("requeue_abandoned", self._requeue))

    async def _relay(self) -> None:
        while await self._outbox.relay(self._queue, self._options.batch):
            pass
        await self._bell.wait(self._options.poll_s)

    async def _requeue(self) -> None:
        abandoned = await self._outbox.requeue_abandoned(self._options.batch, self._options.unanswered_s)
        if abandoned:
            _log.info("jobs_requeued", jobs=abandoned)
            await self._bell.ring()
        await asyncio.sleep(self._options.requeue_every_s)
