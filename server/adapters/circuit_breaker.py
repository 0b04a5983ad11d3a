"""The port `Breaker` on pybreaker, which counts; here the pause is timed, and one call at a time may try again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pybreaker
import structlog

from server.domain.generation import BreakerState

_log = structlog.get_logger()

_STATES = {
    pybreaker.STATE_CLOSED: BreakerState.CLOSED,
    pybreaker.STATE_OPEN: BreakerState.OPEN,
    pybreaker.STATE_HALF_OPEN: BreakerState.HALF_OPEN,
}


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """After so many `failures` in a row no call is made for `pause_s`; then one decides."""

    failures: int = 3
    pause_s: float = 15.0

    def __post_init__(self) -> None:
        if self.failures < 1 or self.pause_s < 0:
            raise ValueError("failures must be 1 or more, pause_s 0 or more")


class CircuitBreaker:
    """See the port `Breaker`. The event loop owns it."""

    def __init__(self, name: str, options: BreakerOptions, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: in seconds. pybreaker's own is the time of day, which may be set back."""
        self._clock = clock
        self._pause_s = options.pause_s
        self._rests_until = 0.0
        self._trying = False
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=options.failures,
            reset_timeout=options.pause_s,
            listeners=[_Log()],
            name=name,
        )

    @property
    def state(self) -> BreakerState:
        return _STATES[self._breaker.current_state]

    def admit(self) -> _Attempt | None:
        if self.state is BreakerState.CLOSED:
            return _Attempt(self, trial=False)
        if self._trying or (self.state is BreakerState.OPEN and self._clock() < self._rests_until):
            return None
        self._breaker.half_open()
        self._trying = True
        return _Attempt(self, trial=True)

    def tell(self, outcome: Callable[[], None], *, trial: bool) -> None:
        """How an attempt ended: `outcome` returns, or raises Failure. While calls are kept away only the trial counts:
        others had begun before."""
        if trial:
            self._trying = False
        if trial or self.state is BreakerState.CLOSED:
            with suppress(pybreaker.CircuitBreakerError, Failure):
                self._breaker.call(outcome)
            if self.state is BreakerState.OPEN:
                self._rests_until = self._clock() + self._pause_s

    def forget(self, *, trial: bool) -> None:
        """As `tell`, of an attempt that says nothing."""
        if trial:
            self._trying = False


class _Attempt:
    """See the port `Attempt`."""

    def __init__(self, breaker: CircuitBreaker, *, trial: bool) -> None:
        self._breaker = breaker
        self._trial = trial

    def succeeded(self) -> None:
        self._breaker.tell(lambda: None, trial=self._trial)

    def failed(self) -> None:
        self._breaker.tell(_fail, trial=self._trial)

    def undecided(self) -> None:
        self._breaker.forget(trial=self._trial)


class Failure(Exception):
    """What a breaker counts."""


def _fail() -> None:
    raise Failure


class _Log(pybreaker.CircuitBreakerListener):
    def state_change(self, cb: Any, old_state: Any, new_state: Any) -> None:
        _log.info("breaker_changed", breaker=cb.name, state=new_state.name)
