"""Removes answers that have been kept long enough."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from server.application.answer_ports import AnswerStore
from server.application.background import repeat

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ForgetAnswersOptions:
    kept_days: float = 90.0
    every_s: float = 900.0
    batch: int = 500


class ForgetAnswers:
    def __init__(self, store: AnswerStore, options: ForgetAnswersOptions) -> None:
        self._store = store
        self._options = options

    async def run(self) -> None:
        await repeat("forget_answers", self._step)

    async def _step(self) -> None:
        forgotten = await self._store.forget(self._options.kept_days * 86_400.0, self._options.batch)
        if forgotten:
            _log.info("answers_forgotten", answers=forgotten)
        if forgotten < self._options.batch:
            await asyncio.sleep(self._options.every_s)
