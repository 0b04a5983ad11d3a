"""Vectors as the dense side keeps them: int8 codes to search, float32 originals to rescore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import kernels


@dataclass(frozen=True, slots=True)
class Vectors:
    """codes: int8[n, w], w the dimension rounded up to a multiple of 64; scales: float32[n]; originals:
    float32[n, dimension], originals[i] being about scales[i] * codes[i]. Read-only."""

    codes: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    originals: npt.NDArray[np.float32]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"codes": self.codes, "scales": self.scales, "originals": self.originals}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Vectors:
        return cls(arrays["codes"], arrays["scales"], arrays["originals"])


def code_width(dimension: int) -> int:
    """Codes in a row, padding included."""
    return -(-dimension // kernels.CODE_WIDTH) * kernels.CODE_WIDTH


def quantized(vectors: npt.NDArray[np.float32]) -> Vectors:
    """Codes beside float32[n, dimension]."""
    originals = _read_only(np.ascontiguousarray(vectors, np.float32))
    codes = np.empty((len(originals), code_width(originals.shape[1])), np.int8)
    scales = np.empty(len(originals), np.float32)
    kernels.quantize(originals, codes, scales)
    return Vectors(_read_only(codes), _read_only(scales), originals)


def join(sources: Sequence[tuple[Vectors, npt.NDArray[np.int64]]]) -> Vectors:
    """Some rows of each source (at least one source), one source after another."""
    return Vectors(
        _read_only(np.concatenate([vectors.codes[rows] for vectors, rows in sources])),
        _read_only(np.concatenate([vectors.scales[rows] for vectors, rows in sources])),
        _read_only(np.concatenate([vectors.originals[rows] for vectors, rows in sources])),
    )


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
