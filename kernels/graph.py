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

from kernels.bits import trailing_zeros
from kernels.distance import dot_digits, sum_codes
from kernels.jit import kernel
from kernels.memory import prefetch_row
from kernels.pool import EXPANDED, Entries, entry_of, offer, row_of
from kernels.quantization import DIGIT_CENTER

NO_ROW = -1

_ROWS_AT_ONCE = 2
_BRIDGES_AHEAD = 4

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
def spread_rows(words: Words, rows: Rows) -> int:
    """Some rows of a set, spread evenly over it, into rows: int32[m]; returns how many, fewer than m where sets are
    small."""
    found = 0
    blocks = min(rows.shape[0], words.shape[0])
    for block in range(blocks):
        for i in range(block * words.shape[0] // blocks, (block + 1) * words.shape[0] // blocks):
            if words[i] != np.uint64(0):
                rows[found] = i * 64 + trailing_zeros(words[i])
                found += 1
                break
    return found


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
def walk_allowed(
    digits: Digits,
    scales: Floats,
    links: Rows,
    starts: Rows,
    query: Codes,
    allowed: Words,
    visited: Words,
    trail: Rows,
    pool: Entries,
    counts: Entries,
) -> int:
    """As `walk`, but only through allowed rows: where a neighbour is not allowed, the neighbours behind it take its
    place (Patel et al., "ACORN: Performant and Predicate-Agnostic Search Over Vector Embeddings and Structured Data",
    2024, section 5), as many as a row has links at most.

    allowed: uint64[ceil(n/64)]; starts: allowed rows, spread widely, since the allowed rows need not hang together.
    """
    rows = digits.shape[0]
    offset = float(DIGIT_CENTER * np.float32(sum_codes(query)))
    degree = links.shape[1]
    bridge = np.empty(max(1, degree), np.int32)
    walked = _begin(digits, starts, visited, trail)
    size, at = _rank(digits, scales, links, query, offset, trail, 0, walked, pool, 0)
    expanded = 0
    while True:
        while at < size and pool[at] & EXPANDED != 0:
            at += 1
        if at >= size:
            break
        row = row_of(pool[at])
        pool[at] |= EXPANDED
        at += 1
        expanded += 1
        first = walked
        bridges = 0
        for i in range(degree):
            neighbour = links[row, i]
            if not 0 <= neighbour < rows:
                break
            if _contains(allowed, neighbour):
                trail[walked] = neighbour
                walked += _visit(visited, neighbour)
            else:
                bridge[bridges] = neighbour
                bridges += 1
        for i in range(min(bridges, _BRIDGES_AHEAD)):
            prefetch_row(links, bridge[i])
        for i in range(bridges):
            if walked - first >= degree:
                break
            prefetch_row(links, bridge[min(i + _BRIDGES_AHEAD, bridges - 1)])
            expanded += 1
            for j in range(degree):
                neighbour = links[bridge[i], j]
                if not 0 <= neighbour < rows:
                    break
                # Without a branch on what chance decides.
                at_word, bit = neighbour >> 6, np.uint64(neighbour & 63)
                fits = (allowed[at_word] >> bit) & (~visited[at_word] >> bit) & np.uint64(1)
                visited[at_word] |= fits << bit
                trail[walked] = neighbour
                walked += int(fits)
        for i in range(first, walked):
            prefetch_row(digits, trail[i])
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
