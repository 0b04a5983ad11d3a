"""What runs the encoder's network: our kernels, ONNX Runtime or Torch in this process, or another model in Triton."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime

from triton_models.bls import call_model
from triton_models.embed.tokenizer import PAD
from triton_models.errors import ConversionFailed
from triton_models.runtimes import Runtimes

TokenNetwork = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int32]], npt.NDArray[np.float32]]
"""From ids int64[n, length] and mask int32[n, length] (1: token, 0: padding) to vectors float32[n, hidden] of length 1.
For one thread at a time."""

_N = TypeVar("_N")

LENGTH_STEP = 16
"""Served networks see lengths that are multiples of this: tensor cores work in such tiles, and requests of one length
can be joined to a batch."""


def cpu_network(network: Path, threads: int) -> TokenNetwork:
    """The ONNX file on the CPU, by what is fastest there: kernels of our own for a network of ours where the CPU has
    their instructions, else ONNX Runtime. A second."""

    def kernels() -> TokenNetwork:
        from triton_models.embed.kernel_network import kernel_network

        return kernel_network(network, threads)

    return fastest_on_cpu(kernels, lambda: onnxruntime_network(network, threads))


def fastest_on_cpu(kernels: Callable[[], _N], onnxruntime: Callable[[], _N]) -> _N:
    """One of both: that of our kernels for a network of ours where they are faster, else ONNX Runtime's. Kernels take a
    second to import: where they are not wanted, the function that imports them is not called."""
    if kernels_are_faster():
        try:
            return kernels()
        except ConversionFailed:  # another network
            pass
    return onnxruntime()


def onnxruntime_network(network: Path, threads: int) -> TokenNetwork:
    """The ONNX file on the CPU."""
    session = onnxruntime_session(network, threads)

    def run(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        (vectors,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
        result: npt.NDArray[np.float32] = vectors
        return result

    return run


def served_network(model: str) -> TokenNetwork:
    """The model of that name in the Triton that runs this process. Raises ServedNetworkFailed when called."""

    def run(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        padded_ids, padded_mask = padded_to_step(ids, mask)
        (vectors,) = call_model(model, {"input_ids": padded_ids, "attention_mask": padded_mask}, ["embedding"])
        return vectors

    return run


def padded_to_step(
    ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Both with padding up to a length that served networks see."""
    room = ((0, 0), (0, -ids.shape[1] % LENGTH_STEP))
    return np.pad(ids, room, constant_values=PAD), np.pad(mask, room)


def onnxruntime_session(network: Path, threads: int) -> onnxruntime.InferenceSession:
    """Runs a network that shares the machine with others, on `threads` of its cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads must leave the cores to the other models.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not has_vnni():
        # Without VNNI, products of uint8 and int8 saturate at 16 bits.
        options.add_session_config_entry("session.x64quantprecision", "1")
    # Fused, layer normalization takes ten times as long.
    return onnxruntime.InferenceSession(
        str(network), options, providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
    )


def openvino_is_faster() -> bool:
    """On this CPU, for the networks that `network.py` writes."""
    return has_vnni() and has_bfloat16()


def kernels_are_faster() -> bool:
    """On this CPU, for the networks that `network.py` writes."""
    return "avx512_vnni" in _cpu_flags()


def has_vnni() -> bool:
    """Whether the CPU multiplies int8 without saturating."""
    return bool(_cpu_flags() & {"avx512_vnni", "avx_vnni"})


def has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16."""
    return "avx512_bf16" in _cpu_flags()


def _cpu_flags() -> frozenset[str]:
    return frozenset(Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split())


def _torch_network(network: Path, device: str, threads: int) -> TokenNetwork:
    # An extra: not installed where it is not wanted.
    from triton_models.embed.torch_network import torch_network

    return torch_network(network, device, threads)


RUNTIMES = Runtimes(cpu_network, _torch_network, served_network)
