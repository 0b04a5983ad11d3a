"""Takes jobs from the queue and works them off."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from server.application.background import repeat, trace_of
from server.application.ingest_document import IngestDocument
from server.application.job_ports import Busy, Delivery, WorkQueue
from server.domain.documents import Lease
from server.domain.errors import PinakesError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """`parallel_documents` bounds how many jobs are in hand; none is fetched that could not start at once."""

    parallel_documents: int = 2
    fetch_s: float = 5.0
    after_outage_s: float = 5.0


class WorkOffQueue:
    def __init__(self, queue: WorkQueue, ingest: IngestDocument, options: WorkerOptions) -> None:
        self._queue = queue
        self._ingest = ingest
        self._options = options
        self._places = asyncio.Semaphore(options.parallel_documents)

    async def run(self) -> None:
        """Until cancelled; jobs in hand are handed back then."""
        async with asyncio.TaskGroup() as group:
            await repeat("fetch_work", lambda: self._start_next(group))

    async def _start_next(self, group: asyncio.TaskGroup) -> None:
        await self._places.acquire()
        delivery = None
        try:
            delivery = await self._queue.fetch(self._options.fetch_s)
        finally:
            if delivery is None:
                self._places.release()
        if delivery is not None:
            group.create_task(self._work(delivery)).add_done_callback(lambda _: self._places.release())

    async def _work(self, delivery: Delivery) -> None:
        """Never fails: whatever happens to a job, PostgreSQL knows of it and brings it back."""
        job_id, again_in_s = delivery.job_id, None
        try:
            claimed = await self._ingest.claim(job_id)
            if isinstance(claimed, Busy):
                again_in_s = claimed.retry_in_s
            elif claimed is not None:
                job_id = claimed.job.job_id
                await self._work_on(claimed, delivery)
        except asyncio.CancelledError:
            await asyncio.shield(self._settle(delivery, 0.0))
            raise
        except PinakesError as error:
            _log.warning("job_not_settled", job_id=job_id, problem=str(error))
            again_in_s = self._options.after_outage_s
        except Exception as error:  # noqa: BLE001 - a defect must not stop the other jobs
            _log.error("job_broke", job_id=job_id, error=type(error).__name__, trace=trace_of(error))
            again_in_s = self._options.after_outage_s
        await self._settle(delivery, again_in_s)

    async def _work_on(self, lease: Lease, delivery: Delivery) -> None:
        if lease.job.job_id == delivery.job_id:
            await self._ingest.work(lease, delivery.working)
            return
        # It was another job's turn: that one's own delivery will find this one. Should deliveries ever be fewer than
        # jobs, the sweep makes up for it.
        await self._settle(delivery, None)
        await self._ingest.work(lease, _unheard)

    async def _settle(self, delivery: Delivery, again_in_s: float | None) -> None:
        try:
            if again_in_s is None:
                await delivery.done()
            else:
                await delivery.again(again_in_s)
        except PinakesError as error:
            # It comes again by itself, and finds the job settled.
            _log.warning("delivery_not_settled", job_id=delivery.job_id, problem=str(error))


async def _unheard() -> None:
    """A delivery that is settled is not asked to wait any longer."""
