"""Puts the suite's parts together."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from bench.record import Findings, SummaryRow
from bench.suites.base import RunRequest, Table, joined, judged_as_run, stack_of
from bench.suites.models.embedding import embedding_rows, measure_embedding, measure_queries, query_rows
from bench.suites.models.generation import generation_rows, measure_generation
from bench.suites.models.ocr import measure_ocr, measure_pages, ocr_rows
from bench.suites.models.reranking import measure_reranking, provide_reranker, rerank_rows
from bench.suites.models.workload import ModelsWorkload
from bench.targets import Endpoints
from triton_models.preparation import default_cache

EMBEDDING = "embedding"
QUERY = "query"
RERANK = "rerank"
GENERATION = "generation"
OCR = "ocr"
PAGES = "pages"


class ModelsSuite:
    name = "models"
    parts: tuple[str, ...] = (EMBEDDING, QUERY, RERANK, GENERATION, OCR, PAGES)
    description = "the models over gRPC beside the bare engines: speed and quality"

    async def run(self, request: RunRequest) -> Findings:
        """Without a folder of retrieval sets, typeset pages are read only if that part was named; likewise pages with
        their text without a folder of those. Raises StackFailed, NoDataSets, NoPages; ValueError or OSError for a
        workload that cannot be."""
        workload = ModelsWorkload.model_validate(request.workload)
        missing = {OCR: request.sets is None, PAGES: request.pages is None}
        parts = request.only or tuple(part for part in self.parts if not missing.get(part))
        sets = request.sets or Path()
        cache = request.cache or default_cache() / "bench"
        found: list[Findings] = []
        async with _stack(request, reranking=RERANK in parts) as endpoints:
            if EMBEDDING in parts:
                found.append(await measure_embedding(endpoints, workload.embedding, request.sets, request.seed, cache))
            if QUERY in parts:
                found.append(await measure_queries(endpoints, workload.query, request.seed, cache))
            if RERANK in parts:
                found.append(await measure_reranking(endpoints, workload.rerank, request.seed, cache))
            if GENERATION in parts:
                found.append(await measure_generation(endpoints, workload.generation, request.seed))
            if OCR in parts:
                found.append(await measure_ocr(endpoints, workload.ocr, sets, request.seed))
            if PAGES in parts:
                found.append(await measure_pages(endpoints, workload.ocr, request.pages or Path()))
        return joined(found)

    def remarks(self, findings: Findings) -> list[str]:
        """The figures say it all."""
        return []

    def figures(self, findings: Findings) -> Mapping[str, Figure]:
        """Latencies say it all."""
        return {}

    def summarize(self, findings: Findings, workload: Table, seed: int) -> tuple[SummaryRow, ...]:
        rows = (
            *embedding_rows(findings, seed),
            *query_rows(findings, seed),
            *rerank_rows(findings),
            *generation_rows(findings, seed),
            *ocr_rows(findings, seed),
        )
        return judged_as_run(rows, ModelsWorkload.model_validate(workload).targets)


@asynccontextmanager
async def _stack(request: RunRequest, *, reranking: bool) -> AsyncIterator[Endpoints]:
    """One of its own gets a reranker where `reranking` wants one."""
    if request.endpoints is not None or not reranking:
        async with stack_of(request) as endpoints:
            yield endpoints
        return
    with tempfile.TemporaryDirectory(prefix="pinakes-bench-") as folder:
        data = request.data or Path(folder)
        await asyncio.to_thread(provide_reranker, data)
        async with stack_of(replace(request, data=data)) as endpoints:
            yield endpoints
