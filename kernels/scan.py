"""Comparing given rows with a query: by digits, then the best of them by everything that is stored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.distance import dot_codes, dot_digits, sum_codes
from kernels.jit import kernel
from kernels.memory import prefetch_row
from kernels.pool import Entries, entry_of, offer, row_of
from kernels.quantization import DIGIT_CENTER, FINE_STEPS

Digits = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]

_ROWS_AHEAD = 8


@kernel
def scan_digits(digits: Digits, scales: Floats, query: Codes, candidates: Rows, pool: Entries) -> int:
    """Fills the pool with the candidates of the greatest scales[row] * ((digits[row] - 7.5) . query), best first;
    returns how many are filled, min(len(pool), m).

    digits: uint8[n, w / 2], C-contiguous, w a multiple of 128; scales: float32[n]; query: int8[w]; candidates:
    int32[m], distinct rows. Scores lack the query's scale and its product with the rows' center, which does not change
    their order.
    """
    return scan_more(digits, scales, query, candidates, pool, 0)


@kernel
def scan_more(digits: Digits, scales: Floats, query: Codes, candidates: Rows, pool: Entries, size: int) -> int:
    """As `scan_digits`, into a pool that has `size` entries of other rows already; returns how many it has then."""
    offset = DIGIT_CENTER * np.float32(sum_codes(query))
    capacity = pool.shape[0]
    last = candidates.shape[0] - 1
    for i in range(candidates.shape[0]):
        prefetch_row(digits, candidates[min(i + _ROWS_AHEAD, last)])
        row = candidates[i]
        score = (np.float32(dot_digits(digits[row], query)) - offset) * scales[row]
        entry = entry_of(score, row)
        if size < capacity or entry > pool[capacity - 1]:  # not left to offer: the call costs as much as the product
            offer(pool, size, entry)
            size = min(size + 1, capacity)
    return size


@kernel
def refine(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    bias: float,
    query: Codes,
    query_fine: Codes,
    step: float,
    pool: Entries,
    size: int,
    best: Entries,
) -> int:
    """Ranks the rows of `size` entries of the pool by bias + scales[row] * (digits[row] - 7.5 + fine[row] / 254) . q,
    where q = step * (query + query_fine / 254); the first go into `best`, best first. Returns how many, min(len(best),
    size).

    fine: int8[n, w]; query, query_fine, step: as `prepare_query` gives them; bias: the query's product with the rows'
    center. Products are of integers and exact: 40 rows that lie anywhere take 13 us, and took 24
    as floats.
    """
    query_sum, query_fine_sum = sum_codes(query), sum_codes(query_fine)
    for i in range(size):
        prefetch_row(fine, row_of(pool[i]))
    kept = 0
    for i in range(size):
        row = row_of(pool[i])
        product = _product(digits[row], fine[row], query, query_sum)
        product += _product(digits[row], fine[row], query_fine, query_fine_sum) / FINE_STEPS
        offer(best, kept, entry_of(np.float32(bias) + scales[row] * np.float32(step) * product, row))
        kept = min(kept + 1, best.shape[0])
    return kept


@kernel
def _product(digits: Digits, fine: Codes, query: Codes, query_sum: int) -> np.float32:
    """(digits - 7.5 + fine / 254) . query, for one row."""
    coarse = np.float32(dot_digits(digits, query)) - DIGIT_CENTER * np.float32(query_sum)
    return coarse + np.float32(dot_codes(fine, query, query_sum)) / FINE_STEPS
