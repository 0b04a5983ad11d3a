"""Reads a BERT encoder of whole texts from an ONNX file whose matrices are in int8, as `torch.onnx` exports it.

Such a file multiplies in float32: each matrix is cast and scaled when the session starts. Here the matrices are taken
out again, by the biases that are added to their products, which keep the names of PyTorch's parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from triton_models.embed.weights import Shape
from triton_models.errors import ConversionFailed

Floats = npt.NDArray[np.float32]

_LAYER = "inner.encoder.layer.{}."
_EMBEDDINGS = "inner.embeddings."
_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_HEAD_WIDTH = 32
_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Int8Matrix:
    """int8[rows, columns], and float32[rows, 1] or float32[1, columns] to multiply it with."""

    values: npt.NDArray[np.int8]
    scales: Floats

    def dequantized(self) -> Floats:
        """float32[rows, columns]."""
        matrix: Floats = self.values.astype(np.float32) * self.scales
        return matrix


class SentenceWeights:
    """The file, parsed. Names are those of `embed/network.py`. Raises ConversionFailed if it is something else."""

    def __init__(self, path: Path) -> None:
        try:
            graph = onnx.load_from_string(path.read_bytes()).graph
        except DecodeError as exc:
            raise ConversionFailed(f"{path.name} is no ONNX file: {exc}") from exc
        self._file = path.name
        self._constants = {constant.name: constant for constant in graph.initializer}
        self._makers = {output: node for node in graph.node for output in node.output}
        self._biased = {name: node for node in graph.node if node.op_type == "Add" for name in node.input}
        words, positions = self.table("word"), self.table("position")
        layers = sum(name.endswith(_PARTS["fi"] + ".bias") for name in self._constants)
        hidden = words.values.shape[1]
        feed_forward = len(self.floats("l0.fi.b"))
        self.shape = Shape(hidden, layers, hidden // _HEAD_WIDTH, feed_forward, len(positions.values), _EPSILON)

    def table(self, kind: str) -> Int8Matrix:
        """The vectors of `word`s or of `position`s, with a scale for each row."""
        return self._quantized(f"{_EMBEDDINGS}{kind}_embeddings.weight")

    def segment(self) -> Floats:
        """float32[hidden]: what a text's tokens have, whose segment is the first."""
        first: Floats = self._array(_EMBEDDINGS + "token_type_embeddings.weight")[0]
        return first

    def floats(self, name: str) -> Floats:
        """float32[n]: the bias of a product, or what a normalization multiplies with (`w`) and adds (`b`)."""
        part, _, kind = name.rpartition(".")
        return self._array(f"{_parameter(part)}.{'weight' if kind == 'w' else 'bias'}")

    def matrix(self, name: str, columns: int) -> Int8Matrix:
        """int8[outputs, columns], of the product that the bias of this name is added to."""
        bias = _parameter(name.removesuffix(".w")) + ".bias"
        if bias not in self._biased:
            raise self._lacks(bias)
        [product] = [made for made in self._biased[bias].input if made != bias]
        found = self._quantized(self._maker(product, "MatMul").input[1])
        if found.values.shape[0] != columns:
            raise ConversionFailed(f"the matrix of {bias} in {self._file} has the shape {found.values.shape}")
        return Int8Matrix(found.values.T, found.scales.T)

    def _quantized(self, name: str) -> Int8Matrix:
        """Of the float matrix that the graph makes under this name."""
        cast, scales = self._maker(name, "Mul").input
        return Int8Matrix(self._array(self._maker(cast, "Cast").input[0]), self._array(scales))

    def _maker(self, name: str, kind: str) -> onnx.NodeProto:
        node = self._makers.get(name)
        if node is None or node.op_type != kind:
            raise self._lacks(f"{kind} -> {name}")
        return node

    def _array(self, name: str) -> npt.NDArray[Any]:
        if name not in self._constants:
            raise self._lacks(name)
        values: npt.NDArray[Any] = numpy_helper.to_array(self._constants[name])
        return values

    def _lacks(self, name: str) -> ConversionFailed:
        return ConversionFailed(f"{self._file} has no {name}: it is no encoder in int8 as it is read here")


def _parameter(part: str) -> str:
    """PyTorch's name of a part, such as l0.q."""
    if part == "emb.ln":
        return _EMBEDDINGS + "LayerNorm"
    layer, _, name = part.partition(".")
    return _LAYER.format(layer.removeprefix("l")) + _PARTS[name]
