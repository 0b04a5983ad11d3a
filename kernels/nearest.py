"""A whole search of one part in one call: among listed rows, or along the graph. A search takes a hundred microseconds;
each call of a kernel from Python takes one to three of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.distance import dot_floats
from kernels.graph import keep_allowed, walk, walk_allowed
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
    query: Floats,
    pool: Entries,
    found: int,
    rows: Rows,
    scores: Floats,
) -> int:
    best = np.empty(rows.shape[0], np.int64)
    bias = dot_floats(center, query[: center.shape[0]])
    kept = refine(digits, fine, scales, bias, query, pool, found, best)
    unpack(best[:kept], rows, scores)
    return kept


@kernel
def nearest_listed(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    center: Floats,
    query: Floats,
    codes: Codes,
    candidates: Rows,
    pool: Entries,
    rows: Rows,
    scores: Floats,
) -> int:
    """The candidates nearest to the query, best first, into rows: int32[k] and scores: float32[k]; returns how many.

    digits, fine, scales, center: as `encode` fills them. query: float32[w], and codes: int8[w], the same quantized.
    candidates: int32[m]. pool: int64[p]: so many are refined.
    """
    found = scan_digits(digits, scales, codes, candidates, pool)
    return _finish(digits, fine, scales, center, query, pool, found, rows, scores)


@kernel
def nearest_walked(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    center: Floats,
    query: Floats,
    codes: Codes,
    links: Rows,
    starts: Rows,
    allowed: Words,
    through_allowed: bool,
    refined: int,
    visited: Words,
    trail: Rows,
    pool: Entries,
    counts: Entries,
    rows: Rows,
    scores: Floats,
) -> int:
    """As `nearest_listed`, for the allowed rows that `walk`, or `walk_allowed` if `through_allowed`, finds. refined: so
    many of them are. The other arguments: see `walk`."""
    if through_allowed:
        size = walk_allowed(digits, scales, links, starts, codes, allowed, visited, trail, pool, counts)
    else:
        size = walk(digits, scales, links, starts, codes, visited, trail, pool, counts)
    found = keep_allowed(pool, size, allowed, refined)
    counts[0] += found
    return _finish(digits, fine, scales, center, query, pool, found, rows, scores)
