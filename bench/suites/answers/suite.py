"""Puts the suite's parts together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from pydantic import JsonValue

from bench.record import Findings, Series, SummaryRow
from bench.suites.answers.corpus import ingested
from bench.suites.answers.measuring import Asking, measure_set
from bench.suites.answers.questions import AskedSet, asked_sets
from bench.suites.answers.summary import answers_rows, as_facts
from bench.suites.answers.workload import AnswersPlan, AnswersWorkload
from bench.suites.base import RunRequest, Table, judged_as_run, stack_of
from bench.suites.index.datasets import NoDataSets
from pinakes import AsyncClient


class AnswersSuite:
    name = "answers"
    parts: tuple[str, ...] = ()
    description = "questions with known answers: retrieval, answers, citations, refusals"

    async def run(self, request: RunRequest) -> Findings:
        """Raises StackFailed, NoDataSets, PinakesError; ValueError or OSError for a workload that cannot be."""
        plan = AnswersWorkload.model_validate(request.workload).answers
        if request.sets is None:
            raise NoDataSets(Path())
        sets = asked_sets(request.sets, plan, request.seed)
        async with stack_of(request) as endpoints, AsyncClient(endpoints.server, api_key=endpoints.api_key) as client:
            return await evaluate(client, sets, plan)

    def remarks(self, findings: Findings) -> list[str]:
        """The figures say it all."""
        return []

    def figures(self, findings: Findings) -> Mapping[str, Figure]:
        """Latencies say it all."""
        return {}

    def summarize(self, findings: Findings, workload: Table, seed: int) -> tuple[SummaryRow, ...]:
        rows = tuple(answers_rows(findings, seed))
        return judged_as_run(rows, AnswersWorkload.model_validate(workload).targets)


async def evaluate(client: AsyncClient, sets: Sequence[AskedSet], plan: AnswersPlan) -> Findings:
    """Ingests each set and asks its questions, one set after another. Raises PinakesError."""
    series: list[Series] = []
    facts: dict[str, JsonValue] = {}
    for asked in sets:
        asking = Asking(client, asked, await ingested(client, asked, plan), plan)
        series.append(await measure_set(asking))
        facts[asked.data.name] = as_facts(asking.judged)
    return Findings(tuple(series), {"answers": facts})
