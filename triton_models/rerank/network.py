"""Builds the reranker's network: the encoder of multilingual-e5-small without its pooling, and the head.

Inputs: input_ids int64[n, length], attention_mask int32[n, length]. Outputs: vectors float32[n, length, hidden], one of
length 1 for each token; importance float32[n, length], above 0, which only a query's tokens need.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from triton_models.embed.network import TokenGraph
from triton_models.embed.weights import E5Weights
from triton_models.rerank.head import Head, log_information


def write_network(weights: E5Weights, head: Head, path: Path) -> None:
    """About 80 MB; takes seconds."""
    onnx.save(RerankGraph(weights, head).model(), path)


def write_token_network(weights: E5Weights, path: Path) -> None:
    """The encoder alone, as training reads it: its only output is hidden, float32[n, length, hidden]."""
    onnx.save(TokenGraph(weights).model(), path)


class RerankGraph(TokenGraph):
    """`float_network.py` puts standard operators in the place of some."""

    def __init__(self, weights: E5Weights, head: Head) -> None:
        super().__init__(weights)
        self._head = head

    def _finished(self, x: str) -> list[onnx.ValueInfoProto]:
        head = self._head
        centered = self._node("Sub", [x, self._constant("head.center", head.center)], "head.centered")
        inner = self._node("MatMul", [centered, self._constant("head.down", head.down)], "head.inner")
        change = self._node("MatMul", [inner, self._constant("head.up", head.up)], "head.change")
        moved = self._node("Add", [centered, change], "head.moved")
        self._node("LpNormalization", [moved], "vectors", axis=-1, p=2)
        self._importance(centered)
        return [
            helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", "length", self._shape.hidden]),
            helper.make_tensor_value_info("importance", TensorProto.FLOAT, ["n", "length"]),
        ]

    def _importance(self, centered: str) -> None:
        direction = self._constant("head.importance", self._head.importance)
        context = self._node("MatMul", [centered, direction], "head.context")
        share = np.float32(self._head.information_weight) * log_information(self._tables.vocabulary.scores)
        piece = self._node("Gather", [self._constant("head.information", share), "input_ids"], "head.piece")
        self._node("Exp", [self._node("Add", [context, piece], "head.logarithm")], "importance")
