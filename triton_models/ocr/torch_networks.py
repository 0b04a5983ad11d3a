"""Runs the OCR networks with Torch: for machines with a GPU and without TensorRT, and on a CPU to test it.

`onnx2pytorch` makes Torch modules of the ONNX files. They compute in float32; products on a GPU in TF32.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx2pytorch import ConvertModel

from triton_models.ocr.recognition import Steps

FloatBatch = npt.NDArray[np.float32]


def torch_detection(model: Path, device: str, threads: int) -> Callable[[FloatBatch], FloatBatch]:
    """A function from the ONNX model's one input to its one output. `threads`: Torch's, for the whole process."""
    network = _module(model, device, threads)

    def run(batch: FloatBatch) -> FloatBatch:
        probability: FloatBatch = network(batch).cpu().numpy()
        return probability

    return run


def torch_recognition(model: Path, device: str, threads: int) -> Callable[[FloatBatch], Steps]:
    """The likeliest class of each step is found on the device."""
    network = _module(model, device, threads)

    def run(batch: FloatBatch) -> Steps:
        probabilities = network(batch)
        best = probabilities.max(dim=2)
        found = (best.indices.int(), best.values, probabilities[:, :, -1])
        return Steps(*(each.cpu().numpy() for each in found))

    return run


def _module(model: Path, device: str, threads: int) -> Callable[[FloatBatch], torch.Tensor]:
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")
    with warnings.catch_warnings():
        # Of what it does not do as ONNX says; for these networks it makes no difference, as a test sees.
        warnings.simplefilter("ignore")
        # Experimental is more than one row in a batch.
        module = ConvertModel(onnx.load(str(model)), experimental=True).eval().to(device)

    def run(batch: FloatBatch) -> torch.Tensor:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result: torch.Tensor = module(torch.from_numpy(batch).to(device))
        return result

    return run
