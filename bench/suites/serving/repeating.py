"""Asks questions that have been answered already, and counts as a failure what was answered anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from bench.loadgen import Bounds, OperationFailed, open_loop, poisson_schedule, single_caller
from bench.record import Series
from bench.suites.serving.workload import Question, RepeatPlan
from pinakes import AsyncClient, PinakesError

SERIES = "answer again"
NOT_CACHED = "NOT_CACHED"


def load_series(rate_per_s: float) -> str:
    """Name of the series at a rate."""
    return f"{SERIES} at {rate_per_s:g}/s"


@dataclass
class Repeats:
    """The operation: call n asks question n modulo their number, as it was asked before."""

    client: AsyncClient
    questions: Sequence[Question]
    plan: RepeatPlan

    async def prepare(self) -> None:
        """Has each question answered once. Where that fails, its repeats are failures."""
        for question in self.questions:
            with suppress(PinakesError):
                await self.client.answer_text(question.question, timeout_s=self.plan.deadline_s)

    async def __call__(self, number: int) -> Mapping[str, float]:
        question = self.questions[number % len(self.questions)].question
        try:
            answer = await self.client.answer_text(question, timeout_s=self.plan.deadline_s)
        except PinakesError as exc:
            raise OperationFailed(exc.reason or type(exc).__name__) from exc
        if not answer.completion.cached:
            raise OperationFailed(NOT_CACHED)
        return {timing.stage: timing.seconds for timing in answer.timings}


async def measure_repeats(repeats: Repeats, rng: np.random.Generator) -> list[Series]:
    """One caller first, then each rate."""
    plan = repeats.plan
    await repeats.prepare()
    await single_caller(repeats, plan.warm_up, plan.load.limit_s)
    alone = await single_caller(repeats, plan.calls, plan.load.limit_s)
    series = [Series(SERIES, "single_caller", alone, warm_up=plan.warm_up)]
    bounds = Bounds(limit_s=plan.load.limit_s, max_in_flight=plan.load.max_in_flight, drain_s=plan.deadline_s)
    for rate in plan.load.rates_per_s:
        samples = await open_loop(repeats, poisson_schedule(rate, plan.load.calls, rng), bounds)
        series.append(Series(load_series(rate), "open_loop", samples, rate_per_s=rate))
    return series
