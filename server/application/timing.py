"""Where a request's time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

from server.domain.answers import StageTiming


def today() -> date:
    """By UTC, as the documents' times are."""
    return datetime.now(UTC).date()


class StageClock:
    """Measures the stages of one request. A stage that runs twice is added up; `timings` ends with `total`."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - started)

    def add(self, name: str, seconds: float) -> None:
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def elapsed(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self._started

    def timings(self) -> tuple[StageTiming, ...]:
        stages = [StageTiming(name, seconds) for name, seconds in self._seconds.items()]
        return (*stages, StageTiming("total", self.elapsed()))
