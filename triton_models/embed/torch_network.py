"""Runs the encoder's network with Torch: for machines with a GPU and without TensorRT, and on a CPU to test it.

The weights are those of the prepared ONNX file, dequantized once, at the start: the word table from 4 bits, matrices
from int8 with a scale per output. Activations are not quantized.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from triton_models.embed.encoder_file import PARTS, EncoderFile
from triton_models.embed.networks import TokenNetwork

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
class Linear:
    """weight: [outputs, inputs]. bias: [outputs]."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class Norm:
    weight: torch.Tensor
    bias: torch.Tensor
    epsilon: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, slots=True)
class EncoderLayer:
    """`joint`: query, key and value in one product."""

    joint: Linear
    output: Linear
    attention_norm: Norm
    inner: Linear
    outer: Linear
    output_norm: Norm


@dataclass(frozen=True, slots=True)
class TorchEncoder:
    """What the encoder makes of tokens. `constants`: the others of the ONNX file, by name, in float32 on the device."""

    words: torch.Tensor
    positions: torch.Tensor
    norm: Norm
    layers: tuple[EncoderLayer, ...]
    heads: int
    constants: Callable[[str], torch.Tensor]

    @classmethod
    def read(cls, network: Path, device: str) -> TorchEncoder:
        """Raises ConversionFailed."""
        dtype = torch.float32 if device == _CPU else torch.bfloat16
        file = EncoderFile(network)
        tensors = _Tensors(file, device, dtype)
        return cls(
            words=tensors.words(),
            positions=tensors.tensor(file.constant("positions")),
            norm=tensors.norm("emb.ln", "x"),
            layers=tuple(tensors.layer(f"l{index}.") for index in range(file.layers)),
            heads=file.heads,
            constants=lambda name: torch.from_numpy(file.constant(name).astype(np.float32)).to(device),
        )

    def states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """ids, mask: [n, length]. The last layer's output, float32[n, length, hidden]."""
        tokens = mask.bool()[:, None, None, :]
        x = self.norm(functional.embedding(ids, self.words) + self.positions[: ids.shape[1]])
        for layer in self.layers:
            x = layer.attention_norm(x + layer.output(attended(layer.joint(x), tokens, self.heads)))
            x = layer.output_norm(x + layer.outer(functional.gelu(layer.inner(x))))
        return x.float()


class _Tensors:
    """The file's weights as tensors of one type on one device."""

    def __init__(self, file: EncoderFile, device: str, dtype: torch.dtype) -> None:
        self._file = file
        self._device, self._dtype = device, dtype

    def tensor(self, values: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self._device, self._dtype)

    def words(self) -> torch.Tensor:
        """[pieces, hidden]"""
        packed, scales, block = self._file.words()
        nibbles = np.stack([packed & 15, packed >> 4], axis=2).reshape(len(packed), -1)
        return self.tensor((nibbles.astype(np.float32) - 8) * np.repeat(scales, block, axis=1))

    def layer(self, prefix: str) -> EncoderLayer:
        parts = [self._linear(prefix + part) for part in PARTS]
        joint = Linear(torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]))
        return EncoderLayer(
            joint=joint,
            output=self._linear(prefix + "ao"),
            attention_norm=self.norm(prefix + "aln", prefix + "middle"),
            inner=self._linear(prefix + "fi"),
            outer=self._linear(prefix + "fo"),
            output_norm=self.norm(prefix + "oln", prefix + "out"),
        )

    def norm(self, name: str, node: str) -> Norm:
        weight, bias = (self.tensor(self._file.constant(name + part)) for part in (".w", ".b"))
        return Norm(weight, bias, self._file.epsilon(node))

    def _linear(self, name: str) -> Linear:
        values, scales, bias = self._file.matrix(name)
        matrix = values.T.astype(np.float32) * scales[:, None]
        outliers = self._file.outliers(name)
        if outliers is not None:
            matrix[:, outliers.columns] = outliers.weights.T
        return Linear(self.tensor(matrix), self.tensor(bias))


def attended(joint: torch.Tensor, tokens: torch.Tensor, heads: int) -> torch.Tensor:
    """joint: [n, length, 3 * hidden], query, key and value. tokens: bool[n, 1, 1, length]. To [n, length, hidden]."""
    n, length, width = joint.shape
    query, key, value = joint.view(n, length, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=tokens)
    return mixed.transpose(1, 2).reshape(n, length, width // 3)
