"""Runs a suite and makes the record."""

from __future__ import annotations

import datetime
import time
from pathlib import Path

from pydantic import TypeAdapter

from bench.environment import Load, fingerprint, load_between
from bench.record import Record
from bench.stack import StackOptions
from bench.suites.base import PROJECT, RunRequest, Suite, Table, load_workload
from bench.targets import Endpoints


async def run_suite(
    suite: Suite,
    *,
    quick: bool = False,
    data: Path | None = None,
    endpoints: Endpoints | None = None,
    workload: Table | None = None,
    stack: StackOptions | None = None,
    sets: Path | None = None,
    pages: Path | None = None,
    only: tuple[str, ...] = (),
    cache: Path | None = None,
) -> Record:
    """`workload`: instead of the suite's file. Raises what the suite raises."""
    table = workload if workload is not None else load_workload(suite.name, quick=quick)
    seed = TypeAdapter(int).validate_python(table["seed"])
    environment = fingerprint(PROJECT)
    before, started = Load.now(), time.monotonic()
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    request = RunRequest(table, seed, data, endpoints, stack or StackOptions(), sets, pages, only, cache)
    findings = await suite.run(request)
    duration_s = time.monotonic() - started
    environment |= load_between(before, Load.now())
    return Record(
        suite=suite.name,
        quick=quick,
        seed=seed,
        started_at=started_at,
        duration_s=duration_s,
        workload=table,
        environment=environment,
        series=findings.series,
        facts=findings.facts,
        summary=suite.summarize(findings, table, seed),
    )
