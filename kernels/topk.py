"""The k best of a stream of scored rows, in two arrays that the caller owns.

The arrays are a binary heap with the worst kept row at index 0 (Knuth, TAOCP vol. 3, 5.2.3). A row is better than
another if its score is higher, or equal and its number lower, so that results do not depend on the order of arrival.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.jit import kernel

Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]


@kernel
def _worse(scores: Scores, rows: Rows, i: int, j: int) -> bool:
    return bool(scores[i] < scores[j] or (scores[i] == scores[j] and rows[i] > rows[j]))


@kernel
def _swap(scores: Scores, rows: Rows, i: int, j: int) -> None:
    scores[i], scores[j] = scores[j], scores[i]
    rows[i], rows[j] = rows[j], rows[i]


@kernel
def _sink(scores: Scores, rows: Rows, size: int) -> None:
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= size:
            return
        if child + 1 < size and _worse(scores, rows, child + 1, child):
            child += 1
        if not _worse(scores, rows, child, parent):
            return
        _swap(scores, rows, child, parent)
        parent = child


@kernel
def keep_best(scores: Scores, rows: Rows, size: int, score: float, row: int) -> int:
    """Offers a row to the heap of `size` rows in `scores` and `rows` (in place); returns the new size.

    scores: float32[k], rows: int32[k]. Cost: O(log k) when the row is kept, one comparison when it is not.
    """
    if size < rows.shape[0]:
        scores[size] = score
        rows[size] = row
        child = size
        while child > 0 and _worse(scores, rows, child, (child - 1) // 2):
            _swap(scores, rows, child, (child - 1) // 2)
            child = (child - 1) // 2
        return size + 1
    if size > 0 and (score > scores[0] or (score == scores[0] and row < rows[0])):
        scores[0] = score
        rows[0] = row
        _sink(scores, rows, size)
    return size


@kernel
def sort_best_first(scores: Scores, rows: Rows, size: int) -> None:
    """Turns a heap of `keep_best` into a list, best first, in place; it is no heap afterwards."""
    for last in range(size - 1, 0, -1):
        _swap(scores, rows, 0, last)
        _sink(scores, rows, last)
