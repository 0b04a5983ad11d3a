"""Builds the reader's network: the encoder of multilingual-e5-small with trained upper layers, and a head.

Inputs: input_ids int64[n, length], attention_mask int32[n, length]. Output: logits float32[n, length, 2], for each
token how well an answer begins (0) or ends (1) there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from triton_models.embed.network import Matrix, TokenGraph
from triton_models.embed.weights import E5Weights
from triton_models.read.reader import OUTPUT
from triton_models.read.weights import HEAD, ReaderWeights


def write_network(weights: E5Weights, trained: ReaderWeights, path: Path) -> None:
    """About 90 MB; takes seconds. Raises ConversionFailed for trained layers of another encoder."""
    onnx.save(ReaderGraph(weights, trained).model(), path)


class JoinedLayers:
    """The layers of an encoder, where trained ones have taken the place of its own."""

    def __init__(self, weights: E5Weights, trained: ReaderWeights) -> None:
        """Raises ConversionFailed."""
        trained.require(weights.shape)
        self.shape = weights.shape
        self._weights = weights
        self._trained = trained

    def floats(self, name: str) -> npt.NDArray[np.float32]:
        return self._trained.vectors[name] if name in self._trained.vectors else self._weights.floats(name)

    def matrix(self, name: str, columns: int) -> Matrix:
        return self._trained.matrices[name] if name in self._trained.matrices else self._weights.matrix(name, columns)


class ReaderGraph(TokenGraph):
    """`float_network.py` puts standard operators in the place of some."""

    def __init__(self, weights: E5Weights, trained: ReaderWeights) -> None:
        super().__init__(weights, JoinedLayers(weights, trained))
        self._trained = trained

    def _finished(self, x: str) -> list[onnx.ValueInfoProto]:
        matrix = self._constant(f"{HEAD}.w", self._trained.vectors[f"{HEAD}.w"].T)
        product = self._node("MatMul", [x, matrix], f"{HEAD}.product")
        self._node("Add", [product, self._constant(f"{HEAD}.b", self._trained.vectors[f"{HEAD}.b"])], OUTPUT)
        return [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", "length", 2])]
