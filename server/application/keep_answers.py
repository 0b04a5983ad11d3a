"""Keeps answers that have ended, those that end at about the same time in one transaction: a cache answers hundreds of
questions a second, and a transaction for each would cost more than answering them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from server.application.answer_ports import AnswerStore, OwnAnswer
from server.application.background import trace_of
from server.domain.errors import DependencyUnavailable, Overloaded, PinakesError

_ATTEMPTS = 4
_BATCH = 64
_PAUSE_S = 0.05
"""Between two transactions, unless there is a whole batch for the next one. An answer is kept at once if none has been
for so long."""

_log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class _Waiting:
    answer: OwnAnswer
    kept: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class KeepAnswers:
    """One transaction at a time; what ends meanwhile, and in `_PAUSE_S` behind it, goes into the next one."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        self._waiting: deque[_Waiting] = deque()
        self._full = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def run(self, answer: OwnAnswer) -> bool:
        """Whether it was kept; if not, the log says why. Takes no longer than a few attempts, with pauses of at most
        two seconds."""
        waiting = _Waiting(answer)
        self._waiting.append(waiting)
        if len(self._waiting) >= _BATCH:
            self._full.set()
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_waiting())
        return await waiting.kept

    async def close(self) -> None:
        """Stops keeping. Nobody may wait any more."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait((self._keeping,))

    async def _keep_waiting(self) -> None:
        while self._waiting:
            await self._keep([self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))])
            if len(self._waiting) < _BATCH:
                self._full.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._full.wait(), _PAUSE_S)

    async def _keep(self, batch: Sequence[_Waiting]) -> None:
        kept = False
        try:
            async for attempt in AsyncRetrying(
                wait=wait_exponential_jitter(multiplier=0.2, max=2.0, jitter=0.2),
                stop=stop_after_attempt(_ATTEMPTS),
                retry=retry_if_exception_type((DependencyUnavailable, Overloaded)),
                reraise=True,
            ):
                with attempt:
                    await self._store.keep([each.answer for each in batch])
            kept = True
        except PinakesError as error:
            _log.warning("answers_not_kept", answers=len(batch), problem=str(error))
        except Exception as error:  # noqa: BLE001 - nobody waits for this task: the log is where it is told
            # Not its message: that may hold text of a document.
            _log.error("answers_not_kept", answers=len(batch), error=type(error).__name__, trace=trace_of(error))
            if len(batch) > 1:
                # One of them is why.
                for each in batch:
                    await self._keep([each])
                return
        for each in batch:
            if not each.kept.done():
                each.kept.set_result(kept)
