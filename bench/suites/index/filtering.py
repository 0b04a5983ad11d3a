"""Recall and queries a second under filters, by one thread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.suites.index import dense_work
from bench.suites.index.collection import Collection
from bench.suites.index.contenders import PINAKES, Contender
from bench.suites.index.crew import Crew, crew, hits, in_turns
from bench.suites.index.masks import FilterSet, filter_sets
from bench.suites.index.observations import FilterPoint
from bench.suites.index.workload import FiltersPlan

NONE = "none"


@dataclass(frozen=True, slots=True)
class _Setting:
    contender: str
    effort: int
    queries: int


def measure_filters(
    collection: Collection,
    contenders: Sequence[Contender],
    plan: FiltersPlan,
    k: int,
    rng: np.random.Generator,
    seed: int,
) -> list[FilterPoint]:
    """Under each filter every contender in turns, each query with a mask of its own. Contenders that cannot filter are
    measured without only."""
    rows = len(collection.vectors)
    asked = rng.permutation(len(collection.queries))[: plan.masks]
    sets = filter_sets(collection, asked, plan, k, seed)
    queries, true = collection.queries[asked], collection.neighbours(rows, asked, k)
    points: list[FilterPoint] = []
    with crew(contenders, collection, rows) as workers:
        for worker in workers.values():
            worker.call(dense_work.set_queries, queries)
        own = _own_effort(workers, plan, k, true)
        points += _without(workers, contenders, plan, k, own, true, rows)
        filtering = [each for each in contenders if not each.no_filter]
        for each in sets:
            points += _under(each, workers, filtering, plan, k, own)
    return points


def _own_effort(workers: Crew, plan: FiltersPlan, k: int, true: np.ndarray) -> int:
    """The least that has the recall without a filter."""
    for effort in plan.efforts:
        found = workers[PINAKES].call(dense_work.one_by_one, k, effort).rows if PINAKES in workers else true
        if hits(found, true) >= plan.recall * true.size:
            return effort
    return plan.efforts[-1]


def _without(
    workers: Crew, contenders: Sequence[Contender], plan: FiltersPlan, k: int, own: int, true: np.ndarray, rows: int
) -> list[FilterPoint]:
    settings = []
    for each in contenders:
        effort = own
        if each.name != PINAKES:
            effort = next(
                (
                    effort
                    for effort in plan.efforts
                    if hits(workers[each.name].call(dense_work.one_by_one, k, effort).rows, true)
                    >= plan.peer_recall * true.size
                ),
                plan.efforts[-1],
            )
        settings.append(_Setting(each.name, effort, len(true)))
    seconds: dict[_Setting, list[float]] = defaultdict(list)
    found: dict[_Setting, int] = {}

    def do(number: int, setting: _Setting) -> None:
        timed = workers[setting.contender].call(dense_work.one_by_one, k, setting.effort)
        found[setting] = hits(timed.rows, true)
        if number:
            seconds[setting].append(timed.seconds)

    in_turns(settings, 1 + plan.rounds, do)
    return [
        FilterPoint(s.contender, NONE, rows, s.effort, s.queries, found[s], true.size, tuple(seconds[s]))
        for s in settings
    ]


def _under(
    filters: FilterSet, workers: Crew, contenders: Sequence[Contender], plan: FiltersPlan, k: int, own: int
) -> list[FilterPoint]:
    settings = []
    for each in contenders:
        worker = workers[each.name]
        count = min(plan.slow_queries if each.slow_filter else plan.masks, len(filters.true))
        worker.call(dense_work.set_filters, filters.masks, count)
        true = filters.true[:count]
        effort = own
        if each.name != PINAKES:
            efforts = plan.slow_efforts if each.slow_filter else plan.efforts
            wanted = plan.peer_recall * np.count_nonzero(true >= 0)
            for effort in efforts:
                if hits(worker.call(dense_work.filtered, k, effort, count).rows, true) >= wanted:
                    break
        settings.append(_Setting(each.name, effort, count))
    seconds: dict[_Setting, list[float]] = defaultdict(list)
    found: dict[_Setting, int] = {}

    def do(number: int, setting: _Setting) -> None:
        timed = workers[setting.contender].call(dense_work.filtered, k, setting.effort, setting.queries)
        found[setting] = hits(timed.rows, filters.true[: setting.queries])
        seconds[setting].append(timed.seconds)

    in_turns(settings, plan.rounds, do)
    return [
        FilterPoint(
            s.contender,
            filters.name,
            filters.allowed,
            s.effort,
            s.queries,
            found[s],
            int(np.count_nonzero(filters.true[: s.queries] >= 0)),
            tuple(seconds[s]),
        )
        for s in settings
    ]
