"""Hybrid search under a tenant and ACL filter, by concurrent callers, beside embedded stores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from bench.record import Sample, Series
from bench.suites.index import store_work
from bench.suites.index.access import asks, entries
from bench.suites.index.collection import Collection
from bench.suites.index.crew import in_turns
from bench.suites.index.entries import Ask, Entry
from bench.suites.index.loaded import chosen_stores, is_loaded, loaded
from bench.suites.index.observations import HybridRun
from bench.suites.index.processes import TooSlow, Worker, WorkerFailed
from bench.suites.index.ranking import documents_of, ndcg
from bench.suites.index.store_work import Called, Held
from bench.suites.index.stores import PINAKES, StoreKind
from bench.suites.index.workload import HybridPlan

_WHAT = "hybrid"
_HARD_LIMIT = 3.0
"""A load that was thought to fit into its budget is given up after so many times of it."""


class _Loaded(NamedTuple):
    kind: StoreKind
    rows: int
    load_s: float
    open_s: float
    worker: Worker[Held]


def series_name(store: str, rows: int) -> str:
    return f"hybrid {store} at {rows:,}"


def measure_hybrid(collection: Collection, plan: HybridPlan, seed: int) -> tuple[list[Series], list[HybridRun]]:
    """Every store at the greatest size that it loads in time, Pinakes at each of these sizes; at each size the stores
    take turns, with the same questions. A collection that is smaller than a size is taken whole."""
    sizes = sorted({min(size, len(collection.passages)) for size in plan.rows})
    everything = entries(collection, sizes[-1], plan, seed)
    runs: list[HybridRun] = []
    series: list[Series] = []
    at: dict[int, list[StoreKind]] = defaultdict(list)
    own = None
    for kind in chosen_stores(plan.stores):
        if kind.name == PINAKES:
            own = kind
            continue
        size, failure = _greatest(kind, collection, everything, sizes, plan.load_budget_s)
        if size:
            at[size].append(kind)
        else:
            runs.append(_failed(kind, sizes[0], failure))
    for size in {*at, sizes[-1]} if own else at:
        if own:
            at[size].insert(0, own)
    for size, kinds in sorted(at.items()):
        asked = asks(collection, size, (plan.calls_per_caller + plan.warm_up_per_caller) * plan.callers, plan, seed)
        measured = _measure_at(collection, kinds, everything[:size], asked, plan)
        series += [one for one, _ in measured]
        runs += [run for _, run in measured]
    return series, runs


def _greatest(
    kind: StoreKind, collection: Collection, everything: Sequence[Entry], sizes: Sequence[int], budget_s: float
) -> tuple[int, str]:
    """The greatest size that the store loads within the budget, judged by the one before it, or that an earlier run
    loaded; 0 and why, if none."""
    fits = 0
    for size in sizes:
        try:
            _, seconds = loaded(kind, collection, everything[:size], _WHAT, _HARD_LIMIT * budget_s)
        except TooSlow:
            return fits, f"not loaded within {_HARD_LIMIT * budget_s:.0f} s"
        except WorkerFailed as failed:
            return fits, str(failed).strip().splitlines()[-1]
        fits = size
        larger = next((each for each in sizes if each > size), size)
        if seconds * larger / size > budget_s and not is_loaded(kind, collection, larger, _WHAT):
            break
    return fits, ""


def _measure_at(
    collection: Collection,
    kinds: Sequence[StoreKind],
    those: Sequence[Entry],
    asked: Sequence[Ask],
    plan: HybridPlan,
) -> list[tuple[Series, HybridRun]]:
    called: dict[str, list[Called]] = defaultdict(list)
    walls: dict[str, float] = defaultdict(float)
    warm = plan.warm_up_per_caller * plan.callers
    rounds = min(plan.rounds, plan.calls_per_caller)
    with ExitStack() as stack:
        opened = []
        for kind in kinds:
            folder, seconds = loaded(kind, collection, those, _WHAT, _HARD_LIMIT * plan.load_budget_s)
            worker = stack.enter_context(Worker(kind.python, store_work.maker(kind.name)))
            worker.call(store_work.set_asks, asked, collection.queries_path)
            open_s = worker.call(store_work.open_and_ask, folder, plan.limit)
            opened.append(_Loaded(kind, len(those), seconds, open_s, worker))
            worker.call(
                store_work.call_concurrently, range(warm), plan.callers, plan.limit, plan.search_budget_s / rounds
            )

        def do(number: int, each: _Loaded) -> None:
            places = range(warm, len(asked))[number::rounds]
            calls = each.worker.call(
                store_work.call_concurrently, places, plan.callers, plan.limit, plan.search_budget_s / rounds
            )
            shift = walls[each.kind.name]
            called[each.kind.name] += [call._replace(sent_s=call.sent_s + shift) for call in calls]
            walls[each.kind.name] += max((call.sent_s + call.latency_s for call in calls), default=0.0)

        in_turns(opened, rounds, do)
    document = {each.number: each.document_id for each in those}
    return [_judged(each, called[each.kind.name], walls[each.kind.name], asked, document, warm) for each in opened]


def _judged(
    each: _Loaded,
    calls: Sequence[Called],
    wall_s: float,
    asked: Sequence[Ask],
    document: dict[int, str],
    warm_up: int,
) -> tuple[Series, HybridRun]:
    ordered = sorted(calls, key=lambda call: call.place)
    samples = tuple(Sample(call.place, call.sent_s, call.sent_s, call.latency_s, {}, call.error) for call in ordered)
    judged = [call for call in ordered if asked[call.place].gains]
    gains = tuple(_ndcg(call, asked[call.place], document) for call in judged)
    name = series_name(each.kind.name, each.rows)
    run = HybridRun(
        each.kind.name,
        each.rows,
        name,
        each.load_s,
        each.open_s,
        wall_s,
        tuple(call.place for call in judged),
        gains,
        dict(each.kind.configuration),
    )
    return Series(name, "concurrent_callers", samples, warm_up=warm_up), run


def _ndcg(call: Called, ask: Ask, document: dict[int, str]) -> float:
    return ndcg(documents_of((document[number] for number in call.found), ask.ignored), ask.gains, 10)


def _failed(kind: StoreKind, rows: int, failure: str) -> HybridRun:
    return HybridRun(kind.name, rows, "", 0.0, 0.0, 0.0, (), (), dict(kind.configuration), failure)
