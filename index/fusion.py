"""From two rankings to one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import kernels
from index.search import BranchPlace, ConvexFusion, Fusion, ReciprocalRankFusion

Items = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

_ROUNDING = 1e-5
"""Relevances whose relative difference is less are equal: it would be blown up to the whole range."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """One branch's candidates, best first. items: int64[n], distinct; scores: float32[n]."""

    items: Items
    scores: Scores


@dataclass(frozen=True, slots=True, eq=False)
class _Branch:
    """Ranks from 1 and scores, float32[m], of all candidates; NaN where the branch did not return one."""

    ranks: Scores
    scores: Scores

    def place(self, candidate: int) -> BranchPlace | None:
        rank = float(self.ranks[candidate])
        return BranchPlace(int(rank), float(self.scores[candidate])) if rank == rank else None


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What at least one branch returned, in no order that means something. items: int64[m]; scores: float32[m]."""

    items: Items
    scores: Scores
    dense: _Branch
    lexical: _Branch


def fuse(dense: Ranking | None, lexical: Ranking | None, fusion: Fusion) -> Candidates:
    """All candidates with fused scores; with the branch's own ones if the other was not asked (None)."""
    asked = [ranking for ranking in (dense, lexical) if ranking is not None]
    items = np.unique(np.concatenate([np.empty(0, np.int64), *(ranking.items for ranking in asked)]))
    by_vector, by_words = _spread(dense, items), _spread(lexical, items)
    if dense is None or lexical is None:
        return Candidates(items, by_words.scores if dense is None else by_vector.scores, by_vector, by_words)
    fused, weight = np.empty(len(items), np.float32), float(fusion.dense_weight)
    match fusion:
        case ReciprocalRankFusion():
            kernels.fuse_reciprocal_rank(by_vector.ranks, by_words.ranks, weight, int(fusion.k), fused)
        case ConvexFusion():
            kernels.fuse_convex(by_vector.scores, by_words.scores, weight, fused)
        case _:
            kernels.fuse_distribution(by_vector.scores, by_words.scores, weight, fused)
    return Candidates(items, fused, by_vector, by_words)


def best_first(scores: Scores, items: Items, limit: int, chunk_id: Callable[[int], str]) -> npt.NDArray[np.int64]:
    """Where the `limit` greatest scores are, equal ones in the order of their items' ids. An id is read only where it
    decides."""
    places = np.arange(len(scores))
    if len(scores) > limit:
        places = np.flatnonzero(scores >= np.partition(scores, len(scores) - limit)[len(scores) - limit])
    order = places[np.argsort(-scores[places], kind="stable")]
    ranked = scores[order]
    if (ranked[1:] == ranked[:-1]).any():
        order = np.array(
            [
                place
                for _, alike in itertools.groupby(order.tolist(), key=scores.__getitem__)
                for place in _by_id(list(alike), items, chunk_id)
            ],
            np.int64,
        )
    return order[:limit]


def most_diverse(
    relevance: Scores, vectors: npt.NDArray[np.float32], relevance_weight: float, limit: int
) -> npt.NDArray[np.int32]:
    """Where the `limit` candidates are that maximal marginal relevance chooses, in the order in which it does.

    relevance: float32[m], any scale, best first (it decides between equals); vectors: float32[m, d], rows of length 1.
    """
    selected = np.empty(min(limit, len(relevance)), np.int32)
    if not len(relevance):
        return selected
    least, spread = relevance.min(), np.ptp(relevance)
    alike = spread <= _ROUNDING * np.abs(relevance).max()
    scaled = np.ones_like(relevance) if alike else (relevance - least) / spread
    rows = vectors.view()
    rows.flags.writeable = False
    kernels.select_diverse(scaled, rows, float(relevance_weight), np.empty_like(scaled), selected)
    return selected


def _spread(ranking: Ranking | None, items: Items) -> _Branch:
    ranks, scores = np.full((2, len(items)), np.nan, np.float32)
    if ranking is not None:
        places = np.searchsorted(items, ranking.items)
        ranks[places] = np.arange(1, len(places) + 1)
        scores[places] = ranking.scores
    return _Branch(ranks, scores)


def _by_id(places: list[int], items: Items, chunk_id: Callable[[int], str]) -> list[int]:
    return places if len(places) == 1 else sorted(places, key=lambda place: chunk_id(int(items[place])))
