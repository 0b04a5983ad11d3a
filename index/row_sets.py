"""Sets of rows as bitmaps: row r is bit r % 64 of word r // 64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import kernels

Words = npt.NDArray[np.uint64]


def no_rows(rows: int) -> Words:
    """The empty set of rows."""
    return np.zeros(-(-rows // kernels.WORD_BITS), np.uint64)


def all_rows(rows: int) -> Words:
    """The set of all rows; no bit beyond them is set."""
    words = no_rows(rows)
    words[: rows // kernels.WORD_BITS] = ~np.uint64(0)
    if rows % kernels.WORD_BITS:
        words[-1] = np.uint64((1 << rows % kernels.WORD_BITS) - 1)
    return words


def row_numbers(words: Words) -> npt.NDArray[np.int64]:
    """The rows of a set, in order."""
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))


def contains(words: Words, rows: npt.NDArray[np.int64] | npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """bool[n]: which of `rows`, [n], are in the set."""
    bits = words[rows // kernels.WORD_BITS] >> (rows % kernels.WORD_BITS).astype(np.uint64)
    return (bits & np.uint64(1)).astype(np.bool_)


def without(words: Words, row: int) -> None:
    """Takes a row out, in place."""
    words[row // kernels.WORD_BITS] &= ~(np.uint64(1) << np.uint64(row % kernels.WORD_BITS))
