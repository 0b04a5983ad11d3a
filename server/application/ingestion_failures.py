"""What follows from a failed attempt. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from server.domain.documents import Failure, Lease
from server.domain.errors import (
    DependencyUnavailable,
    DocumentTooLarge,
    EmbeddingMismatch,
    InvalidRequest,
    ModelNotInstalled,
    Overloaded,
    PersonalDataBlocked,
    PinakesError,
)

# No class of `server.domain.errors`: callers are told of an internal error.
DEFECT = "InternalError"


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """A document may fail `max_attempts` times. An outage of something else is waited out for `outage_patience_s`
    without counting; after that it counts, for some documents break what reads them."""

    max_attempts: int = 3
    first_retry_s: float = 2.0
    growth: float = 4.0
    longest_retry_s: float = 60.0
    outage_patience_s: float = 1_800.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`retry_in_s` None gives up; `counted` tells whether the attempt is one of the few."""

    failure: Failure
    retry_in_s: float | None
    counted: bool = True


def judge(error: Exception, lease: Lease, options: RetryOptions, spread: float) -> Verdict:
    """What to do after `error` ended the attempt of `lease`. `spread`, 0 to 1, keeps retries from coming in step."""
    failure = failure_of(error, lease)
    if isinstance(error, InvalidRequest | DocumentTooLarge | PersonalDataBlocked):
        return Verdict(failure, None)
    # A mismatch ends when this process has followed the alias of the embedding model.
    outage = isinstance(error, DependencyUnavailable | Overloaded | ModelNotInstalled | EmbeddingMismatch)
    if outage and lease.stalled_s < options.outage_patience_s:
        # Doubles the time that has passed since the outage began.
        wait_s = max(options.first_retry_s, lease.stalled_s, getattr(error, "retry_after_s", 0.0))
        return Verdict(failure, _spread(wait_s, spread, options), counted=False)
    if lease.job.attempt >= options.max_attempts:
        return Verdict(failure, None)
    wait_s = options.first_retry_s * options.growth ** (lease.job.attempt - 1)
    return Verdict(failure, _spread(wait_s, spread, options))


def failure_of(error: Exception, lease: Lease) -> Failure:
    if isinstance(error, PinakesError):
        return Failure(type(error).__name__, error.told)
    return Failure(DEFECT, f"an internal error; the server's log holds it under job {lease.job.job_id}")


def worn_out(lease: Lease, options: RetryOptions) -> Failure | None:
    """The failure of a job whose workers died in all its attempts, without a word; None while it has one left."""
    if lease.job.attempt <= options.max_attempts:
        return None
    return Failure(
        DEFECT, f"each of {options.max_attempts} attempts to read the document ended with the worker's death"
    )


def _spread(wait_s: float, spread: float, options: RetryOptions) -> float:
    return min(wait_s, options.longest_retry_s) * (0.75 + 0.5 * spread)
