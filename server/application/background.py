"""Work that goes on for as long as the process does."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_not_exception_type,
    wait_exponential_jitter,
)

from server.domain.errors import PinakesError

_log = structlog.get_logger()


async def repeat(
    name: str,
    step: Callable[[], Awaitable[object]],
    longest_pause_s: float = 10.0,
    fatal: tuple[type[Exception], ...] = (),
) -> None:
    """Calls `step` again and again until cancelled. A failure is logged and followed by a pause, which grows while
    failures follow each other; nothing but cancellation ends this, and what is `fatal`, which is raised.

    A step may lose its cancellation, as `asyncio.wait_for` does before Python 3.12 when what it waits for is done at
    that moment: this ends behind such a step."""
    own = asyncio.current_task()
    while True:
        async for attempt in AsyncRetrying(
            wait=wait_exponential_jitter(multiplier=0.1, max=longest_pause_s, jitter=0.1),
            retry=retry_if_exception_type(Exception) & retry_if_not_exception_type(fatal),
            before_sleep=lambda state: _log_failure(name, state),
        ):
            with attempt:
                await step()
        if own is not None and own.cancelling():
            raise asyncio.CancelledError
        # A step that never waits must not keep others from running.
        await asyncio.sleep(0)


def trace_of(error: BaseException) -> str:
    """Where it happened, without its message, which may hold text of a document."""
    return "".join(traceback.format_tb(error.__traceback__))


def _log_failure(name: str, state: RetryCallState) -> None:
    error = None if state.outcome is None else state.outcome.exception()
    if isinstance(error, PinakesError):
        _log.warning("background_work_failed", work=name, failures=state.attempt_number, problem=str(error))
    elif error is not None:
        _log.error("background_work_broke", work=name, error=type(error).__name__, trace=trace_of(error))
