"""Memory while serving, and the time from disk to the first answer: of fresh processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.suites.index import dense_work
from bench.suites.index.collection import Collection
from bench.suites.index.contenders import Contender
from bench.suites.index.crew import built, in_turns
from bench.suites.index.observations import Opening, Residence
from bench.suites.index.processes import Worker
from bench.suites.index.workload import MemoryPlan, OpeningPlan

_READ, _MAPPED = "read", "mapped"


def measure_memory(
    collection: Collection, contenders: Sequence[Contender], plan: MemoryPlan, k: int
) -> list[Residence]:
    rows = len(collection.vectors)
    observed = []
    for contender in contenders:
        folder = built(contender, collection, rows)
        with Worker(contender.python, dense_work.maker(contender.name)) as worker:
            before = worker.call(dense_work.resident_bytes)
            worker.call(dense_work.load, folder)
            worker.call(dense_work.serve_queries, collection.queries_path, plan.queries, k, plan.effort)
            after = worker.call(dense_work.resident_bytes)
        observed.append(Residence(contender.name, rows, before, after))
    return observed


class _Way(NamedTuple):
    contender: Contender
    how: str


def measure_opening(
    collection: Collection, contenders: Sequence[Contender], plan: OpeningPlan, k: int
) -> list[Opening]:
    """Libraries are imported and kernels compiled before the clock starts, and the files are in the page cache: a first
    round brings them there and is not recorded."""
    rows, query = len(collection.vectors), np.array(collection.queries[0])
    ways = [_Way(each, _READ) for each in contenders]
    ways += [_Way(each, _MAPPED) for each in contenders if each.open_mapped]
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)

    def do(number: int, way: _Way) -> None:
        folder = built(way.contender, collection, rows)
        with Worker(way.contender.python, dense_work.maker(way.contender.name)) as worker:
            taken = worker.call(dense_work.open_and_ask, folder, query, k, way.how == _MAPPED)
        if number:
            seconds[way.contender.name, way.how].append(taken)

    in_turns(ways, 1 + plan.rounds, do)
    return [Opening(way.contender.name, way.how, rows, tuple(seconds[way.contender.name, way.how])) for way in ways]
