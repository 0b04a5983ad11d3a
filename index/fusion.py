"""From two rankings to one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import kernels
from index.search import BranchPlace, ConvexFusion, Fusion, ReciprocalRankFusion
from index.views import read_only

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

    def places(self, candidates: npt.NDArray[np.int64]) -> list[BranchPlace | None]:
        """Of each of these candidates, None where the branch did not return it."""
        pairs = zip(self.ranks[candidates].tolist(), self.scores[candidates].tolist(), strict=True)
        return [BranchPlace(int(rank), score) if rank == rank else None for rank, score in pairs]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What at least one branch returned, in no order that means something. items: int64[m]; scores: float32[m]."""

    items: Items
    scores: Scores
    dense: _Branch
    lexical: _Branch


def fuse(dense: Ranking | None, lexical: Ranking | None, fusion: Fusion) -> Candidates:
    """All candidates with fused scores; with the branch's own ones if the other was not asked (None)."""
    number: dict[int, int] = {}
    of_dense, of_lexical = _numbered(dense, number), _numbered(lexical, number)
    items = np.fromiter(number, np.int64, len(number))
    by_vector, by_words = _spread(dense, of_dense, len(number)), _spread(lexical, of_lexical, len(number))
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
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    alike = np.flatnonzero(ranked[1:] == ranked[:-1])
    done = 0
    for first in alike[alike < limit].tolist():
        if first < done:
            continue
        done = first + int(np.searchsorted(-ranked[first:], -ranked[first], side="right"))
        order[first:done] = sorted(order[first:done].tolist(), key=lambda place: chunk_id(int(items[place])))
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
    kernels.select_diverse(scaled, read_only(vectors), float(relevance_weight), np.empty_like(scaled), selected)
    return selected


def _numbered(ranking: Ranking | None, number: dict[int, int]) -> list[int]:
    """The candidates' numbers; those that had none get the next one."""
    return [] if ranking is None else [number.setdefault(item, len(number)) for item in ranking.items.tolist()]


def _spread(ranking: Ranking | None, places: list[int], candidates: int) -> _Branch:
    ranks, scores = np.full((2, candidates), np.nan, np.float32)
    if ranking is not None:
        ranks[places] = np.arange(1, len(places) + 1)
        scores[places] = ranking.scores
    return _Branch(ranks, scores)
