"""The hybrid index while it changes: searches beside a steady writer, recall after deletions."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.loadgen import poisson_schedule
from bench.record import Sample, Series
from bench.suites.index import write_work
from bench.suites.index.access import asks, entries
from bench.suites.index.collection import Collection, exact_neighbours
from bench.suites.index.entries import EVERYONE, Entry
from bench.suites.index.loaded import loaded, pinakes
from bench.suites.index.observations import DeletionPoint, UpsertRun
from bench.suites.index.processes import OWN_PYTHON, Worker
from bench.suites.index.truth import Truth
from bench.suites.index.workload import DeletionPlan, HybridPlan, UpsertPlan
from bench.suites.index.write_work import Changing

ONE_TENANT = "everything"
LOAD_LIMIT_S = 3_600.0
_WARM_UP_SEARCHES = 50
_ASKS = 500
_ADDED_SHARE = 0.5

BEFORE, AFTER, COMPACTED = "before deleting", "after deleting and adding", "after compaction"


def upserts_series(rate_per_s: float) -> str:
    return f"search while upserting {rate_per_s:g}/s" if rate_per_s else "search while idle"


def measure_upserts(
    collection: Collection, plan: UpsertPlan, access: HybridPlan, seed: int
) -> tuple[list[Series], list[UpsertRun]]:
    """Idle first, then each rate, on one index that grows: new passages, and old ones again when they run out."""
    rows = min(plan.rows, len(collection.passages) // 2)
    everything = entries(collection, len(collection.passages), access, seed)
    base, new = everything[:rows], everything[rows:]
    asked = asks(collection, rows, _ASKS, access, seed)
    rng = np.random.default_rng(seed)
    series, runs = [], []
    with _copied(collection, base, "hybrid") as worker:

        def search(rate: float, schedule: Sequence[float]) -> write_work.Upserted:
            return worker.call(
                write_work.search_while_upserting,
                asked,
                schedule,
                new,
                rate,
                plan.apply_every_s,
                plan.commit_every_s,
                plan.search_threads,
                access.limit,
            )

        search(0, poisson_schedule(plan.searches_per_s, _WARM_UP_SEARCHES, rng))
        for rate in (0.0, *plan.rates_per_s):
            schedule = poisson_schedule(plan.searches_per_s, math.ceil(plan.searches_per_s * plan.seconds), rng)
            result = search(rate, schedule)
            samples = tuple(
                Sample(number, each.scheduled_s, each.sent_s, each.latency_s, {}, each.error)
                for number, each in enumerate(result.searches)
            )
            name = upserts_series(rate)
            series.append(Series(name, "open_loop", samples, rate_per_s=plan.searches_per_s))
            behind = max(0, int(rate * (result.seconds - plan.apply_every_s)) - result.written)
            runs.append(UpsertRun(rate, name, rows, result.written, behind, result.seconds, result.rebuilds))
    return series, runs


def measure_deletions(
    collection: Collection, plan: DeletionPlan, access: HybridPlan, k: int, seed: int
) -> list[DeletionPoint]:
    """Recall by vector alone, in an index of one tenant, before and after half of the rows were deleted at random and
    half as many others added, and after compaction."""
    rows = min(plan.rows, int(len(collection.passages) / (1 + _ADDED_SHARE)))
    added_rows = int(rows * _ADDED_SHARE)
    everything = [
        replace(each, tenant=ONE_TENANT, readers=(EVERYONE,))
        for each in entries(collection, rows + added_rows, access, seed)
    ]
    rng = np.random.default_rng(seed)
    asked = rng.permutation(len(collection.queries))[: plan.queries]
    removed = rng.permutation(rows)[: rows // 2]
    before = np.arange(rows)
    after = np.setdiff1d(np.arange(rows + added_rows), removed)
    points = []
    with _copied(collection, everything[:rows], ONE_TENANT) as worker:

        def point(when: str, live: npt.NDArray[np.int64]) -> None:
            queries = collection.queries[asked]
            truth = Truth(collection.vectors, queries, live[exact_neighbours(collection.vectors[live], queries, k)])
            allowed = np.broadcast_to(
                _bits(live, len(collection.vectors)), (len(asked), -(-len(collection.vectors) // 64))
            )
            found = worker.call(write_work.nearest, ONE_TENANT, asked, k)
            points.append(DeletionPoint(when, len(live), len(asked), truth.hits(found, allowed), truth.wanted))

        point(BEFORE, before)
        worker.call(write_work.replace_entries, removed.tolist(), everything[rows:])
        point(AFTER, after)
        worker.call(write_work.compact)
        point(COMPACTED, after)
    return points


def _bits(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.uint64]:
    """A bitmap of rows below `count`: uint64[ceil(count/64)]."""
    bits = np.zeros(-(-count // 64) * 64, np.bool_)
    bits[rows] = True
    return np.packbits(bits, bitorder="little").view(np.uint64)


@contextmanager
def _copied(collection: Collection, base: Sequence[Entry], what: str) -> Iterator[Worker[Changing]]:
    """An index of its own that may be changed."""
    folder, _ = loaded(pinakes(), collection, base, what, LOAD_LIMIT_S)
    with tempfile.TemporaryDirectory(prefix="pinakes-bench-") as temporary:
        own = Path(temporary) / "index"
        shutil.copytree(folder, own)
        with Worker(OWN_PYTHON, write_work.make) as worker:
            worker.call(write_work.open_index, own, collection.vectors_path, collection.queries_path)
            yield worker
            worker.call(write_work.close_index)
