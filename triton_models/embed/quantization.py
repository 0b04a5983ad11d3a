"""Matrices in int8, and what of them does not fit into it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_INT8_MAX = 127
_OUTLIER_RATIO = 8.0


def int8_rows(matrix: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """int8[rows, columns] and float32[rows]: the matrix is nearly values * scales[:, None]. The greatest value of a row
    is 127 or -127, so that what was quantized is quantized to itself."""
    scales = np.abs(matrix).max(axis=1) / _INT8_MAX
    # A row of zeros is zeros at any scale.
    return np.rint(matrix / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8), scales.astype(np.float32)


def outlier_columns(matrix: Floats) -> npt.NDArray[np.int64]:
    """Columns with a weight far larger than what rows have usually: in int8 they would take the resolution of all."""
    sizes = np.abs(matrix)
    found: npt.NDArray[np.int64] = np.flatnonzero(sizes.max(axis=0) > _OUTLIER_RATIO * np.median(sizes.max(axis=1)))
    return found
