"""Runs the reader's network by kernels of our own; see `embed/kernel_network.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from triton_models.embed.encoder_file import EncoderFile
from triton_models.embed.kernel_network import by_token
from triton_models.read.reader import ReaderNetwork
from triton_models.read.weights import HEAD


def kernel_network(network: Path, threads: int) -> ReaderNetwork:
    """Raises ConversionFailed for a network that `read/network.py` did not write."""
    file = EncoderFile(network)
    matrix, bias = (file.constant(f"{HEAD}.{part}").astype(np.float32) for part in "wb")

    def logits(states: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return states @ matrix + bias

    return by_token(file, threads, logits)
