"""Look-up among packed texts: UTF-8 strings one after another, text t being content[offsets[t]:offsets[t + 1]]."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.jit import kernel


@kernel
def find_texts(
    offsets: npt.NDArray[np.int64],
    content: npt.NDArray[np.uint8],
    wanted_offsets: npt.NDArray[np.int64],
    wanted_content: npt.NDArray[np.uint8],
    found: npt.NDArray[np.int32],
) -> None:
    """found[i]: the number of the i-th wanted text among texts in ascending byte order, -1 if it is not there.

    offsets: int64[n + 1], content: uint8[b], the distinct sorted texts; wanted_offsets: int64[m + 1], wanted_content:
    uint8[c]; found: int32[m], written in place. Offsets that point nowhere, in a damaged file, do no harm. Cost:
    log2(n) comparisons for each.
    """
    for i in range(found.shape[0]):
        start, length = wanted_offsets[i], wanted_offsets[i + 1] - wanted_offsets[i]
        low, high = 0, offsets.shape[0] - 1
        found[i] = -1
        while low < high:
            middle = (low + high) // 2
            first = min(max(0, offsets[middle]), content.shape[0])
            size = min(offsets[middle + 1], content.shape[0]) - first
            same, common = 0, min(size, length)
            while same < common and content[first + same] == wanted_content[start + same]:
                same += 1
            if same == length and same == size:
                found[i] = middle
                break
            if same == size or (same < length and content[first + same] < wanted_content[start + same]):
                low = middle + 1
            else:
                high = middle
