"""How the end of a job is told."""

from __future__ import annotations

from pinakes.errors import IngestionFailed, PinakesError
from pinakes.results import Job, JobState


def succeeded(job: Job | None) -> Job:
    """The job, if it was seen to succeed. Raises IngestionFailed, or PinakesError if no state came."""
    if job is None or not job.done:
        raise PinakesError("the job's stream ended before the job did")
    if job.state is not JobState.SUCCEEDED:
        raise IngestionFailed(job)
    return job
