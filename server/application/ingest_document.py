"""Turns a stored document into a searchable one, or into a failure with a reason: once, whatever breaks meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from server.application.background import trace_of
from server.application.ingestion_failures import RetryOptions, Verdict, judge, worn_out
from server.application.ingestion_stages import IngestionStages, StageOptions, patiently
from server.application.job_ports import Bell, Busy, JobLedger
from server.domain.documents import Lease
from server.domain.errors import DependencyUnavailable, JobCancelled, LeaseLost, Overloaded, PinakesError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """The lease is renewed three times in `lease_s`, and the queue is told at the same times: its redelivery time must
    not be shorter than `lease_s`."""

    lease_s: float = 15.0
    hand_back_s: float = 5.0
    retry: RetryOptions = field(default_factory=RetryOptions)
    stages: StageOptions = field(default_factory=StageOptions)


class IngestDocument:
    """`worker` names this process in the database, for people who look."""

    def __init__(
        self, ledger: JobLedger, stages: IngestionStages, log_bell: Bell, worker: str, options: IngestOptions
    ) -> None:
        self._ledger = ledger
        self._stages = stages
        self._log_bell = log_bell
        self._worker = worker
        self._options = options

    async def claim(self, job_id: str) -> Lease | Busy | None:
        """The job whose turn it is; if there is none, `job_id`, and then: None if it is settled, or somebody else will
        bring it again; Busy if it cannot be claimed yet. Raises DependencyUnavailable."""
        lease = await self._ledger.claim_next(self._worker, self._options.lease_s)
        return lease or await self._ledger.claim(job_id, self._worker, self._options.lease_s)

    async def work(self, lease: Lease, working: Callable[[], Awaitable[None]]) -> None:
        """One attempt at the job. `working` is called as long as it goes on. Cancelled, it hands the job back. Raises
        DependencyUnavailable when the database cannot be told how it ended."""
        log = _log.bind(
            job_id=lease.job.job_id,
            document_id=lease.document.document_id,
            revision=lease.job.revision,
            attempt=lease.job.attempt,
            trace_id=lease.job.trace_id,
        )
        try:
            await self._settle(lease, working, log)
        except asyncio.CancelledError:
            await asyncio.shield(self._hand_back(lease))
            raise
        except (LeaseLost, JobCancelled) as error:
            log.info("job_left", reason=type(error).__name__)

    async def _settle(
        self, lease: Lease, working: Callable[[], Awaitable[None]], log: structlog.stdlib.BoundLogger
    ) -> None:
        hopeless = worn_out(lease, self._options.retry)
        if hopeless is not None:
            log.error("job_failed", reason=hopeless.reason)
            await self._release(lease, Verdict(hopeless, None))
            return
        try:
            position = await self._while_held(lease, working)
        except (LeaseLost, JobCancelled):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the job ends with a reason
            verdict = judge(error, lease, self._options.retry, random.random())
            _tell(log, error, verdict)
            await self._release(lease, verdict)
        else:
            log.info("job_succeeded", log_position=position)
            await self._log_bell.ring()

    async def _while_held(self, lease: Lease, working: Callable[[], Awaitable[None]]) -> int:
        """The stages, cancelled as soon as the lease is lost."""
        work = asyncio.create_task(self._stages.run(lease))
        renewal = asyncio.create_task(self._renew(lease, working))
        try:
            await asyncio.wait((work, renewal), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await renewal
            return await work
        finally:
            for task in (work, renewal):
                task.cancel()
            await asyncio.gather(work, renewal, return_exceptions=True)

    async def _renew(self, lease: Lease, working: Callable[[], Awaitable[None]]) -> None:
        """Raises LeaseLost, JobCancelled. An outage is no reason to stop: nobody can take the lease meanwhile."""
        while True:
            await asyncio.sleep(self._options.lease_s / 3)
            for renew in (lambda: self._ledger.extend(lease, self._options.lease_s), working):
                try:
                    await renew()
                except (DependencyUnavailable, Overloaded) as error:
                    _log.warning("lease_not_renewed", job_id=lease.job.job_id, problem=str(error))

    async def _release(self, lease: Lease, verdict: Verdict) -> None:
        await patiently(
            lambda: self._ledger.release(lease, verdict.failure, verdict.retry_in_s, counted=verdict.counted),
            self._options.stages.storage_patience_s,
        )

    async def _hand_back(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(self._options.hand_back_s):
                await self._ledger.hand_back(lease)
        except (TimeoutError, PinakesError) as error:
            # The lease runs out by itself.
            _log.info("job_not_handed_back", job_id=lease.job.job_id, reason=type(error).__name__)


def _tell(log: structlog.stdlib.BoundLogger, error: Exception, verdict: Verdict) -> None:
    facts = {"reason": verdict.failure.reason, "retry_in_s": verdict.retry_in_s, "counted": verdict.counted}
    if isinstance(error, PinakesError):
        log.warning("attempt_failed", problem=str(error), **facts)
    else:
        log.error("attempt_failed", error=type(error).__name__, trace=trace_of(error), **facts)
