"""Encoders as OpenVINO runs them: on CPUs that multiply int8 and bfloat16 by themselves.

Weights are those of the prepared ONNX file, as they are: the word table in 4 bits, matrices in int8 with a scale per
output, the outlier inputs apart. What ONNX Runtime quantizes a batch at a time is quantized here by the token and in
groups of `_GROUP` (OpenVINO's dynamic quantization), so that a text's vector does not depend on what else is in its
batch; attention is computed in bfloat16, in blocks, and never written out whole. Measured against ONNX Runtime by
processor time per token, one thread: 1.05 times as fast for texts of 64 tokens, 1.15 in batches of such, 1.25 for
texts of 500.

The first run of each shape costs some 3 ms, which is why texts are padded to a few lengths (`encoder.LENGTHS`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from openvino import Node, Type
from openvino import opset13 as op

from triton_models.embed.encoder_file import PARTS, EncoderFile, Int8Matrix
from triton_models.embed.networks import TokenNetwork

_GROUP = 384
"""Inputs that share a scale when activations are quantized: the width of most products."""
_MASKED = 1e4
_NIBBLE_ZERO = 8

Run = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int32]], tuple[npt.NDArray[np.float32], ...]]


def pooled(graph: EncoderNodes, threads: int) -> TokenNetwork:
    """To the mean of the tokens, of length 1."""
    # The mean differs from the sum by a factor, which the norm takes away.
    row = op.unsqueeze(op.convert(graph.mask, Type.f32), constant(np.array([1])))
    total = op.squeeze(op.matmul(row, graph.states, False, False), constant(np.array([1])))
    run = compiled(graph, [op.normalize_l2(total, constant(np.array([1])), 1e-12, "add")], threads)
    return lambda ids, mask: run(ids, mask)[0]


def compiled(graph: EncoderNodes, outputs: Sequence[Node], threads: int) -> Run:
    """A function from ids int64[n, length] and mask int32[n, length] to float32 arrays, for one thread at a time."""
    settings: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "bf16",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP,
        # Several instances, each of which knows nothing of the others, would be put on the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    model = openvino.Model(list(outputs), [graph.ids, graph.mask], "encoder")
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def run(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.float32], ...]:
        request.infer([ids, mask], share_inputs=True)
        return tuple(np.array(request.get_output_tensor(place).data) for place in range(len(outputs)))

    return run


class EncoderNodes:
    """The encoder as OpenVINO's nodes. ids, mask: [n, length]. states: the last layer's output, [n, length, hidden]."""

    def __init__(self, file: EncoderFile) -> None:
        """Raises ConversionFailed."""
        self.file = file
        self.ids = op.parameter(openvino.PartialShape([-1, -1]), Type.i64, "input_ids")
        self.mask = op.parameter(openvino.PartialShape([-1, -1]), Type.i32, "attention_mask")
        padding = op.subtract(op.convert(self.mask, Type.f32), constant(np.float32(1)))
        self._bias = op.unsqueeze(op.multiply(padding, constant(np.float32(_MASKED))), constant(np.array([1, 2])))
        x = self._normalized(op.add(self.words(), self._positions()), "emb.ln", "x")
        for layer in range(file.layers):
            x = self._layer(f"l{layer}.", x)
        self.states = x

    def constant(self, name: str) -> Node:
        """Another constant of the file, in float32."""
        return constant(self.file.constant(name).astype(np.float32))

    def words(self) -> Node:
        """[n, length, hidden]"""
        packed, scales, block = self.file.words()
        pieces, blocks = scales.shape
        shape = openvino.Shape([pieces, blocks, block])
        nibbles = openvino.op.Constant(openvino.Tensor(packed, shape, Type.u4), False)
        # The pattern of compressed weights: it stays in 4 bits, and what is looked up is unpacked.
        centered = op.subtract(op.convert(nibbles, Type.f32), constant(np.full((1, 1, 1), _NIBBLE_ZERO, np.float32)))
        table = op.multiply(centered, constant(scales[:, :, None]))
        flat = op.reshape(table, constant(np.array([pieces, blocks * block])), False)
        return op.gather(flat, op.convert(self.ids, Type.i32), constant(np.array(0)))

    def _positions(self) -> Node:
        """[length, hidden]"""
        first, axis, step = (constant(np.array([value])) for value in (0, 0, 1))
        length = op.gather(op.shape_of(self.ids, Type.i64), constant(np.array([1])), constant(np.array(0)))
        return op.slice(self.constant("positions"), first, length, step, axis)

    def _layer(self, prefix: str, x: Node) -> Node:
        attention = self._product(self._attended(prefix, x), self.file.matrix(prefix + "ao"))
        x = self._normalized(op.add(x, attention), prefix + "aln", prefix + "middle")
        inner = op.gelu(self._product(x, self.file.matrix(prefix + "fi")), "erf")
        return self._normalized(op.add(x, self._outer(prefix + "fo", inner)), prefix + "oln", prefix + "out")

    def _attended(self, prefix: str, x: Node) -> Node:
        parts = [self.file.matrix(prefix + part) for part in PARTS]
        joint = Int8Matrix(
            np.concatenate([part.values for part in parts], axis=1),
            np.concatenate([part.scales for part in parts]),
            np.concatenate([part.bias for part in parts]),
        )
        three = op.split(self._product(x, joint), constant(np.array(2)), len(parts)).outputs()
        query, key, value = (self._by_head(each) for each in three)
        mixed = op.transpose(
            op.scaled_dot_product_attention(query, key, value, self._bias), constant(np.array([0, 2, 1, 3]))
        )
        return op.reshape(mixed, constant(np.array([0, 0, -1])), True)

    def _by_head(self, x: Any) -> Node:
        """[n, heads, length, size]"""
        split = op.reshape(x, constant(np.array([0, 0, self.file.heads, -1])), True)
        return op.transpose(split, constant(np.array([0, 2, 1, 3])))

    def _outer(self, name: str, x: Node) -> Node:
        matrix, outliers = self.file.matrix(name), self.file.outliers(name)
        if outliers is None:
            return self._product(x, matrix)
        chosen = op.gather(x, constant(outliers.columns), constant(np.array(2)))
        apart = op.matmul(chosen, constant(outliers.weights), False, False)
        return op.add(self._product(op.minimum(x, constant(np.float32(outliers.limit))), matrix), apart)

    def _product(self, x: Node, matrix: Int8Matrix) -> Node:
        values = op.convert(constant(matrix.values.T), Type.f32)
        weights = op.multiply(values, constant(matrix.scales[:, None]))
        return op.add(op.matmul(x, weights, False, True), constant(matrix.bias[None, None, :]))

    def _normalized(self, x: Node, name: str, node: str) -> Node:
        even = op.mvn(x, constant(np.array([-1])), True, self.file.epsilon(node), "inside_sqrt")
        return op.add(op.multiply(even, self.constant(name + ".w")), self.constant(name + ".b"))


def constant(values: npt.ArrayLike) -> Node:
    """Also of one number."""
    return op.constant(np.asarray(values, order="C"))
