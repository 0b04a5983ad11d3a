"""Exhaustive search among given rows: int8 codes first, float32 for the best of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.distance import dot_codes, dot_floats, sum_codes
from kernels.jit import kernel
from kernels.topk import keep_best, sort_best_first


@kernel
def scan_codes(
    codes: npt.NDArray[np.int8],
    scales: npt.NDArray[np.float32],
    query: npt.NDArray[np.int8],
    candidates: npt.NDArray[np.int32],
    scores: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int32],
) -> int:
    """Finds the candidates with the greatest scales[row] * (codes[row] . query), best first.

    codes: int8[n, w], C-contiguous, w a multiple of 64; scales: float32[n]; query: int8[w]; candidates: int32[m],
    distinct rows. scores: float32[k] and rows: int32[k] are written in place; returns how many are filled, min(k, m).
    Scores lack the query's scale, which does not change their order. Cost with VNNI and 384 codes: 10 ns a row, 30 ns
    where rows lie scattered over more memory than the caches hold (bench/kernels).
    """
    query_sum = sum_codes(query)
    kept = rows.shape[0]
    size = 0
    for i in range(candidates.shape[0]):
        row = candidates[i]
        score = np.float32(dot_codes(codes[row], query, query_sum)) * scales[row]
        if size < kept or score >= scores[0]:  # not left to keep_best: the call would cost as much as the product
            size = keep_best(scores, rows, size, score, row)
    sort_best_first(scores, rows, size)
    return size


@kernel
def rescore(
    vectors: npt.NDArray[np.float32],
    query: npt.NDArray[np.float32],
    candidates: npt.NDArray[np.int32],
    scores: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int32],
) -> int:
    """Finds the candidates with the greatest inner product with `query`, best first.

    vectors: float32[n, d], C-contiguous; query: float32[d]; candidates: int32[m], distinct rows. scores: float32[k] and
    rows: int32[k] are written in place; returns how many are filled, min(k, m).
    """
    size = 0
    for i in range(candidates.shape[0]):
        row = candidates[i]
        size = keep_best(scores, rows, size, dot_floats(vectors[row], query), row)
    sort_best_first(scores, rows, size)
    return size
