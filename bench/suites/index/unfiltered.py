"""Recall against queries a second, without a filter, by one thread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.suites.index import dense_work
from bench.suites.index.collection import Collection
from bench.suites.index.contenders import Contender
from bench.suites.index.crew import crew, in_turns
from bench.suites.index.observations import Calling, CurvePoint
from bench.suites.index.workload import UnfilteredPlan

_CALLING: tuple[Calling, ...] = ("one", "batch")


class _Setting(NamedTuple):
    effort: int
    calling: Calling
    contender: str


def measure_unfiltered(
    collection: Collection, contenders: Sequence[Contender], plan: UnfilteredPlan, k: int, rng: np.random.Generator
) -> list[CurvePoint]:
    """Every contender at every effort, in turns; a first round warms up and is not recorded."""
    rows = len(collection.vectors)
    asked = rng.permutation(len(collection.queries))[: plan.queries]
    truth = collection.truth(rows, asked, k)
    settings = [_Setting(e, c, each.name) for e in plan.efforts for c in _CALLING for each in contenders]
    seconds: dict[_Setting, list[float]] = defaultdict(list)
    found: dict[_Setting, int] = {}
    with crew(contenders, collection, rows) as workers:
        for worker in workers.values():
            worker.call(dense_work.set_queries, truth.queries)

        def do(number: int, setting: _Setting) -> None:
            work = dense_work.one_by_one if setting.calling == "one" else dense_work.all_at_once
            timed = workers[setting.contender].call(work, k, setting.effort)
            found[setting] = truth.hits(timed.rows)
            if number:
                seconds[setting].append(timed.seconds)

        in_turns(settings, 1 + plan.rounds, do)
    return [
        CurvePoint(
            each.contender,
            each.calling,
            each.effort,
            rows,
            len(asked),
            found[each],
            truth.wanted,
            tuple(seconds[each]),
        )
        for each in settings
    ]
