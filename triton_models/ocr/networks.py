"""Runs the OCR networks on the CPU with OpenVINO."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13

from triton_models.ocr.recognition import Steps

FloatBatch = npt.NDArray[np.float32]


def detection_network(model: Path, threads: int, cache: Path | None) -> Callable[[FloatBatch], FloatBatch]:
    """A function from the ONNX model's one input to its one output. Not for several threads at once.

    It computes in bfloat16 where the CPU has instructions for it, in float32 elsewhere. `cache` keeps what OpenVINO
    compiled, for the next start.
    """
    core = openvino.Core()
    request = _compiled(core, core.read_model(str(model)), threads, cache).create_infer_request()

    def run(batch: FloatBatch) -> FloatBatch:
        request.infer([batch], share_inputs=True)
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)

    return run


def recognition_network(model: Path, threads: int, cache: Path | None) -> Callable[[FloatBatch], Steps]:
    """Like `detection_network`, but the likeliest class of each step is found within the graph: there are about 18,700
    classes, and copying all their probabilities out costs more than the answer is worth. The last class is the
    space."""
    core = openvino.Core()
    graph = core.read_model(str(model))
    # Of the result: the tensor that it shows.
    probabilities = graph.outputs[0].get_node().input_value(0)
    classes = probabilities.get_partial_shape()[2].get_length()
    best = opset13.topk(probabilities, opset13.constant(np.int64(1)), -1, "max", "none", index_element_type="i32")
    space = opset13.gather(
        probabilities, opset13.constant(np.array([classes - 1], dtype=np.int64)), opset13.constant(np.int64(2))
    )
    reduced = openvino.Model([best.output(1), best.output(0), space.output(0)], graph.get_parameters(), "recognition")
    request = _compiled(core, reduced, threads, cache).create_infer_request()

    def run(batch: FloatBatch) -> Steps:
        request.infer([batch], share_inputs=True)
        return Steps(*(np.array(request.get_output_tensor(i).data[..., 0]) for i in range(3)))

    return run


def _compiled(core: openvino.Core, graph: openvino.Model, threads: int, cache: Path | None) -> openvino.CompiledModel:
    settings: dict[str, object] = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    if cache is not None:
        settings["CACHE_DIR"] = str(cache)
    return core.compile_model(graph, "CPU", settings)
