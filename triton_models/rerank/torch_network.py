"""Runs the reranker's network with Torch; see `embed/torch_network.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from triton_models.embed.torch_network import TorchEncoder
from triton_models.rerank.reranker import RerankNetwork, TokenVectors


def torch_network(network: Path, device: str, threads: int) -> RerankNetwork:
    """The encoder on `device` as for embeddings, the head in float32. `threads`: Torch's, for the whole process.

    Raises ConversionFailed for a network that `rerank/network.py` did not write.
    """
    torch.set_num_threads(threads)
    encoder = TorchEncoder.read(network, device)
    names = ("center", "down", "up", "importance", "information")
    center, down, up, importance, information = (encoder.constants(f"head.{name}") for name in names)

    def run(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> TokenVectors:
        with torch.inference_mode():
            tokens = torch.from_numpy(ids).to(device)
            centered = encoder.states(tokens, torch.from_numpy(mask).to(device)) - center
            vectors = functional.normalize(centered + (centered @ down) @ up, dim=2)
            weights = torch.exp(centered @ importance + information[tokens])
            return TokenVectors(vectors.cpu().numpy(), weights.cpu().numpy())

    return run
