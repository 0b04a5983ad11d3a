"""Runs the OCR networks on the CPU with OpenVINO."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino

Network = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def openvino_network(model: Path, threads: int, cache: Path | None) -> Network:
    """A function from the ONNX model's one input to its one output. Not for several threads at once.

    It computes in bfloat16 where the CPU has instructions for it, in float32 elsewhere. `cache` keeps what OpenVINO
    compiled, for the next start.
    """
    core = openvino.Core()
    settings: dict[str, object] = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    if cache is not None:
        settings["CACHE_DIR"] = str(cache)
    request = core.compile_model(str(model), "CPU", settings).create_infer_request()

    def run(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        request.infer([batch], share_inputs=True)
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)

    return run
