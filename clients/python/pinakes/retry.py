"""When a failed call is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pinakes.errors import PinakesError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Errors that say `retryable` are tried again, at most `attempts` times in all, never past the deadline.

    The n-th wait is half fixed and half random (after Brooker, "Exponential Backoff And Jitter", AWS 2015) of
    `initial_backoff_s * 2**(n - 1)`, at most `max_backoff_s`. A delay that the server asks for takes the place of the
    fixed half. `attempts=1` never retries.
    """

    attempts: int = 5
    initial_backoff_s: float = 0.2
    max_backoff_s: float = 5.0

    def wait_s(self, error: PinakesError, attempt: int, left_s: float, attempts: float | None = None) -> float | None:
        """How long to wait behind the failure of the `attempt`-th attempt (1 is the first) with `left_s` seconds left;
        None: it is not tried again. `attempts` overrides the policy's; `math.inf` leaves only the time."""
        if not error.retryable or attempt >= (self.attempts if attempts is None else attempts):
            return None
        half_s = min(self.max_backoff_s, self.initial_backoff_s * 2.0 ** min(attempt - 1, 30)) / 2
        asked_s = half_s if error.retry_after_s is None else error.retry_after_s
        wait_s = asked_s + random.uniform(0, half_s)
        return wait_s if wait_s < left_s else None
