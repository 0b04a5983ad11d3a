"""Where a request's time goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, date, datetime

from server.domain.answers import StageTiming
from server.domain.deadline import Deadline
from server.domain.errors import StageDeadline


def today() -> date:
    """By UTC, as the documents' times are."""
    return datetime.now(UTC).date()


@asynccontextmanager
async def within(deadline: Deadline, stage: str) -> AsyncIterator[None]:
    """For stages that do not look at the deadline themselves. Raises StageDeadline when it passes; what a thread was
    doing then goes on to its end, and nobody waits for it."""
    try:
        async with asyncio.timeout(deadline.budget(stage)) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise StageDeadline(stage) from error


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
