"""Searches for the corpus's questions and looks whether the right page is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.loadgen import Bounds, OperationFailed, open_loop, poisson_schedule, single_caller
from bench.record import Series
from bench.suites.serving.workload import Question, SearchPlan
from pinakes import AsyncClient, PinakesError, RankedPassage

SERIES = "search"


def load_series(rate_per_s: float) -> str:
    """Name of the series at a rate."""
    return f"search at {rate_per_s:g}/s"


@dataclass
class Searches:
    """The operation: call n asks question n modulo their number, in new words each time."""

    client: AsyncClient
    questions: Sequence[Question]
    plan: SearchPlan
    token: str
    asked: int = 0
    found: dict[str, bool] = field(default_factory=dict)
    """By question, of the first reply to it."""

    async def __call__(self, number: int) -> Mapping[str, float]:
        question = self.questions[number % len(self.questions)]
        self.asked += 1
        try:
            results = await self.client.search(
                question.numbered(self.asked),
                limit=self.plan.limit,
                consistency_token=self.token,
                timeout_s=self.plan.deadline_s,
            )
        except PinakesError as exc:
            raise OperationFailed(exc.reason or type(exc).__name__) from exc
        if not question.unanswerable:
            self.found.setdefault(
                question.question, any(_holds(question, hit) for hit in results.passages[: self.plan.found_within])
            )
        return {timing.stage: timing.seconds for timing in results.timings}


async def measure_searches(searches: Searches, rng: np.random.Generator) -> list[Series]:
    """One caller first, then each rate."""
    plan = searches.plan
    await single_caller(searches, plan.warm_up, plan.limit_s)
    series = [
        Series(SERIES, "single_caller", await single_caller(searches, plan.calls, plan.limit_s), warm_up=plan.warm_up)
    ]
    bounds = Bounds(limit_s=plan.load.limit_s, max_in_flight=plan.load.max_in_flight, drain_s=plan.deadline_s)
    for rate in plan.load.rates_per_s:
        samples = await open_loop(searches, poisson_schedule(rate, plan.load.calls, rng), bounds)
        series.append(Series(load_series(rate), "open_loop", samples, rate_per_s=rate))
    return series


def _holds(question: Question, hit: RankedPassage) -> bool:
    pages = {region.page for region in hit.passage.regions}
    return question.on_page(hit.passage.document_name, pages)
