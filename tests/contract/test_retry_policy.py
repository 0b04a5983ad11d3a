"""How long a client waits before it tries again."""

from __future__ import annotations

import math

import pytest
from tenacity import Future, RetryCallState, Retrying

from pinakes import RetryPolicy
from pinakes.errors import ErrorDetails, Overloaded

POLICY = RetryPolicy(attempts=4, initial_backoff_s=0.2, max_backoff_s=1.0)


def failed(
    attempt: int, retry_after_s: float | None = None, spent_s: float = 0.0, upcoming_s: float = 0.0
) -> RetryCallState:
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = attempt
    state.outcome = Future(attempt)
    state.outcome.set_exception(Overloaded("busy", ErrorDetails(retry_after_s=retry_after_s)))
    state.outcome_timestamp = state.start_time + spent_s
    state.upcoming_sleep = upcoming_s
    return state


@pytest.mark.parametrize(("attempt", "backoff_s"), [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.0), (10_000, 1.0)])
def test_the_wait_doubles_up_to_its_limit_and_half_of_it_is_chance(attempt: int, backoff_s: float) -> None:
    waits = [POLICY.controls(60)["wait"](failed(attempt)) for _ in range(50)]
    assert backoff_s / 2 <= min(waits) < max(waits) <= backoff_s


def test_what_the_server_asks_for_is_the_least_wait() -> None:
    waits = [POLICY.controls(60)["wait"](failed(1, retry_after_s=3.0)) for _ in range(50)]
    assert 3.0 <= min(waits) < max(waits) <= 3.1


@pytest.mark.parametrize(
    ("attempt", "spent_s", "upcoming_s", "stops"),
    [(3, 0.0, 0.1, False), (4, 0.0, 0.1, True), (1, 4.9, 0.05, False), (1, 4.9, 0.2, True), (1, 0.0, 5.0, True)],
)
def test_attempts_and_deadline_end_it(attempt: int, spent_s: float, upcoming_s: float, stops: bool) -> None:
    stop = POLICY.controls(5.0)["stop"]
    assert stop(failed(attempt, spent_s=spent_s, upcoming_s=upcoming_s)) is stops


def test_the_number_of_attempts_can_be_left_to_the_deadline() -> None:
    stop = POLICY.controls(5.0, math.inf)["stop"]
    assert stop(failed(1_000_000, upcoming_s=0.1)) is False
