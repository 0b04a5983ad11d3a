"""float32 vectors to int8 codes: symmetric, one scale per vector."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.jit import kernel

_LARGEST_CODE = 127


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
