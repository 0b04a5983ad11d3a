"""Sets of rows as bitmaps: row r is bit r % 64 of word r // 64. Every function writes its result in place."""

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
def mark_listed(column: npt.NDArray[np.int32], listed: npt.NDArray[np.bool_], target: Words) -> None:
    """Adds the rows with listed[column[row]]. column: int32[n]; listed: bool[codes]; target: uint64[ceil(n/64)]."""
    for row in range(column.shape[0]):
        if listed[column[row]]:
            target[row // 64] |= np.uint64(1) << np.uint64(row % 64)


@kernel
def mark_any(
    offsets: npt.NDArray[np.int64], values: npt.NDArray[np.int32], listed: npt.NDArray[np.bool_], target: Words
) -> None:
    """Adds the rows that have at least one listed value. Row r has values[offsets[r]:offsets[r + 1]].

    offsets: int64[n + 1]; values: int32[m]; listed: bool[codes]; target: uint64[ceil(n/64)].
    """
    for row in range(offsets.shape[0] - 1):
        for i in range(offsets[row], offsets[row + 1]):
            if listed[values[i]]:
                target[row // 64] |= np.uint64(1) << np.uint64(row % 64)
                break


@kernel
def mark_set(column: npt.NDArray[np.bool_], target: Words) -> None:
    """Adds the rows with column[row]. column: bool[n]; target: uint64[ceil(n/64)]."""
    for row in range(column.shape[0]):
        if column[row]:
            target[row // 64] |= np.uint64(1) << np.uint64(row % 64)
