"""What runs the reader's network; see `embed/networks.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from triton_models.bls import call_model
from triton_models.embed.networks import fastest_on_cpu, onnxruntime_session, padded_to_step
from triton_models.read.reader import OUTPUT, ReaderNetwork
from triton_models.runtimes import Runtimes


def cpu_network(network: Path, threads: int) -> ReaderNetwork:
    """The ONNX file on the CPU, by what is fastest there."""

    def kernels() -> ReaderNetwork:
        from triton_models.read.kernel_network import kernel_network

        return kernel_network(network, threads)

    return fastest_on_cpu(kernels, lambda: onnxruntime_network(network, threads))


def onnxruntime_network(network: Path, threads: int) -> ReaderNetwork:
    """The ONNX file on the CPU."""
    session = onnxruntime_session(network, threads)

    def run(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        (logits,) = session.run([OUTPUT], {"input_ids": ids, "attention_mask": mask})
        result: npt.NDArray[np.float32] = logits
        return result

    return run


def served_network(model: str) -> ReaderNetwork:
    """The model of that name in the Triton that runs this process. Raises ServedNetworkFailed when called; cannot be
    called while a model is loaded."""

    def run(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        padded_ids, padded_mask = padded_to_step(ids, mask)
        (logits,) = call_model(model, {"input_ids": padded_ids, "attention_mask": padded_mask}, [OUTPUT])
        return logits[:, : ids.shape[1]]

    return run


def _torch_network(network: Path, device: str, threads: int) -> ReaderNetwork:
    # An extra: not installed where it is not wanted.
    from triton_models.read.torch_network import torch_network

    return torch_network(network, device, threads)


RUNTIMES = Runtimes(cpu_network, _torch_network, served_network)
