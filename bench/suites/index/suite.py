"""Puts the suite's parts together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from pydantic import JsonValue

from bench.record import Findings, Series, SummaryRow
from bench.suites.base import RunRequest, Table, judged
from bench.suites.index.changing import measure_deletions, measure_upserts
from bench.suites.index.collection import Collection, real_collection, synthetic_collection
from bench.suites.index.contenders import Contender
from bench.suites.index.crew import chosen
from bench.suites.index.figures import figures
from bench.suites.index.filtering import measure_filters
from bench.suites.index.fusing import measure_fusion
from bench.suites.index.hybrid import measure_hybrid
from bench.suites.index.loaded import chosen_stores
from bench.suites.index.observations import (
    Build,
    CurvePoint,
    DeletionPoint,
    FilterPoint,
    HybridRun,
    Opening,
    RankingScores,
    Residence,
    UpsertRun,
    as_facts,
    from_facts,
)
from bench.suites.index.processes import WorkerFailed, peer_versions
from bench.suites.index.resources import measure_memory, measure_opening
from bench.suites.index.sealing import measure_sealing
from bench.suites.index.summary import ENOUGH_RECALL, summary_rows
from bench.suites.index.unfiltered import measure_unfiltered
from bench.suites.index.workload import IndexWorkload
from triton_models.preparation import default_cache

Facts = dict[str, JsonValue]
_CACHE = Path("bench")


class IndexSuite:
    name = "index"
    description = (
        "the hybrid index beside hnswlib, faiss, usearch, LanceDB, Milvus Lite, Chroma and Qdrant's local mode"
    )

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(_PARTS)

    async def run(self, request: RunRequest) -> Findings:
        """A part whose contender fails is left out, and the remarks say so. Raises NoDataSets; ValueError or OSError
        for a workload that cannot be."""
        return await asyncio.to_thread(_measure, request)

    def remarks(self, findings: Findings) -> list[str]:
        """What was not measured, who finds too little under which filter, and how each was configured."""
        skipped = findings.facts.get("skipped")
        remarks = [str(each) for each in skipped] if isinstance(skipped, list) else []
        runs = from_facts(findings.facts.get("hybrid"), HybridRun)
        remarks += [f"{run.store} did not load {run.rows:,} passages: {run.failure}" for run in runs if run.failure]
        remarks += [
            f"{each.contender} finds {each.hits / each.wanted:.0%} under the filter {each.filter}"
            for each in from_facts(findings.facts.get("filters"), FilterPoint)
            if each.hits < ENOUGH_RECALL * each.wanted
        ]
        configured = findings.facts.get("configurations")
        stores = {f"{run.store} (hybrid)": run.configuration for run in runs}
        return remarks + [
            f"{name}: " + ", ".join(f"{key} {value}" for key, value in values.items())
            for name, values in {**(configured if isinstance(configured, dict) else {}), **stores}.items()
            if isinstance(values, dict)
        ]

    def figures(self, findings: Findings) -> Mapping[str, Figure]:
        return figures(findings)

    def summarize(self, findings: Findings, workload: Table, seed: int) -> tuple[SummaryRow, ...]:
        """Targets of parts that were not run, or have no peer to be compared with, are left out."""
        rows = summary_rows(findings)
        targets = IndexWorkload.model_validate(workload).targets
        names = {each.name for each in rows}
        return judged(rows, {name: target for name, target in targets.items() if name in names})


class _Run:
    """What the parts share."""

    def __init__(self, request: RunRequest) -> None:
        self.plan = IndexWorkload.model_validate(request.workload)
        self.seed = request.seed
        cache = request.cache or default_cache() / _CACHE
        self.collection: Collection = (
            real_collection(request.sets, self.plan.collection, cache)
            if request.sets
            else synthetic_collection(self.plan.collection, request.seed, cache)
        )
        self.contenders: list[Contender] = chosen(self.plan.contenders)
        self.series: list[Series] = []

    def rng(self) -> np.random.Generator:
        """The same for every part, however many others were run before it."""
        return np.random.default_rng(self.seed)


def _measure(request: RunRequest) -> Findings:
    run = _Run(request)
    facts: Facts = {
        "collection": {
            "name": run.collection.name,
            "real": run.collection.real,
            "passages": len(run.collection.passages),
            "questions": len(run.collection.questions),
        },
        "configurations": {each.name: _configuration(each) for each in run.contenders},
        "peer_versions": dict(peer_versions()),
    }
    skipped = _skipped(run, request)
    for name, part in _PARTS.items():
        if request.only and name not in request.only:
            continue
        print(f"-- {name}", flush=True)
        try:
            facts |= part(run)
        except WorkerFailed as failed:  # what the other parts measured is not to be lost
            print(failed, flush=True)
            skipped.append(f"{name} failed: {str(failed).strip().splitlines()[-1]}")
    return Findings(tuple(run.series), facts | {"skipped": skipped})


def _configuration(contender: Contender) -> JsonValue:
    without = {"filters": contender.no_filter} if contender.no_filter else {}
    return {**contender.configuration, **without}


def _skipped(run: _Run, request: RunRequest) -> list[JsonValue]:
    present = {each.name for each in run.contenders} | {each.name for each in chosen_stores(run.plan.hybrid.stores)}
    missing = [name for name in (*run.plan.contenders, *run.plan.hybrid.stores) if name not in present]
    said: list[JsonValue] = []
    if missing:
        said.append(f"not installed, and left out (make peers): {', '.join(missing)}")
    if not run.collection.real:
        said.append("vectors and texts are synthetic: name the folder of retrieval sets with --sets")
    if request.only:
        said.append(f"only these parts were run: {', '.join(request.only)}")
    return said


def _unfiltered(run: _Run) -> Facts:
    points = measure_unfiltered(run.collection, run.contenders, run.plan.unfiltered, run.plan.k, run.rng())
    return {"unfiltered": as_facts(points, CurvePoint)}


def _sealing(run: _Run) -> Facts:
    builds, points = measure_sealing(run.collection, run.contenders, run.plan.sealing, run.plan.k, run.rng())
    return {"builds": as_facts(builds, Build), "sealed": as_facts(points, CurvePoint)}


def _filters(run: _Run) -> Facts:
    points = measure_filters(run.collection, run.contenders, run.plan.filters, run.plan.k, run.rng(), run.seed)
    return {"filters": as_facts(points, FilterPoint)}


def _memory(run: _Run) -> Facts:
    return {"memory": as_facts(measure_memory(run.collection, run.contenders, run.plan.memory, run.plan.k), Residence)}


def _opening(run: _Run) -> Facts:
    openings = measure_opening(run.collection, run.contenders, run.plan.opening, run.plan.k)
    return {"opening": as_facts(openings, Opening)}


def _hybrid(run: _Run) -> Facts:
    series, runs = measure_hybrid(run.collection, run.plan.hybrid, run.seed)
    run.series += series
    return {"hybrid": as_facts(runs, HybridRun)}


def _upserts(run: _Run) -> Facts:
    series, runs = measure_upserts(run.collection, run.plan.upserts, run.plan.hybrid, run.seed)
    run.series += series
    return {"upserts": as_facts(runs, UpsertRun)}


def _deletions(run: _Run) -> Facts:
    points = measure_deletions(run.collection, run.plan.deletions, run.plan.hybrid, run.plan.k, run.seed)
    return {"deletions": as_facts(points, DeletionPoint)}


def _fusion(run: _Run) -> Facts:
    scores = measure_fusion(run.collection, run.plan.fusion, run.plan.hybrid, run.seed) if run.collection.real else []
    return {"fusion": as_facts(scores, RankingScores)}


_PARTS: dict[str, Callable[[_Run], Facts]] = {
    "unfiltered": _unfiltered,
    "sealing": _sealing,
    "filters": _filters,
    "memory": _memory,
    "opening": _opening,
    "hybrid": _hybrid,
    "upserts": _upserts,
    "deletions": _deletions,
    "fusion": _fusion,
}
