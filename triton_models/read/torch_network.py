"""Runs the reader's network with Torch; see `embed/torch_network.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from triton_models.embed.torch_network import TorchEncoder
from triton_models.read.reader import ReaderNetwork
from triton_models.read.weights import HEAD


def torch_network(network: Path, device: str, threads: int) -> ReaderNetwork:
    """The encoder on `device` as for embeddings, the head in float32. `threads`: Torch's, for the whole process.

    Raises ConversionFailed for a network that `read/network.py` did not write.
    """
    torch.set_num_threads(threads)
    encoder = TorchEncoder.read(network, device)
    matrix, bias = (encoder.constants(f"{HEAD}.{part}") for part in "wb")

    def run(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            states = encoder.states(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
            logits: npt.NDArray[np.float32] = (states @ matrix + bias).cpu().numpy()
        return logits

    return run
