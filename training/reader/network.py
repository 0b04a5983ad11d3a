"""The reader's network in Torch, to be trained: the encoder's lower layers as they are, its upper layers and a head
that learn. Products in bfloat16, what is learned in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from triton_models.embed.torch_network import EncoderLayer, Linear, TorchEncoder, attended

_PARTS = {
    "joint": "joint",
    "output": "output",
    "inner": "inner",
    "outer": "outer",
    "an": "attention_norm",
    "on": "output_norm",
}
"""The parts of a layer, by the names that `triton_models.read.weights.pack` reads."""
_HEAD = "head"
_HEAD_DEVIATION = 0.02
"""Of the head's first weights, as those of BERT."""


class TrainedReader:
    """Takes over the encoder's tensors, which are on the CPU in float32; those of the upper layers change."""

    @classmethod
    def of(cls, network: Path, frozen: int, seed: int) -> TrainedReader:
        """network: a file that has the encoder, such as `triton_models.rerank.network.write_token_network` writes.
        Raises ConversionFailed."""
        return cls(TorchEncoder.read(network, "cpu"), frozen, seed)

    def __init__(self, encoder: TorchEncoder, frozen: int, seed: int) -> None:
        """frozen: how many layers do not learn. The seed decides the head's first weights."""
        self._encoder = encoder
        self._lower, self._upper = encoder.layers[:frozen], encoder.layers[frozen:]
        hidden = encoder.words.shape[1]
        drawn = torch.randn(2, hidden, generator=torch.Generator().manual_seed(seed))
        self._head = Linear(drawn * _HEAD_DEVIATION, torch.zeros(2))
        self.parameters: dict[str, Any] = dict(self._named())
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)

    @property
    def head_matrix(self) -> Any:
        """[2, hidden], among the parameters."""
        return self._head.weight

    def load(self, state: dict[str, Any]) -> None:
        """state: as `parameters`."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(state[name])

    def logits(self, ids: Any, mask: Any, dropout: float) -> Any:
        """ids, mask: int[n, length]. float32[n, length, 2]: of start and end. dropout: the share of what the upper
        layers add that is left out."""
        tokens = mask.bool()[:, None, None, :]
        with torch.no_grad():
            words = functional.embedding(ids, self._encoder.words)
            x = self._encoder.norm(words + self._encoder.positions[: ids.shape[1]]).bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                for layer in self._lower:
                    x = self._passed(layer, x, tokens, 0.0)
            for layer in self._upper:
                x = self._passed(layer, x, tokens, dropout)
        return self._head(x.float())

    def read(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """As what `triton_models.read.reader.Reader` runs."""
        with torch.inference_mode():
            logits: npt.NDArray[np.float32] = self.logits(torch.from_numpy(ids), torch.from_numpy(mask), 0.0).numpy()
        return logits

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """The parameters, as `triton_models.read.weights.pack` reads them."""
        return {name: each.detach().numpy() for name, each in self.parameters.items()}

    def _passed(self, layer: EncoderLayer, x: Any, tokens: Any, dropout: float) -> Any:
        attention = layer.output(attended(layer.joint(x), tokens, self._encoder.heads))
        x = layer.attention_norm(x + functional.dropout(attention, dropout))
        return layer.output_norm(x + functional.dropout(layer.outer(functional.gelu(layer.inner(x))), dropout))

    def _named(self) -> Iterator[tuple[str, Any]]:
        for number, layer in enumerate(self._upper):
            for name, part in _PARTS.items():
                yield f"upper.{number}.{name}.weight", getattr(layer, part).weight
                yield f"upper.{number}.{name}.bias", getattr(layer, part).bias
        yield f"{_HEAD}.weight", self._head.weight
        yield f"{_HEAD}.bias", self._head.bias
