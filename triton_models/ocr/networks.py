"""Runs the OCR networks on the CPU with OpenVINO, in bfloat16 where the CPU has instructions for it, in float32
elsewhere. `cache` keeps what OpenVINO compiled, for the next start.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13

from triton_models.ocr.recognition import BLANK, Steps

FloatBatch = npt.NDArray[np.float32]

CERTAIN = 25.5
"""The blank's logit from which a step is taken for blank without asking the other classes. It is fitted to the
recognition network: of the steps at which another class won, none had a blank's logit above 24.9 (12,684 steps of
typeset pages, clean and scanned), and of all steps two thirds are above the bound."""


def detection_network(model: Path, threads: int, cache: Path | None) -> Callable[[FloatBatch], FloatBatch]:
    """A function from the ONNX model's one input to its one output. Not for several threads at once."""
    core = openvino.Core()
    request = _compiled(core, core.read_model(str(model)), threads, 1, cache).create_infer_request()

    def run(batch: FloatBatch) -> FloatBatch:
        request.infer([batch], share_inputs=True)
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)

    return run


def recognition_network(model: Path, threads: int, cache: Path | None) -> Callable[[FloatBatch], Steps]:
    """From lines to the likeliest class of each step; the last class is the space. For as many calls at once as there
    are `threads`, each on a thread of its own; more wait.

    The network is cut before its classifier. There are about 18,700 classes, and most steps are blank: the logits of
    the blank and of the space come with the features, and only steps that those two do not settle go on to all
    classes.
    """
    core = openvino.Core()
    features = _Streams(_compiled(core, _features(core.read_model(str(model))), threads, threads, cache), threads)
    classes = _Streams(_compiled(core, _classifier(core.read_model(str(model))), threads, threads, cache), threads)

    def run(batch: FloatBatch) -> Steps:
        with features.inferred(batch) as (hidden, decided):
            blank, space = decided[..., 0], decided[..., 1]
            open_steps = blank < CERTAIN
            found = Steps(
                np.full(blank.shape, BLANK, dtype=np.int32),
                np.ones(blank.shape, dtype=np.float32),
                # Where the blank is certain, nothing but it and the space counts.
                (1 / (1 + np.exp(np.minimum(blank - space, 80)))).astype(np.float32),
            )
            chosen = np.ascontiguousarray(hidden[open_steps])
        if len(chosen):
            with classes.inferred(chosen) as outputs:
                for all_steps, settled in zip(found, outputs, strict=True):
                    all_steps[open_steps] = settled[:, 0]
        return found

    return run


class _Streams:
    """A compiled network that as many threads as it has requests can use at once."""

    def __init__(self, network: openvino.CompiledModel, count: int) -> None:
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        self._outputs = len(network.outputs)
        for _ in range(count):
            self._idle.put(network.create_infer_request())

    @contextmanager
    def inferred(self, batch: FloatBatch) -> Iterator[list[npt.NDArray[np.float32]]]:
        """The outputs, which are good until the end of the context."""
        request = self._idle.get()
        try:
            request.infer([batch], share_inputs=True)
            yield [request.get_output_tensor(index).data for index in range(self._outputs)]
        finally:
            self._idle.put(request)


def _features(graph: openvino.Model) -> openvino.Model:
    """float32[lines, 3, height, width] to the features of each step, float32[lines, steps, n], and to the logits of
    the blank and the space, float32[lines, steps, 2]."""
    product, bias = _classifier_of(graph)
    ends = opset13.constant(np.array([BLANK, product.get_output_partial_shape(0)[2].get_length() - 1], dtype=np.int64))
    last = opset13.constant(np.int64(-1))
    logits = opset13.add(
        opset13.matmul(product.input_value(0), opset13.gather(product.input_value(1), ends, last), False, False),
        opset13.gather(bias, ends, last),
    )
    return openvino.Model([product.input_value(0), logits.output(0)], graph.get_parameters(), "features")


def _classifier(graph: openvino.Model) -> openvino.Model:
    """Features of steps, float32[steps, n], to the likeliest class, its probability and that of the space, each
    [steps, 1]. Only this little is copied out."""
    product, bias = _classifier_of(graph)
    classes = product.get_output_partial_shape(0)[2].get_length()
    steps = opset13.parameter([-1, product.get_input_partial_shape(0)[2].get_length()], np.float32)
    logits = opset13.add(opset13.matmul(steps, product.input_value(1), False, False), bias)
    probabilities = opset13.softmax(logits, -1)
    best = opset13.topk(probabilities, opset13.constant(np.int64(1)), -1, "max", "none", index_element_type="i32")
    space = opset13.gather(
        probabilities, opset13.constant(np.array([classes - 1], dtype=np.int64)), opset13.constant(np.int64(1))
    )
    return openvino.Model([best.output(1), best.output(0), space.output(0)], [steps], "classifier")


def _classifier_of(graph: openvino.Model) -> tuple[openvino.Node, openvino.Output]:
    """The last matrix product (features x weights, not transposed) and the bias added to it. Raises ValueError for a
    network that does not end so, with a softmax behind."""
    result = graph.outputs[0].get_node()
    softmax = _before(result, 0)
    added = _before(softmax, 0)
    if (softmax.get_type_name(), added.get_type_name()) != ("Softmax", "Add"):
        raise ValueError("the recognition network does not end with a classifier of one layer")
    for side in (0, 1):
        product = _before(added, side)
        if product.get_type_name() == "MatMul":
            return product, added.input_value(1 - side)
    raise ValueError("the recognition network's classifier is no product of a matrix")


def _before(node: openvino.Node, side: int) -> openvino.Node:
    """What computes the node's input, past identities."""
    source = node.input_value(side).get_node()
    while source.get_type_name() == "Identity":
        source = source.input_value(0).get_node()
    return source


def _compiled(
    core: openvino.Core, graph: openvino.Model, threads: int, streams: int, cache: Path | None
) -> openvino.CompiledModel:
    """`threads` are shared out evenly to so many `streams`, each of which works on one call."""
    settings: dict[str, object] = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
    }
    if cache is not None:
        settings["CACHE_DIR"] = str(cache)
    return core.compile_model(graph, "CPU", settings)
