"""Builds the encoder of multilingual-e5-small as an ONNX graph of standard operators, in floating point.

For runtimes that know nothing of ONNX Runtime's quantized and fused operators, such as TensorRT. Inputs and output are
those of `network.py`; all tensors in between have one type, the precision, but for the pooling, which is in float32.
Layer normalization is computed in float32 whatever the precision (the operator's `stash_type`). Patterns are those
that TensorRT fuses: attention as MatMul, Softmax, MatMul over [n, heads, length, size], GELU by its Erf.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from triton_models.embed.network import EncoderGraph
from triton_models.embed.weights import E5Weights, Q4Matrix

Precision = Literal["fp32", "fp16", "bf16"]

_TYPES: dict[Precision, int] = {
    "fp32": TensorProto.FLOAT,
    "fp16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
}
_OPSET, _IR_VERSION = 17, 8
_PADDED = -1e4
"""Added to the attention scores of padding: its weight is exactly zero, and it fits into float16."""


def write_float_network(weights: E5Weights, path: Path, precision: Precision) -> None:
    """470 MB in fp32, half of it in the others; takes seconds."""
    encoder = FloatGraph(weights)
    encoder.precision = precision
    onnx.save(encoder.model(), path)


class FloatGraph(EncoderGraph):
    """Goes before the graph whose operators it replaces. Set `precision` before a model is asked for."""

    precision: Precision = "fp32"

    def model(self) -> onnx.ModelProto:
        return helper.make_model(
            self.graph(),
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="pinakes",
        )

    @property
    def _type(self) -> int:
        return _TYPES[self.precision]

    @property
    def _dtype(self) -> npt.DTypeLike:
        dtype: npt.DTypeLike = helper.tensor_dtype_to_np_dtype(self._type)
        return dtype

    def _embeddings(self) -> str:
        hidden = self._shape.hidden
        words, used = self._tables.matrix("emb.word", hidden), len(self._tables.vocabulary.pieces)
        table = Q4Matrix(words.nibbles[:used], words.scales[:used]).dequantized()
        word = self._node("Gather", [self._float("words", table), "input_ids"], "word", axis=0)
        return self._normalized(self._node("Add", [word, self._positions(self._dtype)], "embedded"), "emb.ln", "x")

    def _attended(self, prefix: str, query: str, key: str, value: str) -> str:
        size = self._shape.hidden // self._shape.heads
        scale = self._float("attention.scale", np.array(1 / math.sqrt(size)))
        q = self._heads(self._node("Mul", [query, scale], prefix + "scaled"), prefix + "q.heads", [0, 2, 1, 3])
        k = self._heads(key, prefix + "k.heads", [0, 2, 3, 1])
        v = self._heads(value, prefix + "v.heads", [0, 2, 1, 3])
        scores = self._node("Add", [self._node("MatMul", [q, k], prefix + "products"), self._bias()], prefix + "scores")
        shares = self._node("Softmax", [scores], prefix + "shares", axis=-1)
        mixed = self._node("MatMul", [shares, v], prefix + "mixed")
        rows = self._node("Transpose", [mixed], prefix + "rows", perm=[0, 2, 1, 3])
        joined = self._constant("joined", np.array([0, 0, self._shape.hidden]))
        return self._node("Reshape", [rows, joined], prefix + "attended")

    def _heads(self, x: str, name: str, order: list[int]) -> str:
        split = self._constant("split", np.array([0, 0, self._shape.heads, self._shape.hidden // self._shape.heads]))
        return self._node("Transpose", [self._node("Reshape", [x, split], name + ".split")], name, perm=order)

    def _bias(self) -> str:
        """[n, 1, 1, length]: 0 for a token, `_PADDED` for padding."""
        if not self._has("bias"):
            mask = self._node("Cast", ["attention_mask"], "mask.cast", to=self._type)
            padding = self._node("Sub", [self._float("one", np.array(1.0)), mask], "padding")
            wide = self._node("Unsqueeze", [padding, self._constant("axes", np.array([1, 2]))], "padding.wide")
            self._node("Mul", [wide, self._float("padded", np.array(_PADDED))], "bias")
        return "bias"

    def _gelu(self, x: str, output: str) -> str:
        shrunk = self._node("Mul", [x, self._float("gelu.root", np.array(math.sqrt(0.5)))], output + ".shrunk")
        error = self._node("Erf", [shrunk], output + ".erf")
        shifted = self._node("Add", [error, self._float("one", np.array(1.0))], output + ".shifted")
        half = self._node("Mul", [x, self._float("gelu.half", np.array(0.5))], output + ".half")
        return self._node("Mul", [half, shifted], output)

    def _pooled(self, x: str) -> None:
        axis = self._constant("axis", np.array([1]))
        mask = self._node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
        values = self._node("Cast", [x], "values", to=TensorProto.FLOAT)
        row = self._node("Unsqueeze", [mask, axis], "row")
        total = self._node("Squeeze", [self._node("MatMul", [row, values], "total"), axis], "summed")
        # The mean differs from the sum by a factor, which the norm takes away.
        squares = self._node("Mul", [total, total], "squares")
        length = self._node("Sqrt", [self._node("ReduceSum", [squares, axis], "norm2", keepdims=1)], "norm")
        self._node("Div", [total, length], "embedding")

    def _product(self, x: str, name: str, columns: int) -> str:
        matrix = self._weights.matrix(name + ".w", columns).dequantized()
        product = self._node("MatMul", [x, self._float(name + ".w", matrix.T)], name + ".product")
        return self._node("Add", [product, self._float(name + ".b", self._weights.floats(name + ".b"))], name)

    def _product_with_outliers(self, x: str, name: str, columns: int) -> str:
        return self._product(x, name, columns)

    def _normalized(self, x: str, name: str, output: str) -> str:
        parameters = [self._float(name + part, self._weights.floats(name + part)) for part in (".w", ".b")]
        return self._node("LayerNormalization", [x, *parameters], output, axis=-1, epsilon=self._shape.epsilon)

    def _float(self, name: str, values: npt.NDArray[np.generic]) -> str:
        return self._constant(name, values.astype(self._dtype))
