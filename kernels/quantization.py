"""float32 vectors to what the dense side keeps and compares.

Stored vectors are kept around a center, in two steps. *Digits* of 4 bits are what searching reads: a walk from row to
row waits for memory more than it computes, and they are an eighth of the floats. *Fine* codes of 8 bits are what a
digit leaves over: with them the best rows are compared again, as well as 12 bits can tell them apart. Queries are int8
codes, with fine codes of their own for the second comparison.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.jit import kernel

_LARGEST_CODE = 127
LARGEST_DIGIT = 15
DIGIT_CENTER = np.float32(7.5)
FINE_STEPS = np.float32(2 * _LARGEST_CODE)
"""So many steps of a fine code are one step of a digit."""


@kernel
def quantize(vectors: npt.NDArray[np.float32], codes: npt.NDArray[np.int8], scales: npt.NDArray[np.float32]) -> None:
    """Fills `codes` and `scales` so that vectors[i] is about scales[i] * codes[i].

    vectors: float32[n, d], C-contiguous, finite. codes: int8[n, w], w >= d, written in place, zeros from column d on.
    scales: float32[n], written in place, 0 for a zero vector. The error of a component is at most half its scale.
    """
    for i in range(vectors.shape[0]):
        largest = np.float32(0.0)
        for j in range(vectors.shape[1]):
            largest = max(largest, abs(vectors[i, j]))
        scale = largest / np.float32(_LARGEST_CODE)
        scales[i] = scale
        inverse = np.float32(1.0) / scale if scale > 0 else np.float32(0.0)
        for j in range(vectors.shape[1]):
            codes[i, j] = np.int8(np.rint(vectors[i, j] * inverse))
        for j in range(vectors.shape[1], codes.shape[1]):
            codes[i, j] = 0


@kernel
def encode(
    vectors: npt.NDArray[np.float32],
    center: npt.NDArray[np.float32],
    digits: npt.NDArray[np.uint8],
    fine: npt.NDArray[np.int8],
    scales: npt.NDArray[np.float32],
) -> None:
    """Fills digits, fine codes and scales so that vectors[i] is about center + scales[i] * (digit - 7.5 + fine / 254).

    vectors: float32[n, d], C-contiguous, finite; center: float32[d]. digits: uint8[n, w / 2], w >= d: byte j has digit
    j in its low half and digit j + w / 2 in its high half; fine: int8[n, w]; scales: float32[n]; written in place. The
    error of a component is at most scale / 508.
    """
    half = digits.shape[1]
    dimension = vectors.shape[1]
    around = np.empty(2 * half, np.float32)
    for i in range(vectors.shape[0]):
        largest = np.float32(0.0)
        for j in range(2 * half):
            around[j] = vectors[i, j] - center[j] if j < dimension else np.float32(0.0)
            largest = max(largest, abs(around[j]))
        scale = largest / DIGIT_CENTER
        scales[i] = scale
        inverse = np.float32(1.0) / scale if scale > 0 else np.float32(0.0)
        for j in range(half):
            low, high = around[j] * inverse + DIGIT_CENTER, around[j + half] * inverse + DIGIT_CENTER
            low_digit = min(max(np.rint(low), np.float32(0.0)), np.float32(LARGEST_DIGIT))
            high_digit = min(max(np.rint(high), np.float32(0.0)), np.float32(LARGEST_DIGIT))
            digits[i, j] = np.uint8(low_digit) | (np.uint8(high_digit) << np.uint8(4))
            fine[i, j] = np.int8(np.rint((low - low_digit) * FINE_STEPS))
            fine[i, j + half] = np.int8(np.rint((high - high_digit) * FINE_STEPS))


@kernel
def decode(
    digits: npt.NDArray[np.uint8],
    fine: npt.NDArray[np.int8],
    scales: npt.NDArray[np.float32],
    center: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    vectors: npt.NDArray[np.float32],
) -> None:
    """The reverse of `encode` for some rows, int64[m], into vectors: float32[m, d]."""
    half = digits.shape[1]
    for i in range(rows.shape[0]):
        row = rows[i]
        for j in range(vectors.shape[1]):
            packed = digits[row, j] if j < half else digits[row, j - half] >> np.uint8(4)
            digit = np.float32(packed & np.uint8(LARGEST_DIGIT))
            value = digit - DIGIT_CENTER + np.float32(fine[row, j]) / FINE_STEPS
            vectors[i, j] = center[j] + scales[row] * value


@kernel
def prepare_query(vector: npt.NDArray[np.float32], codes: npt.NDArray[np.int8], fine: npt.NDArray[np.int8]) -> float:
    """Fills codes and fine: int8[w] so that vector: float32[d] is about step * (codes + fine / 254), zeros from d on;
    returns the step. The error of a component is at most step / 508."""
    largest = np.float32(0.0)
    for j in range(vector.shape[0]):
        largest = max(largest, abs(vector[j]))
    inverse = np.float32(_LARGEST_CODE) / largest if largest > 0 else np.float32(0.0)
    for j in range(codes.shape[0]):
        value = vector[j] * inverse if j < vector.shape[0] else np.float32(0.0)
        code = np.rint(value)
        codes[j] = np.int8(code)
        fine[j] = np.int8(np.rint((value - code) * FINE_STEPS))
    return float(largest / np.float32(_LARGEST_CODE))
