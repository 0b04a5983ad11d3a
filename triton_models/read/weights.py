"""The file of what is trained of the reader: the upper layers of the encoder, and the head.

An `.npz` without pickles, the same bytes for the same weights. Names are those of `embed/network.py`, such as `l6.q.w`;
the layers below `first` are the encoder's own and not in it.

    first                    int64: the first layer that is in the file
    <matrix>                 int8[outputs, inputs]: q, k, v, ao, fi and fo of each layer, each with .w
    <matrix>.scale           float32[outputs]: the matrix is values * scales[:, None]
    fo.w.columns, .apart     int64[k], float32[outputs, k]: columns of outliers (see `embed/network.py`), which are in
                             float32 and replace those of the int8 matrix, which are 0
    <vector>                 float32: the biases (.b) of the matrices, aln and oln (.w and .b)
    head.w, head.b           float32[2, hidden], float32[2]: the logits of start and end

For six layers of multilingual-e5-small that is 10.8 MB.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triton_models.embed.quantization import int8_rows, outlier_columns
from triton_models.embed.weights import Shape
from triton_models.errors import ConversionFailed

Floats = npt.NDArray[np.float32]

MATRICES = ("q", "k", "v", "ao", "fi", "fo")
NORMS = ("aln", "oln")
HEAD = "head"
_WITH_OUTLIERS = "fo"
_FIRST = "first"
_CHECKPOINT_PARTS = {"output": "ao", "inner": "fi", "outer": "fo", "an": "aln", "on": "oln"}
_JOINT = ("q", "k", "v")


@dataclass(frozen=True, slots=True, eq=False)
class StoredMatrix:
    """values: int8[outputs, inputs]. scales: float32[outputs]. columns: int64[k], those that `apart`, float32[outputs,
    k], has instead."""

    values: npt.NDArray[np.int8]
    scales: Floats
    columns: npt.NDArray[np.int64]
    apart: Floats

    @classmethod
    def quantized(cls, matrix: Floats, *, outliers: bool) -> StoredMatrix:
        """`outliers`: whether to look for columns of such."""
        columns = outlier_columns(matrix) if outliers else np.empty(0, np.int64)
        rest = matrix.copy()
        rest[:, columns] = 0
        return cls(*int8_rows(rest), columns, matrix[:, columns].astype(np.float32))

    def dequantized(self) -> Floats:
        """float32[outputs, inputs]."""
        matrix: Floats = self.values.astype(np.float32) * self.scales[:, None]
        matrix[:, self.columns] = self.apart
        return matrix


@dataclass(frozen=True, slots=True, eq=False)
class ReaderWeights:
    """`matrices` and `vectors` by their names; those of the head are among the vectors, `head.w` with two rows."""

    first: int
    matrices: Mapping[str, StoredMatrix]
    vectors: Mapping[str, Floats]

    def require(self, shape: Shape) -> None:
        """That these are upper layers of an encoder of this shape. Raises ConversionFailed."""
        inputs = dict.fromkeys(MATRICES, shape.hidden) | {"fo": shape.feed_forward}
        outputs = dict.fromkeys((*MATRICES, *NORMS), shape.hidden) | {"fi": shape.feed_forward}
        expected: dict[str, tuple[int, ...]] = {f"{HEAD}.w": (2, shape.hidden), f"{HEAD}.b": (2,)}
        for layer in range(self.first, shape.layers):
            expected |= {f"l{layer}.{part}.w": (outputs[part], inputs[part]) for part in MATRICES}
            expected |= {f"l{layer}.{part}.b": (outputs[part],) for part in outputs}
            expected |= {f"l{layer}.{part}.w": (shape.hidden,) for part in NORMS}
        found: dict[str, tuple[int, ...]] = {name: each.values.shape for name, each in self.matrices.items()}
        found |= {name: each.shape for name, each in self.vectors.items()}
        if not 0 <= self.first < shape.layers or found != expected:
            wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
            raise ConversionFailed(f"the reader's weights are no upper layers of this encoder: {', '.join(wrong[:3])}")

    def save(self, path: Path) -> None:
        arrays: dict[str, npt.NDArray[Any]] = {_FIRST: np.array(self.first, np.int64)}
        for name, matrix in sorted(self.matrices.items()):
            arrays |= {name: matrix.values, f"{name}.scale": matrix.scales}
            if len(matrix.columns):
                arrays |= {f"{name}.columns": matrix.columns, f"{name}.apart": matrix.apart}
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays, **dict(sorted(self.vectors.items())))

    @classmethod
    def load(cls, path: Path) -> ReaderWeights:
        """Raises ConversionFailed for a file that is something else, or holds values that are not numbers."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            return cls._of_arrays(arrays)
        except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, zipfile.BadZipFile) as exc:
            raise ConversionFailed(f"{path.name} does not hold the weights of a reader: {exc}") from exc

    @classmethod
    def _of_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> ReaderWeights:
        first = int(arrays.pop(_FIRST))
        matrices: dict[str, StoredMatrix] = {}
        for name in [name for name, array in arrays.items() if array.dtype == np.int8]:
            values, scales = arrays.pop(name), arrays.pop(f"{name}.scale")
            columns = arrays.pop(f"{name}.columns", np.empty(0, np.int64))
            apart = arrays.pop(f"{name}.apart", np.empty((len(values), 0), np.float32))
            if values.ndim != 2 or scales.shape != values.shape[:1] or apart.shape != (len(values), len(columns)):
                raise ValueError(f"{name} has parts that do not fit together")
            if not np.isin(columns, np.arange(values.shape[1])).all():
                raise ValueError(f"{name} has outliers in columns that it has not")
            matrices[name] = StoredMatrix(values, scales, columns, apart)
        floats = [each for matrix in matrices.values() for each in (matrix.scales, matrix.apart)]
        for array in (*floats, *arrays.values()):
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError("there are values that are no numbers in float32")
        return cls(first, matrices, arrays)


def pack(state: Mapping[str, npt.NDArray[Any]], first: int) -> ReaderWeights:
    """Of a network's parameters as training names them: `upper.<n>.<part>.weight` and `.bias` for each layer from
    `first` on, where a part is joint (query, key and value, one below the other), output, inner, outer, an or on (the
    norms after the attention and at the end), and `head.weight` and `head.bias`.

    Raises ConversionFailed for a name that is none of these.
    """
    matrices: dict[str, StoredMatrix] = {}
    vectors: dict[str, Floats] = {}
    for name, values in state.items():
        for own, array in _renamed(name, np.asarray(values, np.float32), first).items():
            if array.ndim == 2 and not own.startswith(HEAD):
                matrices[own] = StoredMatrix.quantized(array, outliers=own.endswith(f".{_WITH_OUTLIERS}.w"))
            else:
                vectors[own] = array
    return ReaderWeights(first, matrices, vectors)


def _renamed(name: str, array: Floats, first: int) -> dict[str, Floats]:
    """By the names of `embed/network.py`."""
    *place, kind = name.split(".")
    suffix = {"weight": "w", "bias": "b"}.get(kind)
    match place:
        case ["head"] if suffix:
            return {f"{HEAD}.{suffix}": array}
        case ["upper", layer, "joint"] if suffix and layer.isdecimal():
            parts = np.split(array, len(_JOINT))
            return {f"l{first + int(layer)}.{part}.{suffix}": each for part, each in zip(_JOINT, parts, strict=True)}
        case ["upper", layer, part] if suffix and layer.isdecimal() and part in _CHECKPOINT_PARTS:
            return {f"l{first + int(layer)}.{_CHECKPOINT_PARTS[part]}.{suffix}": array}
    raise ConversionFailed(f"{name} is no parameter of a reader")
