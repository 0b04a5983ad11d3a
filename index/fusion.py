"""From two rankings to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

import kernels
from index.search import BranchPlace, ConvexFusion, Fusion, Hit

Ranking = Sequence[tuple[str, float]]
"""Chunk ids with their scores, best first."""


def fuse(dense: Ranking | None, lexical: Ranking | None, fusion: Fusion, limit: int) -> tuple[Hit, ...]:
    """The best `limit` chunks; equal scores in the order of their ids. A branch that was not asked is None."""
    by_vector, by_words = _places(dense or ()), _places(lexical or ())
    chunk_ids = sorted(by_vector.keys() | by_words.keys())
    if dense is None or lexical is None:
        alone = by_vector or by_words
        scores = [alone[chunk_id].score for chunk_id in chunk_ids]
    else:
        scores = _fused(chunk_ids, by_vector, by_words, fusion).tolist()
    best = sorted(zip(chunk_ids, scores, strict=True), key=lambda each: -each[1])[:limit]
    return tuple(Hit(chunk_id, score, by_vector.get(chunk_id), by_words.get(chunk_id)) for chunk_id, score in best)


def _places(ranking: Ranking) -> dict[str, BranchPlace]:
    return {chunk_id: BranchPlace(rank, score) for rank, (chunk_id, score) in enumerate(ranking, start=1)}


def _fused(
    chunk_ids: Sequence[str],
    by_vector: Mapping[str, BranchPlace],
    by_words: Mapping[str, BranchPlace],
    fusion: Fusion,
) -> npt.NDArray[np.float32]:
    fused = np.empty(len(chunk_ids), np.float32)
    places = [[branch.get(chunk_id) for chunk_id in chunk_ids] for branch in (by_vector, by_words)]
    if isinstance(fusion, ConvexFusion):
        dense, lexical = ([np.nan if place is None else place.score for place in branch] for branch in places)
        kernels.fuse_convex(_floats(dense), _floats(lexical), float(fusion.dense_weight), fused)
    else:
        dense, lexical = ([np.nan if place is None else place.rank for place in branch] for branch in places)
        weight = float(fusion.dense_weight)
        kernels.fuse_reciprocal_rank(_floats(dense), _floats(lexical), weight, int(fusion.k), fused)
    return fused


def _floats(values: Sequence[float]) -> npt.NDArray[np.float32]:
    return np.array(values, np.float32)
