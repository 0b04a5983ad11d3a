"""Builds the reranker's network of standard operators, in floating point; see `embed/float_network.py`.

The head is in float32 whatever the precision, and so are the outputs.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto

from triton_models.embed.float_network import FloatGraph, Precision
from triton_models.embed.weights import E5Weights
from triton_models.rerank.head import Head
from triton_models.rerank.network import RerankGraph


def write_float_network(weights: E5Weights, head: Head, path: Path, precision: Precision) -> None:
    """470 MB in fp32, half of it in the others; takes seconds."""
    graph = _FloatRerankGraph(weights, head)
    graph.precision = precision
    onnx.save(graph.model(), path)


class _FloatRerankGraph(FloatGraph, RerankGraph):
    def _finished(self, x: str) -> list[onnx.ValueInfoProto]:
        return super()._finished(self._node("Cast", [x], "hidden.float", to=TensorProto.FLOAT))
