"""Runs the network of late interaction by kernels of our own; see `embed/kernel_network.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from triton_models.embed.encoder_file import EncoderFile
from triton_models.embed.kernel_network import by_token
from triton_models.rerank.reranker import RerankNetwork, TokenVectors

Floats = npt.NDArray[np.float32]

_PARTS = ("center", "down", "up", "importance", "information")


def kernel_network(network: Path, threads: int) -> RerankNetwork:
    """Raises ConversionFailed for a network that `rerank/network.py` did not write."""
    file = EncoderFile(network)
    center, down, up, importance, information = (file.constant(f"head.{part}").astype(np.float32) for part in _PARTS)

    def vectors_and_context(states: Floats) -> Floats:
        """float32[tokens, hidden + 1]: the last is the logarithm of importance without the token's information."""
        centered = states - center
        moved = centered + centered @ down @ up
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        return np.column_stack([moved, centered @ importance])

    run = by_token(file, threads, vectors_and_context)

    def call(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> TokenVectors:
        found = run(ids, mask)
        return TokenVectors(found[:, :, :-1], np.exp(found[:, :, -1] + information[ids]))

    return call
