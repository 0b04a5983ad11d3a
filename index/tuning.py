"""Measuring, on the machine and the vectors at hand, where one way of searching becomes slower than the next."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import kernels
from index.dense.side import DenseQuery, DenseSide, Effort
from index.errors import SearchStopped
from index.options import IndexOptions
from index.part import Part
from index.planner import Plan, PlannerThresholds
from index.row_sets import Words, no_rows
from index.snapshot import Snapshot
from index.stopping import Stop, never

_K = 10
_FEWEST, _MOST = 250, 16_000
"""Allowed rows between which the end of comparing them all is looked for."""
_STEP = math.sqrt(2.0)
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class NothingToMeasure(ValueError):
    """No part of the index has a graph: there is one way to search it."""

    def __init__(self) -> None:
        super().__init__("no part of the index has a graph yet: every vector is compared, and nothing is to be decided")


@dataclass(frozen=True, slots=True)
class Measured:
    """At `allowed` rows, the one way took `ratio` times as long as the other (median over all repeats)."""

    allowed: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """The thresholds, and what they come from: `flat` compares FLAT with CELLS, `walk` WALK with
    CELLS, on a part of `rows` rows."""

    thresholds: PlannerThresholds
    rows: int
    flat: tuple[Measured, ...]
    walk: tuple[Measured, ...]


def measure(snapshot: Snapshot, options: IndexOptions, repeats: int = 41, stop: Stop = never) -> Tuning:
    """Searches the largest part that has a graph, with stored vectors as questions.

    Each time another set of rows is allowed, so that none is in the processor's caches because it was asked for before;
    the two ways take turns, and their ratio counts, so that what else the machine does falls on both. Cost: some
    seconds. Raises NothingToMeasure, SearchStopped.
    """
    part, live = _largest(snapshot)
    side = part.dense
    wanted = max(options.min_candidates, options.candidates_per_hit * _K)
    bench = _Bench(
        side, live, Effort(options.search_effort, options.refined_per_candidate * wanted), wanted, repeats, stop
    )
    sizes = _sizes(len(live))
    flat = [Measured(size, bench.ratio(Plan.FLAT, size)) for size in sizes]
    counts = [round(share * len(live)) for share in _SHARES]
    walk = [Measured(count, bench.ratio(Plan.WALK, count)) for count in counts]
    thresholds = PlannerThresholds(
        flat_rows=round(last_not_slower(flat)), walk_share=round(first_not_slower(walk) / side.vectors.rows, 3)
    )
    return Tuning(thresholds, len(live), tuple(flat), tuple(walk))


def last_not_slower(measured: Sequence[Measured]) -> float:
    """Up to how many allowed rows the ratio stays at or below 1, between two measured ones on a logarithmic scale; the
    first one if it never is. measured: by growing `allowed`."""
    if measured[0].ratio > 1.0:
        return measured[0].allowed
    for before, after in itertools.pairwise(measured):
        if after.ratio > 1.0:
            return _crossing(before, after)
    return measured[-1].allowed


def first_not_slower(measured: Sequence[Measured]) -> float:
    """From how many allowed rows on the ratio stays at or below 1; the last one if it never is. measured: by growing
    `allowed`."""
    return last_not_slower(measured[::-1])


def _crossing(before: Measured, after: Measured) -> float:
    """Where the ratio is 1, if it is below on the one side and above on the other."""
    low, high = math.log(before.ratio), math.log(after.ratio)
    share = low / (low - high)
    return math.exp(math.log(before.allowed) * (1.0 - share) + math.log(after.allowed) * share)


def _largest(snapshot: Snapshot) -> tuple[Part, npt.NDArray[np.int64]]:
    graphs = [(part, rows) for part, rows in snapshot.live_rows() if part.dense.graphed is not None and len(rows)]
    if not graphs:
        raise NothingToMeasure
    return max(graphs, key=lambda each: len(each[1]))


def _sizes(rows: int) -> list[int]:
    most = min(rows, _MOST)
    steps = max(1, math.floor(math.log(max(most / _FEWEST, 1.0), _STEP)))
    return [min(most, round(_FEWEST * _STEP**step)) for step in range(steps + 1)]


class _Bench:
    def __init__(
        self,
        side: DenseSide,
        live: npt.NDArray[np.int64],
        effort: Effort,
        wanted: int,
        repeats: int,
        stop: Stop,
    ) -> None:
        self._side = side
        self._live = live
        self._effort = effort
        self._wanted = wanted
        self._repeats = repeats
        self._stop = stop
        self._random = np.random.default_rng(0)

    def ratio(self, plan: Plan, size: int) -> float:
        """How long `plan` takes with `size` allowed rows, as a multiple of opening cells: the median of repeats."""
        ratios = []
        for number in range(self._repeats + 1):
            if self._stop():
                raise SearchStopped
            allowed = self._allowed(size)
            [vector] = self._side.vectors.decoded(self._random.choice(self._live, 1))
            query = DenseQuery.of(vector)
            plans = [plan, Plan.CELLS]
            seconds = {each: self._seconds(each, query, allowed) for each in (plans if number % 2 else plans[::-1])}
            if number:  # the first one finds everything cold
                ratios.append(seconds[plan] / seconds[Plan.CELLS])
        return statistics.median(ratios)

    def _seconds(self, plan: Plan, query: DenseQuery, allowed: Words) -> float:
        started = time.perf_counter()
        self._side.search_by(plan, query, allowed, kernels.count(allowed), self._wanted, self._effort)
        return time.perf_counter() - started

    def _allowed(self, size: int) -> Words:
        words = no_rows(self._side.vectors.rows)
        rows = self._random.choice(self._live, min(size, len(self._live)), replace=False)
        np.bitwise_or.at(words, rows // kernels.WORD_BITS, np.uint64(1) << (rows % kernels.WORD_BITS).astype(np.uint64))
        return words
