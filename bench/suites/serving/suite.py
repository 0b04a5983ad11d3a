"""Puts the suite's parts together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from bench.record import Findings, Series, SummaryRow
from bench.suites.base import PROJECT, RunRequest, Table, joined, judged, stack_of
from bench.suites.serving import searching, sourcing
from bench.suites.serving.answering import Answers, measure_answers, shuffled
from bench.suites.serving.crowding import measure_crowd
from bench.suites.serving.embedding import measure_embeds
from bench.suites.serving.ingestion import ingest
from bench.suites.serving.repeating import Repeats, measure_repeats
from bench.suites.serving.searching import Searches, measure_searches
from bench.suites.serving.sourcing import CHUNKS, measure_sources
from bench.suites.serving.summary import facts, remarks, summary_rows
from bench.suites.serving.workload import ServingWorkload, corpus_documents, read_questions
from bench.targets import Endpoints
from pinakes import AsyncClient, ClientOptions, EmbeddingKind, RetryPolicy

# A retry would hide a failure in a latency.
_ONCE = ClientOptions(retry=RetryPolicy(attempts=1))


SAMPLES = "samples"
SOURCES = "sources"


class ServingSuite:
    name = "serving"
    parts: tuple[str, ...] = (SAMPLES, SOURCES)
    description = "ingestion, search and answers over gRPC by stage, with their quality; embedding against bare Triton"

    async def run(self, request: RunRequest) -> Findings:
        """Raises CorpusNotIngested, StackFailed; ValueError or OSError for a workload that cannot be."""
        workload = ServingWorkload.model_validate(request.workload)
        parts = request.only or self.parts
        found: list[Findings] = []
        async with stack_of(request) as endpoints:
            if SAMPLES in parts:
                found.append(await measure(endpoints, workload, request.seed))
            if SOURCES in parts and workload.sources.documents:
                async with AsyncClient(endpoints.server, api_key=endpoints.api_key, options=_ONCE) as client:
                    series, chunks = await measure_sources(client, workload.sources)
                found.append(Findings(tuple(series), {CHUNKS: chunks}))
        return joined(found)

    def remarks(self, findings: Findings) -> list[str]:
        return remarks(findings)

    def figures(self, findings: Findings) -> Mapping[str, Figure]:
        """Latencies say it all."""
        return {}

    def summarize(self, findings: Findings, workload: Table, seed: int) -> tuple[SummaryRow, ...]:
        """A target of a part that was left out needs no row."""
        run = {series.name for series in findings.series}
        targets = {
            name: target
            for name, target in ServingWorkload.model_validate(workload).targets.items()
            if (sourcing.SERIES if name.startswith(sourcing.ROWS) else searching.SERIES) in run
        }
        return judged(summary_rows(findings, seed), targets)


async def measure(endpoints: Endpoints, workload: ServingWorkload, seed: int) -> Findings:
    """Everything, in order, against a stack that runs. Embedding is compared only where Triton can be asked."""
    questions = read_questions(PROJECT / workload.questions)
    documents = corpus_documents(PROJECT / workload.corpus, questions)
    rng = np.random.default_rng(seed)
    async with AsyncClient(endpoints.server, api_key=endpoints.api_key, options=_ONCE) as client:
        ingested = await ingest(client, documents, workload.ingestion)
        searches = Searches(client, questions, workload.search, ingested.token)
        order = shuffled(questions, workload.answer.passes, rng)
        answers = Answers(client, order, workload.answer, ingested.token)
        series: list[Series] = [ingested.series]
        series += await measure_searches(searches, rng)
        if endpoints.triton is not None:
            series += await measure_embeds(client, endpoints.triton, questions, workload.embed)
        model = (await client.embed([questions[0].question], kind=EmbeddingKind.QUERY)).model
        series.append(await measure_answers(answers))
        repeats = Repeats(client, questions[: workload.repeat.questions], workload.repeat)
        series += await measure_repeats(repeats, rng)
    crowd = await measure_crowd(endpoints, questions, workload.crowd)
    series.append(crowd.series)
    return Findings(tuple(series), facts(ingested.pages, searches.found, answers.judgements, model, crowd.memory))
