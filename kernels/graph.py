"""Walking a proximity graph: from a few rows, always on from the best row that was not expanded yet.

The graph has one level; it is HNSW's level 0 (Malkov and Yashunin, "Efficient and robust approximate nearest neighbor
search using Hierarchical Navigable Small World graphs", 2018, algorithm 2). In the place of the upper levels stand a
few rows to start from: in hundreds of dimensions the levels above lead no faster (Munyampirwa, Lakshman and Coleman,
"Down with the Hierarchy: The 'H' in HNSW Stands for Hubs", 2024).

The best rows so far are one sorted pool, as in NSG (Fu et al., 2019, algorithm 1): what to expand next is the first one
that was not, and the pool's length is the effort.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.distance import dot_digits, sum_codes
from kernels.jit import kernel
from kernels.memory import prefetch_row
from kernels.pool import EXPANDED, Entries, entry_of, offer, row_of
from kernels.quantization import DIGIT_CENTER

NO_ROW = -1

_ROWS_AT_ONCE = 2

Digits = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]


@kernel
def _visit(visited: Words, row: int) -> bool:
    """Marks the row; whether it was not marked before."""
    bit = np.uint64(1) << np.uint64(row & 63)
    word = visited[row >> 6]
    visited[row >> 6] = word | bit
    return bool((word & bit) == np.uint64(0))


@kernel
def _contains(words: Words, row: int) -> bool:
    return bool((words[row >> 6] >> np.uint64(row & 63)) & np.uint64(1))


@kernel
def _rank(
    digits: Digits,
    scales: Floats,
    links: Rows,
    query: Codes,
    offset: float,
    trail: Rows,
    first: int,
    walked: int,
    pool: Entries,
    size: int,
) -> tuple[int, int]:
    """Offers trail[first:walked] to the pool of `size` entries; returns its new size and the first changed place."""
    capacity = pool.shape[0]
    lowest = capacity
    for i in range(first, walked):
        row = trail[i]
        score = (np.float32(dot_digits(digits[row], query)) - np.float32(offset)) * scales[row]
        place = offer(pool, size, entry_of(score, row))
        if place < capacity:
            prefetch_row(links, row)
            size = min(size + 1, capacity)
            lowest = min(lowest, place)
    return size, lowest


@kernel
def _begin(digits: Digits, starts: Rows, visited: Words, trail: Rows) -> int:
    """Puts the starts on the trail, each once; returns how many."""
    walked = 0
    for i in range(starts.shape[0]):
        if 0 <= starts[i] < digits.shape[0] and _visit(visited, starts[i]):
            prefetch_row(digits, starts[i])
            trail[walked] = starts[i]
            walked += 1
    return walked


@kernel
def walk(
    digits: Digits,
    scales: Floats,
    links: Rows,
    starts: Rows,
    query: Codes,
    visited: Words,
    trail: Rows,
    pool: Entries,
    counts: Entries,
) -> int:
    """Fills the pool with rows of great scales[row] * ((digits[row] - 7.5) . query), best first; returns how many.

    digits, scales, query: as for `scan_digits`. links: int32[n, degree], each row's neighbours, filled up with NO_ROW
    (what is no row ends them: a damaged file must do no harm).
    starts: int32[m], where to begin. visited: uint64[ceil(n/64)], all zero before and after. trail: int32[n + 1].
    pool: int64[k], k >= 1. counts: int64[2]: distances computed and rows expanded are added to it. Two rows are
    expanded at once: while the memory of one is awaited, the other is worked on.
    """
    rows = digits.shape[0]
    offset = float(DIGIT_CENTER * np.float32(sum_codes(query)))
    walked = _begin(digits, starts, visited, trail)
    size, at = _rank(digits, scales, links, query, offset, trail, 0, walked, pool, 0)
    expanded = 0
    while at < size:
        first = walked
        taken = 0
        while at < size and taken < _ROWS_AT_ONCE:
            if pool[at] & EXPANDED == 0:
                row = row_of(pool[at])
                pool[at] |= EXPANDED
                taken += 1
                for i in range(links.shape[1]):
                    neighbour = links[row, i]
                    if not 0 <= neighbour < rows:
                        break
                    if _visit(visited, neighbour):
                        prefetch_row(digits, neighbour)
                        trail[walked] = neighbour
                        walked += 1
            at += 1
        expanded += taken
        size, lowest = _rank(digits, scales, links, query, offset, trail, first, walked, pool, size)
        at = min(at, lowest)
    for i in range(walked):
        visited[trail[i] >> 6] = np.uint64(0)
    counts[0] += walked
    counts[1] += expanded
    return size


@kernel
def keep_allowed(pool: Entries, size: int, allowed: Words, limit: int) -> int:
    """Leaves the first `limit` entries of the pool whose rows are allowed, unmarked, in order; returns how many."""
    kept = 0
    for i in range(size):
        if kept == limit:
            break
        if _contains(allowed, row_of(pool[i])):
            pool[kept] = pool[i] & ~EXPANDED
            kept += 1
    return kept
