"""How fast vectors become a searchable segment, and how good that segment is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from bench.suites.index import dense_work
from bench.suites.index.collection import Collection
from bench.suites.index.contenders import Contender
from bench.suites.index.crew import in_turns
from bench.suites.index.observations import Build, CurvePoint
from bench.suites.index.processes import Worker
from bench.suites.index.workload import SealingPlan


def measure_sealing(
    collection: Collection, contenders: Sequence[Contender], plan: SealingPlan, k: int, rng: np.random.Generator
) -> tuple[list[Build], list[CurvePoint]]:
    """Builds by one thread, in turns; then each result's recall and times, in as many rounds."""
    rows = min(plan.rows, len(collection.vectors))
    asked = rng.permutation(len(collection.queries))[: plan.queries]
    truth = collection.truth(rows, asked, k)
    names = [each.name for each in contenders]
    built_s: dict[str, list[float]] = defaultdict(list)
    searched_s: dict[tuple[int, str], list[float]] = defaultdict(list)
    found: dict[tuple[int, str], int] = {}
    with ExitStack() as stack:
        workers = {
            each.name: stack.enter_context(Worker(each.python, dense_work.maker(each.name))) for each in contenders
        }

        def build(number: int, name: str) -> None:
            built_s[name].append(workers[name].call(dense_work.build, collection.vectors_path, rows, 1))

        def search(number: int, setting: tuple[int, str]) -> None:
            effort, name = setting
            timed = workers[name].call(dense_work.one_by_one, k, effort)
            found[setting] = truth.hits(timed.rows)
            if number:
                searched_s[setting].append(timed.seconds)

        in_turns(names, plan.rounds, build)
        for worker in workers.values():
            worker.call(dense_work.set_queries, truth.queries)
        settings = [(effort, name) for effort in plan.efforts for name in names]
        in_turns(settings, 1 + plan.rounds, search)
    builds = [Build(name, rows, tuple(built_s[name])) for name in names]
    points = [
        CurvePoint(
            name, "one", effort, rows, len(asked), found[effort, name], truth.wanted, tuple(searched_s[effort, name])
        )
        for effort, name in settings
    ]
    return builds, points
