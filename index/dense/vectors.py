"""Vectors as the dense side keeps them: digits of 4 bits to search, fine codes of 8 bits to rank the best of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import kernels
from index.views import read_only

_RECENTERED_ROWS = 1 << 16
"""Up to this size a join finds a center of its own: those of small sources stem from few rows."""
_ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True)
class Vectors:
    """Row i is about center + scales[i] * (digits[i] - 7.5 + fine[i] / 254), to 12 bits a component (`kernels.encode`).

    digits: uint8[n, w / 2], w the dimension rounded up to a multiple of 128; fine: int8[n, w]; scales: float32[n];
    center: float32[dimension]. Read-only.
    """

    digits: npt.NDArray[np.uint8]
    fine: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    center: npt.NDArray[np.float32]

    @property
    def rows(self) -> int:
        return len(self.scales)

    @property
    def dimension(self) -> int:
        return len(self.center)

    def decoded(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """float32[m, dimension]: the vectors of some rows, to 12 bits a component. Cost: 0.3 us a row."""
        vectors = np.empty((len(rows), self.dimension), np.float32)
        kernels.decode(self.digits, self.fine, self.scales, self.center, rows, vectors)
        return vectors

    def taken(self, rows: npt.NDArray[np.int32]) -> Vectors:
        """Some rows, in an order of their own."""
        return Vectors(
            read_only(self.digits[rows]), read_only(self.fine[rows]), read_only(self.scales[rows]), self.center
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"digits": self.digits, "fine": self.fine, "scales": self.scales, "center": self.center}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Vectors:
        return cls(arrays["digits"], arrays["fine"], arrays["scales"], arrays["center"])


def padded(dimension: int) -> int:
    """Components in a row, padding included."""
    return -(-dimension // kernels.ROW_WIDTH) * kernels.ROW_WIDTH


def center_of(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Their mean: embeddings lie in a narrow cone, and around its axis they take half the range. Any few of them give
    it well enough."""
    return read_only(vectors.mean(axis=0, dtype=np.float64).astype(np.float32))


def encoded(vectors: npt.NDArray[np.float32], center: npt.NDArray[np.float32]) -> Vectors:
    """float32[n, dimension], stored around a center."""
    rows, width = len(vectors), padded(vectors.shape[1])
    digits, fine = np.empty((rows, width // 2), np.uint8), np.empty((rows, width), np.int8)
    scales = np.empty(rows, np.float32)
    kernels.encode(read_only(np.ascontiguousarray(vectors, np.float32)), center, digits, fine, scales)
    return Vectors(read_only(digits), read_only(fine), read_only(scales), center)


def join(sources: Sequence[tuple[Vectors, npt.NDArray[np.int64]]]) -> Vectors:
    """Some rows of each source (at least one row in all), one source after another.

    The greatest source's rows are copied as they are, others are stored anew around its center; when all are small,
    around their mean.
    """
    total = sum(len(rows) for _, rows in sources)
    greatest, rows_of_it = max(sources, key=lambda source: len(source[1]))
    center = greatest.center if len(rows_of_it) > _RECENTERED_ROWS else _mean(sources)
    width = greatest.fine.shape[1]
    digits, fine = np.empty((total, width // 2), np.uint8), np.empty((total, width), np.int8)
    scales = np.empty(total, np.float32)
    first = 0
    for vectors, rows in sources:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            here = slice(first, first + len(some))
            if vectors.center is center or np.array_equal(vectors.center, center):
                digits[here], fine[here], scales[here] = vectors.digits[some], vectors.fine[some], vectors.scales[some]
            else:
                kernels.encode(read_only(vectors.decoded(some)), center, digits[here], fine[here], scales[here])
            first += len(some)
    return Vectors(read_only(digits), read_only(fine), read_only(scales), center)


def _mean(sources: Sequence[tuple[Vectors, npt.NDArray[np.int64]]]) -> npt.NDArray[np.float32]:
    """Of some of the rows, evenly spread."""
    every = max(1, sum(len(rows) for _, rows in sources) // _ROWS_AT_ONCE)
    return center_of(np.concatenate([vectors.decoded(rows[::every]) for vectors, rows in sources]))
