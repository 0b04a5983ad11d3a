"""Puts the suite's parts together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from bench.record import Findings, SummaryRow
from bench.suites.base import RunRequest, Table, judged, stack_of
from bench.suites.models.generation import generation_rows, measure_generation
from bench.suites.models.ocr import measure_ocr, ocr_rows
from bench.suites.models.workload import ModelsWorkload

GENERATION = "generation"
OCR = "ocr"


class ModelsSuite:
    name = "models"
    parts: tuple[str, ...] = (GENERATION, OCR)
    description = "the models over gRPC beside the bare engines: speed and quality"

    async def run(self, request: RunRequest) -> Findings:
        """Without a folder of retrieval sets, pages are read only if that part was named. Raises StackFailed,
        NoDataSets; ValueError or OSError for a workload that cannot be."""
        workload = ModelsWorkload.model_validate(request.workload)
        parts = request.only or (self.parts if request.sets else (GENERATION,))
        sets = request.sets or Path()
        found: list[Findings] = []
        async with stack_of(request) as endpoints:
            if GENERATION in parts:
                found.append(await measure_generation(endpoints, workload.generation, request.seed))
            if OCR in parts:
                found.append(await measure_ocr(endpoints, workload.ocr, sets, request.seed))
        series = tuple(one for findings in found for one in findings.series)
        return Findings(series, {name: fact for findings in found for name, fact in findings.facts.items()})

    def remarks(self, findings: Findings) -> list[str]:
        """The figures say it all."""
        return []

    def figures(self, findings: Findings) -> Mapping[str, Figure]:
        """Latencies say it all."""
        return {}

    def summarize(self, findings: Findings, workload: Table, seed: int) -> tuple[SummaryRow, ...]:
        rows = (*generation_rows(findings, seed), *ocr_rows(findings, seed))
        targets = ModelsWorkload.model_validate(workload).targets
        shown = {row.name for row in rows}
        return judged(rows, {name: target for name, target in targets.items() if name in shown})
