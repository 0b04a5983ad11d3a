"""Builds the reader's network of standard operators, in floating point; see `embed/float_network.py`.

The head is in float32 whatever the precision, and so is the output.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto

from triton_models.embed.float_network import FloatGraph, Precision
from triton_models.embed.weights import E5Weights
from triton_models.read.network import ReaderGraph
from triton_models.read.weights import ReaderWeights


def write_float_network(weights: E5Weights, trained: ReaderWeights, path: Path, precision: Precision) -> None:
    """470 MB in fp32, half of it in the others; takes seconds. Raises ConversionFailed for trained layers of another
    encoder."""
    graph = _FloatReaderGraph(weights, trained)
    graph.precision = precision
    onnx.save(graph.model(), path)


class _FloatReaderGraph(FloatGraph, ReaderGraph):
    def _finished(self, x: str) -> list[onnx.ValueInfoProto]:
        return super()._finished(self._node("Cast", [x], "hidden.float", to=TensorProto.FLOAT))
