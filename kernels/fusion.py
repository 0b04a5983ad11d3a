"""Combining two rankings of the same items.

All arrays are float32[n], one entry per item that at least one branch returned; NaN where a branch did not return it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.jit import kernel

Scores = npt.NDArray[np.float32]


@kernel
def fuse_convex(dense: Scores, lexical: Scores, dense_weight: float, fused: Scores) -> None:
    """Weighted sum of normalized scores (Bruch, Gai, Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval",
    2023, section 4), into `fused`.

    Dense scores are scaled from their least to their greatest (1 if all are equal), lexical ones, which are 0 or more,
    by their greatest. What a branch did not return counts 0 there.
    """
    least, greatest, greatest_lexical = np.float32(np.inf), np.float32(-np.inf), np.float32(0.0)
    for i in range(dense.shape[0]):
        if not np.isnan(dense[i]):
            least = min(least, dense[i])
            greatest = max(greatest, dense[i])
        if not np.isnan(lexical[i]):
            greatest_lexical = max(greatest_lexical, lexical[i])
    for i in range(dense.shape[0]):
        score = 0.0
        if not np.isnan(dense[i]):
            score += dense_weight * ((dense[i] - least) / (greatest - least) if greatest > least else 1.0)
        if not np.isnan(lexical[i]) and greatest_lexical > 0:
            score += (1.0 - dense_weight) * (lexical[i] / greatest_lexical)
        fused[i] = score


@kernel
def fuse_reciprocal_rank(
    dense_ranks: Scores, lexical_ranks: Scores, dense_weight: float, k: int, fused: Scores
) -> None:
    """Sum of weight / (k + rank) over the branches (Cormack, Clarke, Buettcher, SIGIR 2009), into `fused`. Ranks count
    from 1."""
    for i in range(dense_ranks.shape[0]):
        score = 0.0
        if not np.isnan(dense_ranks[i]):
            score += dense_weight / (k + dense_ranks[i])
        if not np.isnan(lexical_ranks[i]):
            score += (1.0 - dense_weight) / (k + lexical_ranks[i])
        fused[i] = score
