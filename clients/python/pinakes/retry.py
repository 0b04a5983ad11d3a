"""When a failed call is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from pinakes.errors import PinakesError

if TYPE_CHECKING:
    from tenacity import RetryCallState


class Controls(TypedDict):
    """The arguments of `tenacity.Retrying` and `tenacity.AsyncRetrying`."""

    retry: Callable[[RetryCallState], bool]
    wait: Callable[[RetryCallState], float]
    stop: Callable[[RetryCallState], bool]
    reraise: bool


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

    def controls(self, budget_s: float, attempts: float | None = None) -> Controls:
        """For a call that has `budget_s` seconds, all attempts and waits together. `attempts` overrides the policy's;
        `math.inf` leaves only the budget."""
        most = self.attempts if attempts is None else attempts

        def stop(state: RetryCallState) -> bool:
            spent_s = (state.seconds_since_start or 0.0) + state.upcoming_sleep
            return state.attempt_number >= most or spent_s >= budget_s

        return Controls(retry=_retryable, wait=self._wait_s, stop=stop, reraise=True)

    def _wait_s(self, state: RetryCallState) -> float:
        half_s = min(self.max_backoff_s, self.initial_backoff_s * 2.0 ** min(state.attempt_number - 1, 30)) / 2
        error = _error(state)
        asked_s = error.retry_after_s if isinstance(error, PinakesError) else None
        return (half_s if asked_s is None else asked_s) + random.uniform(0, half_s)


def _retryable(state: RetryCallState) -> bool:
    error = _error(state)
    return isinstance(error, PinakesError) and error.retryable


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
