"""A whole search of one part in one call: among listed rows, cell by cell, or along the graph. A search takes a hundred
microseconds; each call of a kernel from Python takes one to three of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.cells import scan_cells
from kernels.distance import dot_floats
from kernels.graph import keep_allowed, walk
from kernels.jit import kernel
from kernels.pool import Entries, unpack
from kernels.scan import refine, scan_digits

Digits = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]


@kernel
def _finish(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    center: Floats,
    vector: Floats,
    codes: Codes,
    codes_fine: Codes,
    step: float,
    pool: Entries,
    found: int,
    rows: Rows,
    scores: Floats,
) -> int:
    best = np.empty(rows.shape[0], np.int64)
    bias = dot_floats(center, vector)
    kept = refine(digits, fine, scales, bias, codes, codes_fine, step, pool, found, best)
    unpack(best[:kept], rows, scores)
    return kept


@kernel
def nearest_listed(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    center: Floats,
    vector: Floats,
    codes: Codes,
    codes_fine: Codes,
    step: float,
    candidates: Rows,
    pool: Entries,
    rows: Rows,
    scores: Floats,
) -> int:
    """The candidates nearest to the query, best first, into rows: int32[k] and scores: float32[k]; returns how many.

    digits, fine, scales, center: as `encode` fills them. vector: float32[d], and codes, codes_fine, step: as
    `prepare_query` gives them. candidates: int32[m]. pool: int64[p]: so many are refined.
    """
    found = scan_digits(digits, scales, codes, candidates, pool)
    return _finish(digits, fine, scales, center, vector, codes, codes_fine, step, pool, found, rows, scores)


@kernel
def nearest_in_cells(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    center: Floats,
    vector: Floats,
    codes: Codes,
    codes_fine: Codes,
    step: float,
    ends: Rows,
    means: Floats,
    deviations: Floats,
    allowed: Words,
    fewest: int,
    missing: float,
    listed: Rows,
    pool: Entries,
    counts: Entries,
    rows: Rows,
    scores: Floats,
) -> int:
    """As `nearest_listed`, for the allowed rows that `scan_cells` finds. The other arguments: see there."""
    k = rows.shape[0]
    found = scan_cells(
        digits, scales, ends, means, deviations, codes, allowed, k, fewest, missing, listed, pool, counts
    )
    counts[0] += found
    return _finish(digits, fine, scales, center, vector, codes, codes_fine, step, pool, found, rows, scores)


@kernel
def nearest_walked(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    center: Floats,
    vector: Floats,
    codes: Codes,
    codes_fine: Codes,
    step: float,
    links: Rows,
    starts: Rows,
    allowed: Words,
    fewest: int,
    refined: int,
    visited: Words,
    trail: Rows,
    pool: Entries,
    counts: Entries,
    rows: Rows,
    scores: Floats,
) -> int:
    """As `nearest_listed`, for the allowed rows that `walk` finds, `refined` of which are refined; nothing, and 0, if
    it has fewer than `fewest` of them in view. The other arguments: see `walk`."""
    size = walk(digits, scales, links, starts, codes, visited, trail, pool, counts)
    found = keep_allowed(pool, size, allowed, refined)
    if found < fewest:
        return 0
    counts[0] += found
    return _finish(digits, fine, scales, center, vector, codes, codes_fine, step, pool, found, rows, scores)
