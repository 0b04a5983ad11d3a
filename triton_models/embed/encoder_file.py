"""Reads the ONNX file that `embed/network.py`, `rerank/network.py` or `rerank/sentence_network.py` wrote: for what runs
the encoder by other means.

Weights are taken out of ONNX Runtime's quantized operators, by the names that `LayersGraph` gives to nodes and
constants.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from triton_models.errors import ConversionFailed

PARTS = "qkv"
"""Of the names of a layer's products with query, key and value."""


class Int8Matrix(NamedTuple):
    """A product x @ (values * scales) + bias. values: int8[inputs, outputs]. scales, bias: float32[outputs]."""

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


class Outliers(NamedTuple):
    """Inputs that are multiplied apart. columns: int64[k]. weights: float32[k, outputs]; those of the Int8Matrix are 0
    there, and inputs above `limit` are cut off for it."""

    columns: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    limit: float


class PackedWords(NamedTuple):
    """packed: uint8[pieces, hidden / 2], even columns in the low halves. scales: float32[pieces, hidden / block]. A
    weight is (nibble - 8) * scale."""

    packed: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float32]
    block: int


class Int8Words(NamedTuple):
    """values: int8[pieces, hidden]. scales: float32[pieces, 1]."""

    values: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]


class EncoderFile:
    """Raises ConversionFailed when it is made, or asked for what the file has not, if another hand wrote the file."""

    def __init__(self, network: Path) -> None:
        try:
            model = onnx.load(str(network))
        except DecodeError as exc:
            raise ConversionFailed(f"{network.name} is no ONNX file: {exc}") from exc
        self._nodes = {node.name: node for node in model.graph.node}
        self._constants = {constant.name: constant for constant in model.graph.initializer}
        self.layers = sum(node.op_type == "MultiHeadAttention" for node in model.graph.node)
        self.heads = int(self._attribute("l0.attended", "num_heads"))

    def constant(self, name: str) -> npt.NDArray[Any]:
        if name not in self._constants:
            raise _lacks(f"constant {name}")
        values: npt.NDArray[Any] = numpy_helper.to_array(self._constants[name])
        return values

    @property
    def has_int8_words(self) -> bool:
        """Whether the word table is that of `int8_words`, and not of `words`."""
        return self.constant("words").dtype == np.int8

    def words(self) -> PackedWords:
        """Of multilingual-e5-small."""
        block = int(self._attribute("word", "block_size"))
        return PackedWords(self.constant("words"), self.constant("words.scale"), block)

    def int8_words(self) -> Int8Words:
        """Of an encoder of whole texts."""
        values = self.constant("words")
        return Int8Words(values, self.constant("words.scale").reshape(len(values), 1))

    def matrix(self, name: str) -> Int8Matrix:
        return Int8Matrix(self.constant(name + ".w"), self.constant(name + ".scale"), self.constant(name + ".b"))

    def outliers(self, name: str) -> Outliers | None:
        if name + ".apart" not in self._constants:
            return None
        return Outliers(
            self.constant(name + ".outliers"), self.constant(name + ".apart"), self.constant("limit").item()
        )

    def epsilon(self, node: str) -> float:
        """Of a layer normalization."""
        return self._attribute(node, "epsilon")

    def _attribute(self, node: str, name: str) -> float:
        for attribute in self._nodes[node].attribute if node in self._nodes else ():
            if attribute.name == name:
                return float(onnx.helper.get_attribute_value(attribute))
        raise _lacks(f"{name} of a node {node}")


def _lacks(what: str) -> ConversionFailed:
    return ConversionFailed(f"the network has no {what}: only networks that Pinakes wrote are read here")
