"""Cells: rows that lie near each other, stored one after another, each cell with the mean of its rows.

What a filter allows is searched cell by cell, the most promising first, as in an inverted file (Jegou, Douze and
Schmid, "Product Quantization for Nearest Neighbor Search", 2011, section IV.B), but not a fixed number of cells: within
a cell the scores of rows are taken for normally distributed around the score of its mean, which tells how many allowed
rows of the cells not opened yet are expected to be better than the k-th one found. The search ends when these are few.
The same estimate for the cells opened so far, beside what was found there, corrects it: filters that go with or against
the query leave the best or the worst rows of a cell.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from kernels.bits import population_count, trailing_zeros
from kernels.distance import dot_codes, dot_digits, sum_codes
from kernels.jit import kernel
from kernels.pool import Entries, entry_of, offer, row_of, score_of
from kernels.quantization import DIGIT_CENTER
from kernels.scan import scan_more

Digits = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ROWS_AT_ONCE = 16
_CELLS_COUNTED = 4
_OPTIMISM = np.float32(2.5)
"""Cells are opened by their mean's score plus so many deviations: the likely score of their best rows."""
_LEAST_DEVIATION = np.float32(1e-6)
_FIRST_SHARE = 64
_GROWTH = 3
"""At first 1/64 of the cells are opened, then each time a third of those opened already."""
_LARGEST_CORRECTION = 16.0
"""Of how many rows are expected above the k-th best: the lesser of what the k best and what the whole pool have beside
what was expected of them, and no more than this."""

_TAIL_STEPS = 32
_TAIL_FROM, _TAIL_TO = -4.0, 6.0
_TAIL = np.array(
    [
        0.5 * math.erfc((_TAIL_FROM + step / _TAIL_STEPS) / math.sqrt(2.0))
        for step in range(round((_TAIL_TO - _TAIL_FROM) * _TAIL_STEPS) + 1)
    ],
    np.float32,
)
"""The share of a normal distribution that lies more than z deviations above its mean, from z = -4 to 6."""


@kernel
def assign_cells(
    digits: Digits, scales: Floats, rows: Rows, codes: Codes, cell_scales: Floats, halves: Floats, cells: Rows
) -> None:
    """The nearest cell of each row, by Euclidean distance, the first of equals, into cells: int32[m].

    digits, scales: as for `scan_digits`. rows: int32[m]. codes: int8[c, w], cell_scales: float32[c]: cell j's mean is
    the rows' center + cell_scales[j] * codes[j]; halves: float32[c], half its squared distance from the center. Cost: 6
    ns for each row and cell.
    """
    cell_count = codes.shape[0]
    offsets = np.empty(cell_count, np.float32)
    for j in range(cell_count):
        offsets[j] = DIGIT_CENTER * np.float32(sum_codes(codes[j]))
    best = np.empty(_ROWS_AT_ONCE, np.float32)
    for first in range(0, rows.shape[0], _ROWS_AT_ONCE):
        some = min(_ROWS_AT_ONCE, rows.shape[0] - first)
        best[:] = -np.inf
        for j in range(cell_count):
            for i in range(some):
                row = rows[first + i]
                product = np.float32(dot_digits(digits[row], codes[j])) - offsets[j]
                score = scales[row] * product * cell_scales[j] - halves[j]
                if score > best[i]:
                    best[i] = score
                    cells[first + i] = j


@kernel
def count_between(words: Words, first: int, end: int) -> int:
    """Rows of a set from `first` up to, but without, `end`."""
    total = np.int64(0)
    for at in range(first >> 6, (end + 63) >> 6):
        total += population_count(_clipped(words[at], at, first, end))
    return int(total)


@kernel
def list_between(words: Words, first: int, end: int, rows: Rows, found: int) -> int:
    """Rows of a set from `first` up to, but without, `end`, ascending, into `rows` from place `found` on; returns the
    place after the last."""
    for at in range(first >> 6, (end + 63) >> 6):
        word = _clipped(words[at], at, first, end)
        while word != np.uint64(0):
            rows[found] = at * 64 + trailing_zeros(word)
            found += 1
            word &= word - np.uint64(1)
    return found


@kernel
def _clipped(word: np.uint64, at: int, first: int, end: int) -> np.uint64:
    """Word `at` of a set without rows below `first` and from `end` on; it has at least one in between."""
    if at == first >> 6:
        word &= _ALL << np.uint64(first & 63)
    if at == end >> 6:
        word &= ~(_ALL << np.uint64(end & 63))
    return word


@kernel
def survey(
    codes: Codes, scales: Floats, ends: Rows, medoids: Rows, query: Codes, allowed: Words, means: Floats, starts: Rows
) -> float:
    """The score of each cell's mean into means: float32[c]; the medoids of the cells of greatest means, best first,
    into starts: int32[m], 1 <= m <= c. Returns the share of the rows of the four nearest cells that are allowed: what a
    walk will meet near the query.

    codes, scales: as for `assign_cells`; ends: int32[c]: cell j has the rows from ends[j - 1] (0 for the first) up to,
    but without, ends[j]. medoids: int32[c], a row of each cell. query: int8[w]. Means are scores as `scan_digits` gives
    them.
    """
    query_sum = sum_codes(query)
    pool = np.empty(starts.shape[0], np.int64)
    size = 0
    for j in range(codes.shape[0]):
        means[j] = np.float32(dot_codes(codes[j], query, query_sum)) * scales[j]
        offer(pool, size, entry_of(means[j], j))
        size = min(size + 1, pool.shape[0])
    rows, fits = 0, 0
    for i in range(size):
        cell = row_of(pool[i])
        starts[i] = medoids[cell]
        if i < _CELLS_COUNTED:
            first = ends[cell - 1] if cell > 0 else 0
            rows += ends[cell] - first
            fits += count_between(allowed, first, ends[cell])
    return fits / rows if rows > 0 else 0.0


@kernel
def scan_cells(
    digits: Digits,
    scales: Floats,
    ends: Rows,
    means: Floats,
    deviations: Floats,
    query: Codes,
    allowed: Words,
    k: int,
    fewest: int,
    missing: float,
    listed: Rows,
    pool: Entries,
    counts: Entries,
) -> int:
    """Fills the pool with allowed rows of great scores, as `scan_digits` does, from the most promising cells, until
    `fewest` of them are compared and no more than `missing` * k of the best k are expected to be in the other cells;
    returns how many entries.

    ends, means: see `survey`. deviations: float32[c], that of the scores in a cell for a query of length 1. listed:
    int32[n], written into. pool: int64[p], p >= k >= 1. counts: int64[2]: rows compared and cells opened are added.
    """
    length = math.sqrt(float(dot_codes(query, query, sum_codes(query))))
    cell_count = ends.shape[0]
    fits = np.empty(cell_count, np.int32)
    inverses = np.empty(cell_count, np.float32)
    heap = np.empty(cell_count, np.int64)
    closed = 0
    first = 0
    for j in range(cell_count):
        fits[j] = count_between(allowed, first, ends[j])
        first = ends[j]
        if fits[j] > 0:
            deviation = max(deviations[j] * np.float32(length), _LEAST_DEVIATION)
            inverses[j] = np.float32(1.0) / deviation
            heap[closed] = entry_of(means[j] + _OPTIMISM * deviation, j)
            closed += 1
    for i in range(closed // 2 - 1, -1, -1):
        _sift_down(heap, i, closed)
    opened = np.empty(closed, np.int32)
    opened_count, compared, size, batch = 0, 0, 0, max(1, closed // _FIRST_SHARE)
    while closed > 0:
        found = 0
        for _ in range(min(batch, closed)):
            cell = row_of(heap[0])
            closed -= 1
            heap[0] = heap[closed]
            _sift_down(heap, 0, closed)
            opened[opened_count] = cell
            opened_count += 1
            found = list_between(allowed, ends[cell - 1] if cell > 0 else 0, ends[cell], listed, found)
        size = scan_more(digits, scales, query, listed[:found], pool, size)
        batch = max(1, opened_count // _GROWTH)
        compared += found
        if size < k or compared < fewest:
            continue
        last, kth = score_of(pool[size - 1]), score_of(pool[k - 1])
        above_last, above_kth = 0.0, 0.0
        for i in range(opened_count):
            cell = opened[i]
            above_last += fits[cell] * _tail((last - means[cell]) * inverses[cell])
            above_kth += fits[cell] * _tail((kth - means[cell]) * inverses[cell])
        correction = min(_LARGEST_CORRECTION, min(size / max(above_last, 1e-9), k / max(above_kth, 1e-9)))
        tolerated = missing * k / correction
        left = 0.0
        for i in range(closed):
            cell = row_of(heap[i])
            left += fits[cell] * _tail((kth - means[cell]) * inverses[cell])
            if left > tolerated:
                break
        if left <= tolerated:
            break
    counts[0] += compared
    counts[1] += opened_count
    return size


@kernel
def _tail(z: float) -> float:
    if not z > _TAIL_FROM:  # or it is not a number, which a damaged file may have
        return float(_TAIL[0])
    step = (min(z, _TAIL_TO) - _TAIL_FROM) * _TAIL_STEPS
    return float(_TAIL[int(step + 0.5)])


@kernel
def _sift_down(heap: Entries, at: int, size: int) -> None:
    """Restores the order of a heap, the greatest first, whose entry `at` may be too small."""
    entry = heap[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= entry:
            break
        heap[at] = heap[child]
        at = child
    if size > 0:
        heap[at] = entry
