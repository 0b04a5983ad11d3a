"""Runs the encoder's network with Torch: for machines with a GPU and without TensorRT, and on a CPU to test it.

The weights are those of the prepared ONNX file, taken out of ONNX Runtime's quantized operators once, at the start: the
word table from 4 bits, matrices from int8 with a scale per output. Activations are not quantized.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional

from triton_models.embed.networks import TokenNetwork
from triton_models.errors import ConversionFailed

_CPU = "cpu"


def torch_network(network: Path, device: str, threads: int) -> TokenNetwork:
    """The encoder on `device`, such as `cuda:0`; in bfloat16 on a GPU, in float32 on the CPU.

    Seconds to load, and 240 MB of the GPU's memory (470 MB on the CPU). `threads`: Torch's, for the whole process.
    Raises ConversionFailed for a network that `embed/network.py` did not write.
    """
    torch.set_num_threads(threads)
    encoder = TorchEncoder.read(network, device)

    def run(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            masked = torch.from_numpy(mask).to(device)
            states = encoder.states(torch.from_numpy(ids).to(device), masked)
            # The mean differs from the sum by a factor, which the norm takes away.
            summed = (states * masked[:, :, None]).sum(dim=1)
            result: npt.NDArray[np.float32] = functional.normalize(summed, dim=1).to(_CPU).numpy()
        return result

    return run


@dataclass(frozen=True, slots=True)
class _Linear:
    """weight: [outputs, inputs]. bias: [outputs]."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: torch.Tensor
    bias: torch.Tensor
    epsilon: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, slots=True)
class _Layer:
    """`joint`: query, key and value in one product."""

    joint: _Linear
    output: _Linear
    attention_norm: _Norm
    inner: _Linear
    outer: _Linear
    output_norm: _Norm


@dataclass(frozen=True, slots=True)
class TorchEncoder:
    """What the encoder makes of tokens. `constants`: the others of the ONNX file, by name, in float32 on the device."""

    words: torch.Tensor
    positions: torch.Tensor
    norm: _Norm
    layers: tuple[_Layer, ...]
    heads: int
    constants: Callable[[str], torch.Tensor]

    @classmethod
    def read(cls, network: Path, device: str) -> TorchEncoder:
        """Raises ConversionFailed."""
        dtype = torch.float32 if device == _CPU else torch.bfloat16
        graph = _Graph(onnx.load(str(network)), device, dtype)
        return cls(
            words=graph.tensor(graph.words()),
            positions=graph.tensor(graph.constant("positions")),
            norm=graph.norm("emb.ln", "x"),
            layers=tuple(graph.layer(f"l{index}.") for index in range(graph.layers())),
            heads=graph.heads(),
            constants=lambda name: torch.from_numpy(graph.constant(name).astype(np.float32)).to(device),
        )

    def states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """ids, mask: [n, length]. The last layer's output, float32[n, length, hidden]."""
        tokens = mask.bool()[:, None, None, :]
        x = self.norm(functional.embedding(ids, self.words) + self.positions[: ids.shape[1]])
        for layer in self.layers:
            x = layer.attention_norm(x + layer.output(_attended(layer.joint(x), tokens, self.heads)))
            x = layer.output_norm(x + layer.outer(functional.gelu(layer.inner(x))))
        return x.float()


class _Graph:
    """What `EncoderGraph` wrote, by the names that it gives to nodes and constants."""

    def __init__(self, model: onnx.ModelProto, device: str, dtype: torch.dtype) -> None:
        self._nodes = {node.name: node for node in model.graph.node}
        self._constants = {constant.name: constant for constant in model.graph.initializer}
        self._device, self._dtype = device, dtype

    def constant(self, name: str) -> npt.NDArray[Any]:
        if name not in self._constants:
            raise ConversionFailed(
                f"the network has no constant {name}: Torch runs those of multilingual-e5-small only"
            )
        values: npt.NDArray[Any] = numpy_helper.to_array(self._constants[name])
        return values

    def tensor(self, values: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self._device, self._dtype)

    def layers(self) -> int:
        return sum(node.op_type == "MultiHeadAttention" for node in self._nodes.values())

    def heads(self) -> int:
        return int(self._attributes("l0.attended")["num_heads"])

    def words(self) -> npt.NDArray[np.float32]:
        """float32[pieces, hidden]"""
        packed, scales = self.constant("words"), self.constant("words.scale")
        nibbles = np.stack([packed & 15, packed >> 4], axis=2).reshape(len(packed), -1)
        block = int(self._attributes("word")["block_size"])
        table: npt.NDArray[np.float32] = (nibbles.astype(np.float32) - 8) * np.repeat(scales, block, axis=1)
        return table

    def layer(self, prefix: str) -> _Layer:
        parts = [self._linear(prefix + part) for part in "qkv"]
        joint = _Linear(torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]))
        return _Layer(
            joint=joint,
            output=self._linear(prefix + "ao"),
            attention_norm=self.norm(prefix + "aln", prefix + "middle"),
            inner=self._linear(prefix + "fi"),
            outer=self._linear(prefix + "fo"),
            output_norm=self.norm(prefix + "oln", prefix + "out"),
        )

    def norm(self, name: str, node: str) -> _Norm:
        weight, bias = (self.tensor(self.constant(name + part)) for part in (".w", ".b"))
        return _Norm(weight, bias, float(self._attributes(node)["epsilon"]))

    def _linear(self, name: str) -> _Linear:
        values, scales = self.constant(name + ".w"), self.constant(name + ".scale")
        matrix = values.T.astype(np.float32) * scales[:, None]
        if name + ".apart" in self._constants:
            matrix[:, self.constant(name + ".outliers")] = self.constant(name + ".apart").T
        return _Linear(self.tensor(matrix), self.tensor(self.constant(name + ".b")))

    def _attributes(self, node: str) -> Mapping[str, float]:
        if node not in self._nodes:
            raise ConversionFailed(f"the network has no node {node}: Torch runs those of multilingual-e5-small only")
        return {each.name: onnx.helper.get_attribute_value(each) for each in self._nodes[node].attribute}


def _attended(joint: torch.Tensor, tokens: torch.Tensor, heads: int) -> torch.Tensor:
    """joint: [n, length, 3 * hidden]. [n, length, hidden]."""
    n, length, width = joint.shape
    query, key, value = joint.view(n, length, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=tokens)
    return mixed.transpose(1, 2).reshape(n, length, width // 3)
