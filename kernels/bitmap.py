"""Sets of rows as bitmaps: row r is bit r % 64 of word r // 64. Every function writes its result in place.

What comes from files may be damaged, and is looked at before its checksum: rows, codes and offsets that point nowhere
are passed over.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.bits import population_count, trailing_zeros
from kernels.jit import kernel

Words = npt.NDArray[np.uint64]

WORD_BITS = 64


@kernel
def intersect(target: Words, other: Words) -> None:
    """target &= other; both uint64[words]."""
    for i in range(target.shape[0]):
        target[i] &= other[i]


@kernel
def unite(target: Words, other: Words) -> None:
    """target |= other; both uint64[words]."""
    for i in range(target.shape[0]):
        target[i] |= other[i]


@kernel
def subtract(target: Words, other: Words) -> None:
    """target &= ~other; both uint64[words]."""
    for i in range(target.shape[0]):
        target[i] &= ~other[i]


@kernel
def intersection(left: Words, right: Words, target: Words) -> int:
    """target = left & right; all uint64[words]. Returns how many rows that leaves."""
    total = np.int64(0)
    for i in range(target.shape[0]):
        word = left[i] & right[i]
        target[i] = word
        total += population_count(word)
    return int(total)


@kernel
def count(words: Words) -> int:
    """Rows in the set."""
    total = np.int64(0)
    for i in range(words.shape[0]):
        total += population_count(words[i])
    return int(total)


@kernel
def list_rows(words: Words, rows: npt.NDArray[np.int32]) -> int:
    """The rows in the set, in order, into rows: int32[count(words) or more]; returns how many."""
    size = 0
    for index in range(words.shape[0]):
        word = words[index]
        while word != np.uint64(0):
            rows[size] = index * WORD_BITS + trailing_zeros(word)
            word &= word - np.uint64(1)
            size += 1
    return size


@kernel
def mark_equal(column: npt.NDArray[np.int32], code: int, target: Words) -> None:
    """Adds the rows with column[row] == code. column: int32[n]; target: uint64[ceil(n/64)]."""
    for row in range(column.shape[0]):
        if column[row] == code:
            target[row // 64] |= np.uint64(1) << np.uint64(row % 64)


@kernel
def _is_listed(listed: npt.NDArray[np.bool_], code: int) -> bool:
    return bool(0 <= code < listed.shape[0] and listed[code])


@kernel
def mark_listed(column: npt.NDArray[np.int32], listed: npt.NDArray[np.bool_], target: Words) -> None:
    """Adds the rows with listed[column[row]]. column: int32[n]; listed: bool[codes]; target: uint64[ceil(n/64)]."""
    for row in range(column.shape[0]):
        if _is_listed(listed, column[row]):
            target[row // 64] |= np.uint64(1) << np.uint64(row % 64)


@kernel
def mark_any(
    offsets: npt.NDArray[np.int64], values: npt.NDArray[np.int32], listed: npt.NDArray[np.bool_], target: Words
) -> None:
    """Adds the rows that have at least one listed value. Row r has values[offsets[r]:offsets[r + 1]].

    offsets: int64[n + 1]; values: int32[m]; listed: bool[codes]; target: uint64[ceil(n/64)].
    """
    for row in range(offsets.shape[0] - 1):
        for i in range(max(0, offsets[row]), min(offsets[row + 1], values.shape[0])):
            if _is_listed(listed, values[i]):
                target[row // 64] |= np.uint64(1) << np.uint64(row % 64)
                break


@kernel
def mark_set(column: npt.NDArray[np.bool_], target: Words) -> None:
    """Adds the rows with column[row]. column: bool[n]; target: uint64[ceil(n/64)]."""
    for row in range(column.shape[0]):
        if column[row]:
            target[row // 64] |= np.uint64(1) << np.uint64(row % 64)


@kernel
def mark_rows(rows: npt.NDArray[np.int32], target: Words) -> None:
    """Adds rows. rows: int32[m], each below 64 * words; target: uint64[words]. Cost: about 1 ns a row."""
    limit = WORD_BITS * target.shape[0]
    for i in range(rows.shape[0]):
        row = rows[i]
        if 0 <= row < limit:
            target[row // 64] |= np.uint64(1) << np.uint64(row % 64)


@kernel
def mark_common(rows: npt.NDArray[np.int32], words: Words, target: Words) -> int:
    """Adds those of the distinct `rows`, int32[m], that are in `words`; returns how many. words, target: uint64[w]."""
    total = 0
    limit = WORD_BITS * target.shape[0]
    for i in range(rows.shape[0]):
        row = rows[i]
        if not 0 <= row < limit:
            continue
        bit = words[row // 64] & (np.uint64(1) << np.uint64(row % 64))
        if bit != np.uint64(0):
            target[row // 64] |= bit
            total += 1
    return total


@kernel
def clear_rows(rows: npt.NDArray[np.int32], target: Words) -> None:
    """Takes rows out. rows: int32[m], each below 64 * words; target: uint64[words]. Cost: about 1 ns a row."""
    limit = WORD_BITS * target.shape[0]
    for i in range(rows.shape[0]):
        row = rows[i]
        if 0 <= row < limit:
            target[row // 64] &= ~(np.uint64(1) << np.uint64(row % 64))


@kernel
def mark_postings(
    offsets: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int32],
    common: npt.NDArray[np.int32],
    bitmaps: npt.NDArray[np.uint64],
    codes: npt.NDArray[np.int32],
    target: Words,
) -> None:
    """Adds the rows of some codes; code c has rows[offsets[c]:offsets[c + 1]], or if it is common[b], bitmaps[b].

    offsets: int64[k + 1]; rows: int32[m]; common: int32[l]; bitmaps: uint64[l, words]; codes: int32[j], each below k.
    common and codes ascend; target: uint64[words].
    """
    place = 0
    for i in range(codes.shape[0]):
        first, end = max(0, offsets[codes[i]]), min(offsets[codes[i] + 1], rows.shape[0])
        mark_rows(rows[first : max(first, end)], target)
        while place < common.shape[0] and common[place] < codes[i]:
            place += 1
        if place < common.shape[0] and common[place] == codes[i]:
            for j in range(target.shape[0]):
                target[j] |= bitmaps[place, j]


@kernel
def carries_any(
    offsets: npt.NDArray[np.int64],
    values: npt.NDArray[np.int32],
    listed: npt.NDArray[np.bool_],
    rows: npt.NDArray[np.int32],
    found: npt.NDArray[np.bool_],
) -> None:
    """found[i]: whether rows[i] has at least one listed value. Row r has values[offsets[r]:offsets[r + 1]].

    offsets: int64[n + 1]; values: int32[m]; listed: bool[codes]; rows: int32[j]; found: bool[j], written in place.
    """
    for i in range(rows.shape[0]):
        found[i] = False
        for j in range(max(0, offsets[rows[i]]), min(offsets[rows[i] + 1], values.shape[0])):
            if _is_listed(listed, values[j]):
                found[i] = True
                break
