"""Searching the index as it was at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.dense.side import DenseQuery, Effort
from index.errors import SearchStopped
from index.filters import Filter, allowed_rows
from index.fusion import Candidates, Ranking, best_first, fuse, most_diverse
from index.lexical.analyzer import Analyzer
from index.lexical.query import parse
from index.lexical.tantivy_segment import global_weights, rarities
from index.options import IndexOptions
from index.part import Part
from index.planner import Plan
from index.row_sets import Words, row_numbers
from index.search import Hit, PartReport, SearchRequest, SearchResult
from index.stopping import Stop, never

_ROW_BITS = 32
_LAST_ROW = (1 << _ROW_BITS) - 1


@dataclass(frozen=True, slots=True)
class _Filtered:
    """What the filter leaves of one part. The part's row r is the item `first + r` of a search."""

    part: Part
    first: int
    allowed: Words
    count: int


class Snapshot:
    """The head and all segments at one `position` of the log. Immutable; safe to use from many threads.

    It stays valid (its files stay mapped) until it is dropped, whatever the index does meanwhile.
    """

    def __init__(
        self, parts: Sequence[Part], position: int, dimension: int, analyzer: Analyzer, options: IndexOptions
    ) -> None:
        self.position = position
        self.dimension = dimension
        self._parts = tuple(parts)
        self._analyzer = analyzer
        self._options = options

    def search(self, request: SearchRequest, stop: Stop = never) -> SearchResult:
        """The best chunks that the filter allows; it is applied in both branches before anything is ranked.

        Computes (and blocks) in the calling thread, mostly without the GIL. Raises SearchStopped, and ValueError for a
        limit below 1, a diversity that is not between 0 and 1, or a vector of another dimension.
        """
        if request.limit < 1:
            raise ValueError(f"limit {request.limit}")
        if request.diversity is not None and not 0 <= request.diversity <= 1:
            raise ValueError(f"diversity {request.diversity}")
        wanted = request.candidates or max(
            self._options.min_candidates, self._options.candidates_per_hit * request.limit
        )
        filtered = [self._filtered(number, request.filter, stop) for number in range(len(self._parts))]
        dense, reports = self._by_vector(filtered, request.vector, wanted, stop)
        lexical = self._by_words(filtered, request.text, request.filter, wanted, stop)
        candidates = fuse(dense, lexical, request.fusion)
        return SearchResult(
            hits=self._hits(candidates, self._chosen(candidates, request)),
            position=self.position,
            parts=reports,
            lexical_candidates=0 if lexical is None else len(lexical.items),
        )

    def rarities(self, text: str) -> dict[str, float]:
        """How much each token of a query's text weighs: its inverse document frequency here (for `Highlighter`)."""
        return rarities([part.lexical for part in self._parts], parse(text, self._analyzer).scoring)

    def nearest(self, vector: npt.NDArray[np.float32], k: int, stop: Stop = never) -> tuple[str, ...]:
        """What a search by vector finds first in all chunks, whoever may see them: for measuring, not for answers."""
        wanted = max(self._options.min_candidates, self._options.candidates_per_hit * k)
        everything = [
            _Filtered(part, number << _ROW_BITS, part.live, len(row_numbers(part.live)))
            for number, part in enumerate(self._parts)
        ]
        found, _ = self._by_vector(everything, vector, wanted, stop)
        return () if found is None else tuple(self._chunk_id(item) for item in found.items[:k].tolist())

    @property
    def parts(self) -> tuple[Part, ...]:
        """What it is made of, the newest first."""
        return self._parts

    def live_rows(self) -> list[tuple[Part, npt.NDArray[np.int64]]]:
        """Each part and those of its rows that are not removed."""
        return [(part, row_numbers(part.live)) for part in self._parts]

    def _by_vector(
        self, filtered: Sequence[_Filtered], vector: npt.NDArray[np.float32] | None, wanted: int, stop: Stop
    ) -> tuple[Ranking | None, tuple[PartReport, ...]]:
        if vector is None:
            return None, tuple(PartReport(each.part.name, Plan.SKIP.value, each.count, 0) for each in filtered)
        if vector.shape != (self.dimension,):
            raise ValueError(f"a vector of the shape {vector.shape}")
        query = DenseQuery.of(vector)
        effort = Effort(self._options.search_effort, self._options.refined_per_candidate * wanted)
        found: list[Ranking] = []
        reports = []
        for each in filtered:
            _check(stop)
            nearest = each.part.dense.search(
                query, each.allowed, each.count, wanted, effort, self._options.planner_thresholds
            )
            if len(nearest.rows):
                found.append(Ranking(each.first + nearest.rows.astype(np.int64), nearest.scores))
            reports.append(
                PartReport(each.part.name, nearest.plan.value, each.count, nearest.distances, nearest.visited)
            )
        return self._best(found, wanted), tuple(reports)

    def _by_words(
        self, filtered: Sequence[_Filtered], text: str | None, wanted_rows: Filter, wanted: int, stop: Stop
    ) -> Ranking | None:
        if text is None:
            return None
        query = parse(text, self._analyzer)
        weights = global_weights([each.part.lexical for each in filtered], query.scoring)
        found: list[Ranking] = []
        for each, weight_of in zip(filtered, weights, strict=True):
            _check(stop)
            if each.count:
                hits = each.part.lexical.search(query, weight_of, wanted_rows, each.allowed, each.count, wanted)
                found.append(Ranking(each.first + hits.rows, hits.scores))
        return self._best(found, wanted)

    def _filtered(self, number: int, wanted: Filter, stop: Stop) -> _Filtered:
        _check(stop)
        part = self._parts[number]
        allowed, count = allowed_rows(wanted, part.columns, part.live)
        return _Filtered(part, number << _ROW_BITS, allowed, count)

    def _best(self, found: Sequence[Ranking], wanted: int) -> Ranking:
        if len(found) == 1:
            items, scores = found[0].items, found[0].scores
        else:
            items = np.concatenate([np.empty(0, np.int64), *(each.items for each in found)])
            scores = np.concatenate([np.empty(0, np.float32), *(each.scores for each in found)])
        order = best_first(scores, items, wanted, self._chunk_id)
        return Ranking(items[order], scores[order])

    def _chosen(self, candidates: Candidates, request: SearchRequest) -> npt.NDArray[np.int64]:
        if request.diversity is None:
            return best_first(candidates.scores, candidates.items, request.limit, self._chunk_id)
        order = best_first(candidates.scores, candidates.items, len(candidates.items), self._chunk_id)
        vectors = self._vectors(candidates.items[order])
        return order[most_diverse(candidates.scores[order], vectors, request.diversity, request.limit)]

    def _hits(self, candidates: Candidates, chosen: npt.NDArray[np.int64]) -> tuple[Hit, ...]:
        ids = map(self._chunk_id, candidates.items[chosen].tolist())
        places = candidates.dense.places(chosen), candidates.lexical.places(chosen)
        return tuple(map(Hit, ids, candidates.scores[chosen].tolist(), *places))

    def _chunk_id(self, item: int) -> str:
        return self._parts[item >> _ROW_BITS].columns.chunk_id(item & _LAST_ROW)

    def _vectors(self, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """float32[len(items), dimension]"""
        vectors = np.empty((len(items), self.dimension), np.float32)
        numbers, rows = items >> _ROW_BITS, items & _LAST_ROW
        for number in np.unique(numbers):
            of_part = numbers == number
            vectors[of_part] = self._parts[number].dense.vectors.decoded(rows[of_part])
        return vectors


def _check(stop: Stop) -> None:
    if stop():
        raise SearchStopped
