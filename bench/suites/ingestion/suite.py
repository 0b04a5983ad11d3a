"""Puts the suite's parts together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from bench.record import Findings, SummaryRow
from bench.suites.base import RunRequest, Table, joined, judged_as_run, stack_of
from bench.suites.ingestion.born_digital import born_digital_rows, measure_born_digital
from bench.suites.ingestion.events import events_rows, measure_events
from bench.suites.ingestion.privacy import measure_privacy, privacy_rows
from bench.suites.ingestion.scanned import measure_scanned, scanned_rows
from bench.suites.ingestion.tables import measure_tables, tables_rows
from bench.suites.ingestion.workload import IngestionWorkload

BORN_DIGITAL = "born_digital"
SCANNED = "scanned"
TABLES = "tables"
EVENTS = "events"
PRIVACY = "privacy"


class IngestionSuite:
    name = "ingestion"
    parts: tuple[str, ...] = (BORN_DIGITAL, SCANNED, TABLES, EVENTS, PRIVACY)
    description = "from files to searchable passages: speed, tables, events, personal data"

    async def run(self, request: RunRequest) -> Findings:
        """Without a folder of retrieval sets, what needs their texts is left out unless it was named. Raises
        StackFailed, NoDataSets, PinakesError; ValueError or OSError for a workload that cannot be."""
        workload = IngestionWorkload.model_validate(request.workload)
        parts = request.only or (self.parts if request.sets else (TABLES, EVENTS, PRIVACY))
        sets = request.sets or Path()
        found: list[Findings] = []
        async with stack_of(request) as endpoints:
            if BORN_DIGITAL in parts:
                found.append(await measure_born_digital(endpoints, workload.born_digital, sets, request.seed))
            if SCANNED in parts:
                found.append(await measure_scanned(endpoints, workload.scanned, sets, request.seed))
            if TABLES in parts:
                found.append(await measure_tables(endpoints, workload.tables, request.seed))
            if EVENTS in parts:
                found.append(await measure_events(endpoints, workload.events))
            if PRIVACY in parts:
                found.append(await measure_privacy(endpoints, workload.privacy))
        return joined(found)

    def remarks(self, findings: Findings) -> list[str]:
        """The figures say it all."""
        return []

    def figures(self, findings: Findings) -> Mapping[str, Figure]:
        """Latencies say it all."""
        return {}

    def summarize(self, findings: Findings, workload: Table, seed: int) -> tuple[SummaryRow, ...]:
        rows = (
            *born_digital_rows(findings),
            *scanned_rows(findings, seed),
            *tables_rows(findings),
            *events_rows(findings),
            *privacy_rows(findings),
        )
        return judged_as_run(rows, IngestionWorkload.model_validate(workload).targets)
