"""What the right answers to vector queries are, and how many of them were found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_ROUNDING = 1e-6
"""Of a float32 inner product of vectors of length 1, however its terms are ordered."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """rows: int64[q, k], the exact nearest of `vectors` to each of `queries`, -1 where there are fewer."""

    vectors: Floats
    queries: Floats
    rows: Rows

    @property
    def wanted(self) -> int:
        return int(np.count_nonzero(self.rows >= 0))

    def first(self, count: int) -> Truth:
        """Of the first queries only."""
        return Truth(self.vectors, self.queries[:count], self.rows[:count])

    def hits(self, found: Rows, allowed: Words | None = None) -> int:
        """How many of int64[q, k] are right: as near as the last of the true ones, so that of vectors that are equal
        any will do. allowed: uint64[q, ceil(n/64)], a row that is not among these is wrong; -1 is nothing found."""
        floor = np.where(self.rows >= 0, self._scores(self.rows), np.inf).min(axis=1, initial=np.inf)
        right = (found >= 0) & (self._scores(found) >= floor[:, None] - _ROUNDING) & ~_repeated(found)
        if allowed is not None:
            words = np.take_along_axis(allowed, found.clip(0) // 64, axis=1)
            right &= (words >> (found.clip(0) % 64).astype(np.uint64) & np.uint64(1)).astype(np.bool_)
        return int(np.minimum(right.sum(axis=1), (self.rows >= 0).sum(axis=1)).sum())

    def _scores(self, rows: Rows) -> Floats:
        scores: Floats = np.einsum("qkd,qd->qk", self.vectors[rows.clip(0)], self.queries)
        return scores


def _repeated(found: Rows) -> npt.NDArray[np.bool_]:
    """Which of a line's values stand there before."""
    repeated = np.zeros(found.shape, np.bool_)
    for column in range(1, found.shape[1]):
        repeated[:, column] = (found[:, :column] == found[:, column : column + 1]).any(axis=1)
    return repeated
