"""Searching the index as it was at one moment."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from index.dense.flat import DenseQuery, search_flat
from index.errors import SearchStopped
from index.filters import Filter, allowed_rows
from index.fusion import Ranking, fuse
from index.lexical.analyzer import Analyzer
from index.lexical.query import parse
from index.lexical.tantivy_segment import global_weights
from index.options import IndexOptions
from index.part import Part
from index.planner import Plan, choose_plan
from index.row_sets import Words
from index.search import PartReport, SearchRequest, SearchResult

Stop = Callable[[], bool]
"""Asked between steps; True ends the search. It must be quick and safe to call from the searching thread."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class _Candidates:
    """What the filter leaves of one part."""

    part: Part
    allowed: Words
    count: int


class _Found(NamedTuple):
    score: float
    part: Part
    row: int


class Snapshot:
    """The head and all segments at one `position` of the log. Immutable; safe to use from many threads.

    It stays valid (its files stay mapped) until it is dropped, whatever the index does meanwhile.
    """

    def __init__(
        self, parts: Sequence[Part], position: int, dimension: int, analyzer: Analyzer, options: IndexOptions
    ) -> None:
        self.position = position
        self._dimension = dimension
        self._parts = tuple(parts)
        self._analyzer = analyzer
        self._options = options

    def search(self, request: SearchRequest, stop: Stop = _never) -> SearchResult:
        """The best chunks that the filter allows; it is applied in both branches before anything is ranked.

        Computes (and blocks) in the calling thread, mostly without the GIL. Raises SearchStopped, and ValueError for a
        limit below 1 or a vector of another dimension.
        """
        if request.limit < 1:
            raise ValueError(f"limit {request.limit}")
        wanted = request.candidates or max(
            self._options.min_candidates, self._options.candidates_per_hit * request.limit
        )
        candidates = [_filtered(part, request.filter, stop) for part in self._parts]
        dense, reports = self._by_vector(candidates, request.vector, wanted, stop)
        lexical = self._by_words(candidates, request.text, request.filter, wanted, stop)
        return SearchResult(
            hits=fuse(dense, lexical, request.fusion, request.limit),
            position=self.position,
            parts=reports,
            lexical_candidates=len(lexical or ()),
        )

    def _by_vector(
        self, candidates: Sequence[_Candidates], vector: npt.NDArray[np.float32] | None, wanted: int, stop: Stop
    ) -> tuple[Ranking | None, tuple[PartReport, ...]]:
        if vector is None:
            return None, tuple(PartReport(each.part.name, Plan.SKIP.value, each.count, 0) for each in candidates)
        if vector.shape != (self._dimension,):
            raise ValueError(f"a vector of the shape {vector.shape}")
        query = DenseQuery.of(vector)
        found: list[_Found] = []
        reports = []
        for each in candidates:
            _check(stop)
            plan, distances = choose_plan(each.count), 0
            if plan is Plan.FLAT:
                rescored = wanted * self._options.rescored_per_candidate
                nearest = search_flat(each.part.vectors, query, each.allowed, wanted, rescored)
                distances = nearest.distances
                scored = zip(nearest.rows.tolist(), nearest.scores.tolist(), strict=True)
                found += [_Found(score, each.part, row) for row, score in scored]
            reports.append(PartReport(each.part.name, plan.value, each.count, distances))
        return _best(found, wanted), tuple(reports)

    def _by_words(
        self, candidates: Sequence[_Candidates], text: str | None, wanted_rows: Filter, wanted: int, stop: Stop
    ) -> Ranking | None:
        if text is None:
            return None
        query = parse(text, self._analyzer)
        weights = global_weights([each.part.lexical for each in candidates], query.scoring)
        found: list[_Found] = []
        for each, weight_of in zip(candidates, weights, strict=True):
            _check(stop)
            if each.count:
                hits = each.part.lexical.search(query, weight_of, wanted_rows, each.allowed, wanted)
                found += [_Found(hit.score, each.part, hit.row) for hit in hits]
        return _best(found, wanted)


def _filtered(part: Part, wanted: Filter, stop: Stop) -> _Candidates:
    _check(stop)
    allowed, count = allowed_rows(wanted, part.columns, part.live)
    return _Candidates(part, allowed, count)


def _best(found: Sequence[_Found], wanted: int) -> Ranking:
    """Equal scores in the order of their ids; ids are read only for those that stay."""
    best = heapq.nlargest(wanted, found, key=lambda each: each.score)
    ranking = [(each.part.columns.chunk_id(each.row), each.score) for each in best]
    return sorted(ranking, key=lambda each: (-each[1], each[0]))


def _check(stop: Stop) -> None:
    if stop():
        raise SearchStopped
