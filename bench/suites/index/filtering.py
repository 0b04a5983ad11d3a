"""Recall and queries a second under filters, by one thread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.suites.index import dense_work
from bench.suites.index.collection import Collection
from bench.suites.index.contenders import PINAKES, Contender
from bench.suites.index.crew import Crew, crew, in_turns
from bench.suites.index.dense_work import Bench
from bench.suites.index.masks import FilterSet, filter_sets
from bench.suites.index.observations import FilterPoint
from bench.suites.index.processes import Worker
from bench.suites.index.truth import Truth
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
    truth = collection.truth(rows, asked, k)
    points: list[FilterPoint] = []
    with crew(contenders, collection, rows) as workers:
        for worker in workers.values():
            worker.call(dense_work.set_queries, truth.queries)
        own = _own_effort(workers, plan, k, truth)
        points += _without(workers, contenders, plan, k, own, truth, rows)
        filtering = [each for each in contenders if not each.no_filter]
        for each in sets:
            points += _under(each, workers, filtering, plan, k, own)
    return points


def _own_effort(workers: Crew, plan: FiltersPlan, k: int, truth: Truth) -> int:
    """The least that has the recall without a filter."""
    if PINAKES not in workers:
        return plan.efforts[-1]
    return _least(plan.efforts, plan.recall, truth.wanted, partial(_hits_of, workers[PINAKES], k, truth))


def _least(efforts: Sequence[int], recall: float, wanted: int, hits: Callable[[int], int]) -> int:
    """The least effort that has the recall, or the last."""
    return next((effort for effort in efforts if hits(effort) >= recall * wanted), efforts[-1])


def _hits_of(worker: Worker[Bench], k: int, truth: Truth, effort: int) -> int:
    return truth.hits(worker.call(dense_work.one_by_one, k, effort).rows)


def _hits_under(worker: Worker[Bench], k: int, filters: FilterSet, count: int, effort: int) -> int:
    return filters.hits(worker.call(dense_work.filtered, k, effort, count).rows)


def _without(
    workers: Crew, contenders: Sequence[Contender], plan: FiltersPlan, k: int, own: int, truth: Truth, rows: int
) -> list[FilterPoint]:
    settings = []
    for each in contenders:
        effort = own
        if each.name != PINAKES:
            hits = partial(_hits_of, workers[each.name], k, truth)
            effort = _least(plan.efforts, plan.peer_recall, truth.wanted, hits)
        settings.append(_Setting(each.name, effort, len(truth.queries)))
    seconds: dict[_Setting, list[float]] = defaultdict(list)
    found: dict[_Setting, int] = {}

    def do(number: int, setting: _Setting) -> None:
        timed = workers[setting.contender].call(dense_work.one_by_one, k, setting.effort)
        found[setting] = truth.hits(timed.rows)
        if number:
            seconds[setting].append(timed.seconds)

    in_turns(settings, 1 + plan.rounds, do)
    return [
        FilterPoint(s.contender, NONE, rows, s.effort, s.queries, found[s], truth.wanted, tuple(seconds[s]))
        for s in settings
    ]


def _under(
    filters: FilterSet, workers: Crew, contenders: Sequence[Contender], plan: FiltersPlan, k: int, own: int
) -> list[FilterPoint]:
    settings = []
    for each in contenders:
        worker = workers[each.name]
        count = min(plan.slow_queries if each.slow_filter else plan.masks, len(filters.truth.queries))
        worker.call(dense_work.set_filters, filters.masks, count)
        effort = own
        if each.name != PINAKES:
            efforts = plan.slow_efforts if each.slow_filter else plan.efforts
            hits = partial(_hits_under, worker, k, filters, count)
            effort = _least(efforts, plan.peer_recall, filters.truth.first(count).wanted, hits)
        settings.append(_Setting(each.name, effort, count))
    seconds: dict[_Setting, list[float]] = defaultdict(list)
    found: dict[_Setting, int] = {}

    def do(number: int, setting: _Setting) -> None:
        timed = workers[setting.contender].call(dense_work.filtered, k, setting.effort, setting.queries)
        found[setting] = filters.hits(timed.rows)
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
            filters.truth.first(s.queries).wanted,
            tuple(seconds[s]),
        )
        for s in settings
    ]
