"""How long a client waits before it tries again."""

from __future__ import annotations

import math

import pytest

from pinakes import RetryPolicy
from pinakes.errors import ErrorDetails, InvalidField, Overloaded

POLICY = RetryPolicy(attempts=4, initial_backoff_s=0.2, max_backoff_s=1.0)


def busy(retry_after_s: float | None = None) -> Overloaded:
    return Overloaded("busy", ErrorDetails(retry_after_s=retry_after_s))


def waits_s(attempt: int, retry_after_s: float | None = None) -> list[float]:
    """Of many clients, which have all the time."""
    waits = [POLICY.wait_s(busy(retry_after_s), attempt, 60.0, math.inf) for _ in range(50)]
    assert None not in waits
    return [wait_s or 0.0 for wait_s in waits]


@pytest.mark.parametrize(("attempt", "backoff_s"), [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.0), (10_000, 1.0)])
def test_the_wait_doubles_up_to_its_limit_and_half_of_it_is_chance(attempt: int, backoff_s: float) -> None:
    waits = waits_s(attempt)
    assert backoff_s / 2 <= min(waits) < max(waits) <= backoff_s


def test_what_the_server_asks_for_is_the_least_wait() -> None:
    waits = waits_s(1, retry_after_s=3.0)
    assert 3.0 <= min(waits) < max(waits) <= 3.1


@pytest.mark.parametrize(
    ("attempt", "retry_after_s", "left_s", "ends"),
    [(3, None, 5.0, False), (4, None, 5.0, True), (1, None, 0.21, False), (1, None, 0.09, True), (1, 5.0, 5.0, True)],
)
def test_attempts_and_deadline_end_it(attempt: int, retry_after_s: float | None, left_s: float, ends: bool) -> None:
    assert (POLICY.wait_s(busy(retry_after_s), attempt, left_s) is None) is ends


def test_the_number_of_attempts_can_be_the_calls_own_or_left_to_the_deadline() -> None:
    assert POLICY.wait_s(busy(), 1, 5.0, 1) is None
    assert POLICY.wait_s(busy(), 1_000_000, 5.0, math.inf) is not None


def test_what_would_fail_again_is_not_tried_again() -> None:
    assert POLICY.wait_s(InvalidField("no such thing", ErrorDetails()), 1, 60.0) is None
