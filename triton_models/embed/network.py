"""Builds the encoder of multilingual-e5-small as an ONNX graph of ONNX Runtime's fused operators.

Inputs: input_ids int64[n, length], attention_mask int32[n, length] (1: token, 0: padding). Output: embedding
float32[n, hidden], the mean over the tokens, of length 1.

The word table keeps its 4 bits. Matrices are int8 with a scale per output, multiplied with activations that are
quantized at run time (DynamicQuantizeMatMul): about three times as fast as float32 where the CPU has VNNI.

In most layers one neuron of the feed-forward network is an outlier: its activation reaches 60 where the others stay
below 8, and its weights are 13 to 40 times as large as the others'. In int8 it would take the resolution of all. It is
multiplied apart, in float32, which halves the error of an embedding (cosine .9967 to .9989) for 4 % of the time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from triton_models.embed.quantization import int8_rows, outlier_columns
from triton_models.embed.weights import BLOCK, E5Weights, Shape

_FUSED = "com.microsoft"
_OPSET, _IR_VERSION = 21, 10
_ACTIVATION_LIMIT = 6.0
"""Activations of the other neurons are cut off here, which is rare."""


def write_network(weights: E5Weights, path: Path) -> None:
    """About 80 MB; takes seconds."""
    onnx.save(EncoderGraph(weights).model(), path)


class Matrix(Protocol):
    def dequantized(self) -> npt.NDArray[np.float32]:
        """float32[rows, columns]."""


class LayerWeights(Protocol):
    """What a graph's layers are made of, by the names that `E5Weights` has for it."""

    shape: Shape

    def floats(self, name: str) -> npt.NDArray[np.float32]: ...

    def matrix(self, name: str, columns: int) -> Matrix: ...


class LayersGraph(ABC):
    """Layers of a BERT encoder and the mean of what they make, whatever their input is made of."""

    def __init__(self, weights: LayerWeights) -> None:
        self._weights = weights
        self._shape = weights.shape
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def model(self) -> onnx.ModelProto:
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(self.graph(), opset_imports=opsets, ir_version=_IR_VERSION, producer_name="pinakes")

    def graph(self) -> onnx.GraphProto:
        x = self._embeddings()
        for layer in range(self._shape.layers):
            x = self._layer(f"l{layer}.", x)
        self._pooled(x)
        ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "length"])
        mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT32, ["n", "length"])
        out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", self._shape.hidden])
        return helper.make_graph(self._nodes, "encoder", [ids, mask], [out], list(self._constants.values()))

    @abstractmethod
    def _embeddings(self) -> str:
        """What goes into the first layer: [n, length, hidden]."""

    def _layer(self, prefix: str, x: str) -> str:
        hidden, feed_forward = self._shape.hidden, self._shape.feed_forward
        query, key, value = (self._product(x, prefix + part, hidden) for part in "qkv")
        attention = self._product(self._attended(prefix, query, key, value), prefix + "ao", hidden)
        x = self._normalized(self._node("Add", [x, attention], prefix + "residual"), prefix + "aln", prefix + "middle")
        inner = self._gelu(self._product(x, prefix + "fi", hidden), prefix + "gelu")
        outer = self._product_with_outliers(inner, prefix + "fo", feed_forward)
        return self._normalized(self._node("Add", [x, outer], prefix + "sum"), prefix + "oln", prefix + "out")

    def _attended(self, prefix: str, query: str, key: str, value: str) -> str:
        return self._node(
            "MultiHeadAttention",
            [query, key, value, "", "attention_mask"],
            prefix + "attended",
            _FUSED,
            num_heads=self._shape.heads,
        )

    def _gelu(self, x: str, output: str) -> str:
        return self._node("Gelu", [x], output, _FUSED)

    def _pooled(self, x: str) -> None:
        axis = self._constant("axis", np.ones(1, np.int64))
        mask = self._node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
        total = self._node("MatMul", [self._node("Unsqueeze", [mask, axis], "row"), x], "total")
        # The mean differs from the sum by a factor, which the norm takes away.
        self._node("LpNormalization", [self._node("Squeeze", [total, axis], "summed")], "embedding", axis=1, p=2)

    def _product_with_outliers(self, x: str, name: str, columns: int) -> str:
        """x @ W.T + b, with the columns of outliers apart."""
        matrix = self._weights.matrix(name + ".w", columns).dequantized()
        outliers = outlier_columns(matrix)
        if not len(outliers):
            return self._int8_product(x, name, matrix, name)
        chosen = self._node("Gather", [x, self._constant(name + ".outliers", outliers)], name + ".chosen", axis=2)
        apart = self._node("MatMul", [chosen, self._constant(name + ".apart", matrix[:, outliers].T)], name + ".large")
        limit = self._constant("limit", np.array(_ACTIVATION_LIMIT, np.float32))
        matrix[:, outliers] = 0
        rest = self._int8_product(self._node("Min", [x, limit], name + ".cut"), name, matrix, name + ".rest")
        return self._node("Add", [rest, apart], name)

    def _product(self, x: str, name: str, columns: int) -> str:
        """x @ W.T + b."""
        return self._int8_product(x, name, self._weights.matrix(name + ".w", columns).dequantized(), name)

    def _int8_product(self, x: str, name: str, matrix: npt.NDArray[np.float32], output: str) -> str:
        values, scales = int8_rows(matrix)
        inputs = [
            self._constant(name + ".w", values.T),
            self._constant(name + ".scale", scales),
            self._constant(name + ".zero", np.zeros(len(scales), np.int8)),
            self._constant(name + ".b", self._weights.floats(name + ".b")),
        ]
        return self._node("DynamicQuantizeMatMul", [x, *inputs], output, _FUSED)

    def _normalized(self, x: str, name: str, output: str) -> str:
        parameters = [self._constant(name + part, self._weights.floats(name + part)) for part in (".w", ".b")]
        return self._node("LayerNormalization", [x, *parameters], output, axis=-1, epsilon=self._shape.epsilon)

    def _node(
        self, kind: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: float | list[int]
    ) -> str:
        node = helper.make_node(kind, inputs, [output], name=output, domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self._nodes.append(node)
        return output

    def _has(self, name: str) -> bool:
        return any(node.name == name for node in self._nodes)

    def _constant(self, name: str, values: npt.NDArray[np.generic]) -> str:
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name


class EncoderGraph(LayersGraph):
    """The parts of the encoder. `float_network.py` puts standard operators in the place of some."""

    def __init__(self, weights: E5Weights, layers: LayerWeights | None = None) -> None:
        """`layers` takes the place of the weights' own."""
        super().__init__(layers or weights)
        self._tables = weights

    def _embeddings(self) -> str:
        hidden = self._shape.hidden
        words = self._tables.matrix("emb.word", hidden)
        used = len(self._tables.vocabulary.pieces)
        table = [self._constant("words", words.packed()[:used]), "input_ids"]
        table.append(self._constant("words.scale", words.scales[:used]))
        word = self._node(
            "GatherBlockQuantized", table, "word", _FUSED, bits=4, block_size=BLOCK, gather_axis=0, quantize_axis=1
        )
        return self._normalized(self._node("Add", [word, self._positions(np.float32)], "embedded"), "emb.ln", "x")

    def _positions(self, dtype: npt.DTypeLike) -> str:
        """[length, hidden]"""
        hidden = self._shape.hidden
        table = self._tables.floats("emb.pos").reshape(-1, hidden) + self._tables.floats("emb.type")[:hidden]
        length = self._node("Shape", ["input_ids"], "length", start=1, end=2)
        start = self._constant("start", np.zeros(1, np.int64))
        return self._node("Slice", [self._constant("positions", table.astype(dtype)), start, length], "position")


class TokenGraph(EncoderGraph):
    """The encoder without its pooling: the output is hidden, float32[n, length, hidden]."""

    def graph(self) -> onnx.GraphProto:
        x = self._embeddings()
        for layer in range(self._shape.layers):
            x = self._layer(f"l{layer}.", x)
        outputs = self._finished(x)
        ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "length"])
        mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT32, ["n", "length"])
        return helper.make_graph(self._nodes, "tokens", [ids, mask], outputs, list(self._constants.values()))

    def _finished(self, x: str) -> list[onnx.ValueInfoProto]:
        """The outputs that the graph makes of the last layer's."""
        self._node("Identity", [x], "hidden")
        return [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["n", "length", self._shape.hidden])]
