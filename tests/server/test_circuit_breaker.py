"""When calls are let through."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.adapters.circuit_breaker import BreakerOptions, CircuitBreaker
from server.application.generation_chain import Attempt
from server.domain.generation import BreakerState

NEVER = BreakerOptions(failures=2, pause_s=3_600.0)
AT_ONCE = BreakerOptions(failures=2, pause_s=0.0)


def admitted(breaker: CircuitBreaker) -> Attempt:
    attempt = breaker.admit()
    assert attempt is not None
    return attempt


def state(breaker: CircuitBreaker) -> BreakerState:
    return breaker.state


def opened(options: BreakerOptions) -> CircuitBreaker:
    breaker = CircuitBreaker("some", options)
    for _ in range(options.failures):
        admitted(breaker).failed()
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not() -> None:
    breaker = CircuitBreaker("some", NEVER)
    for outcome in ("failed", "succeeded", "failed", "undecided"):
        getattr(admitted(breaker), outcome)()
        assert state(breaker) is BreakerState.CLOSED
    admitted(breaker).failed()
    assert state(breaker) is BreakerState.OPEN
    assert breaker.admit() is None


def test_one_call_at_a_time_decides_after_the_pause() -> None:
    breaker = opened(AT_ONCE)
    trial = admitted(breaker)
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.admit() is None
    trial.undecided()
    trial = admitted(breaker)
    trial.failed()
    assert state(breaker) is BreakerState.OPEN
    admitted(breaker).succeeded()
    assert state(breaker) is BreakerState.CLOSED
    assert admitted(breaker) is not admitted(breaker)


def test_what_began_before_it_opened_changes_nothing() -> None:
    breaker = CircuitBreaker("some", AT_ONCE)
    early = [admitted(breaker) for _ in range(5)]
    early[0].failed()
    early[1].failed()
    early[2].succeeded()
    assert state(breaker) is BreakerState.OPEN
    admitted(breaker)
    for attempt in early[3:]:
        attempt.failed()
        assert state(breaker) is BreakerState.HALF_OPEN
        assert breaker.admit() is None


def test_the_pause_is_counted_anew_with_each_failure_and_not_by_the_time_of_day() -> None:
    now = 100.0
    breaker = CircuitBreaker("some", BreakerOptions(failures=1, pause_s=10.0), lambda: now)
    admitted(breaker).failed()
    now = 109.9
    assert breaker.admit() is None
    now = 110.0
    admitted(breaker).failed()
    now = 119.9
    assert breaker.admit() is None
    now = 120.0
    admitted(breaker).succeeded()
    assert state(breaker) is BreakerState.CLOSED


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"pause_s": -1.0}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="failures must be"):
        BreakerOptions(**wrong)  # type: ignore[arg-type]


class Breaking(RuleBasedStateMachine):
    """In any order: while it is not closed, at most one call is under way that was let through since."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = CircuitBreaker("some", AT_ONCE)
        self.calls: list[tuple[Attempt, BreakerState]] = []

    @rule()
    def ask(self) -> None:
        attempt = self.breaker.admit()
        if attempt is None:
            assert [state for _, state in self.calls if state is BreakerState.HALF_OPEN]
        else:
            self.calls.append((attempt, self.breaker.state))

    @precondition(lambda self: self.calls)
    @rule()
    def fail(self) -> None:
        self.calls.pop(0)[0].failed()

    @precondition(lambda self: self.calls)
    @rule()
    def succeed(self) -> None:
        self.calls.pop()[0].succeeded()

    @precondition(lambda self: self.calls)
    @rule()
    def leave(self) -> None:
        self.calls.pop()[0].undecided()

    @invariant()
    def one_trial(self) -> None:
        assert sum(state is BreakerState.HALF_OPEN for _, state in self.calls) <= 1


TestBreaking = Breaking.TestCase
TestBreaking.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
