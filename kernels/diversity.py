"""Choosing results that differ from one another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.distance import dot_floats
from kernels.jit import kernel


@kernel
def select_diverse(
    relevance: npt.NDArray[np.float32],
    vectors: npt.NDArray[np.float32],
    relevance_weight: float,
    nearest: npt.NDArray[np.float32],
    selected: npt.NDArray[np.int32],
) -> int:
    """Maximal marginal relevance (Carbonell, Goldstein, SIGIR 1998): again and again takes the item with the greatest
    relevance_weight * relevance - (1 - relevance_weight) * (its greatest similarity to an item taken before).

    relevance: float32[n]; vectors: float32[n, d], rows of length 1. nearest: float32[n] is scratch. selected: int32[k]
    is written in place, in order; returns how many are filled, min(k, n). Cost: O(k n d).
    """
    wanted = min(selected.shape[0], relevance.shape[0])
    for i in range(relevance.shape[0]):
        nearest[i] = np.float32(-np.inf)
    for taken in range(wanted):
        best, best_score = -1, -np.inf
        for i in range(relevance.shape[0]):
            if np.isnan(nearest[i]):
                continue
            novelty = 0.0 if taken == 0 else (1.0 - relevance_weight) * nearest[i]
            score = relevance_weight * relevance[i] - novelty
            if best < 0 or score > best_score:
                best, best_score = i, score
        selected[taken] = best
        for i in range(relevance.shape[0]):
            similarity = dot_floats(vectors[i], vectors[best])
            if similarity > nearest[i]:
                nearest[i] = similarity
        nearest[best] = np.float32(np.nan)
    return int(wanted)
