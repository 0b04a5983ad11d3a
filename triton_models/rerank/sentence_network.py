"""Builds the network of an encoder of whole texts, of the same operators as the embedding's; see `embed/network.py`.

The word table keeps its 8 bits, and so do matrices; what they are multiplied with is quantized at run time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from triton_models.embed.network import LayersGraph
from triton_models.rerank.sentence_weights import SentenceWeights


def write_network(weights: SentenceWeights, path: Path) -> None:
    """About 24 MB with 30,000 words and 6 layers; takes a second."""
    onnx.save(_SentenceGraph(weights).model(), path)


class _SentenceGraph(LayersGraph):
    def __init__(self, weights: SentenceWeights) -> None:
        super().__init__(weights)
        self._tables = weights

    def _embeddings(self) -> str:
        words, positions = self._tables.table("word"), self._tables.table("position")
        codes = self._node("Gather", [self._constant("words", words.values), "input_ids"], "codes")
        scale = self._node("Gather", [self._constant("words.scale", words.scales), "input_ids"], "scale")
        word = self._node("Mul", [self._node("Cast", [codes], "code", to=TensorProto.FLOAT), scale], "word")
        table = positions.dequantized() + self._tables.segment()
        length = self._node("Shape", ["input_ids"], "length", start=1, end=2)
        start = self._constant("start", np.zeros(1, np.int64))
        position = self._node("Slice", [self._constant("positions", table), start, length], "position")
        return self._normalized(self._node("Add", [word, position], "embedded"), "emb.ln", "x")
