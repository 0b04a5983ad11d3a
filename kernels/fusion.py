"""Combining two rankings of the same items.

All arrays are float32[n], one entry per item that at least one branch returned; NaN where a branch did not return it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.jit import kernel

Scores = npt.NDArray[np.float32]

_ROUNDING = 1e-5
"""Scores whose relative difference is less are equal: it would be blown up to the whole range."""


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


@kernel
def fuse_distribution(dense: Scores, lexical: Scores, dense_weight: float, fused: Scores) -> None:
    """Weighted sum of scores normalized by how each branch's scores are distributed ("Distribution-Based Score Fusion",
    Mazzeschi 2023, as in Qdrant), into `fused`.

    What lies three (population) standard deviations below a branch's mean becomes 0 and three above it 1, what lies
    beyond is clipped; scores that are equal but for rounding become 0.5. What a branch did not return counts 0 there.
    """
    fused[:] = 0.0
    _add_distributed(dense, dense_weight, fused)
    _add_distributed(lexical, 1.0 - dense_weight, fused)


@kernel
def _add_distributed(scores: Scores, weight: float, fused: Scores) -> None:
    present, total, squares = 0, 0.0, 0.0
    least, greatest = np.float32(np.inf), np.float32(-np.inf)
    for score in scores:
        if not np.isnan(score):
            present += 1
            total += score
            least = min(least, score)
            greatest = max(greatest, score)
    mean = total / present if present else 0.0
    for score in scores:
        if not np.isnan(score):
            squares += (score - mean) ** 2
    alike = greatest - least <= _ROUNDING * max(abs(least), abs(greatest))
    deviation = 0.0 if alike else np.sqrt(squares / present)
    for i in range(scores.shape[0]):
        if not np.isnan(scores[i]):
            scaled = (scores[i] - mean) / (6.0 * deviation) + 0.5 if deviation > 0 else 0.5
            fused[i] += weight * min(max(scaled, 0.0), 1.0)
