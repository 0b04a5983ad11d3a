"""Writes float32 networks of standard operators as the engines need them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from triton_models.embed.float_network import Precision
from triton_models.errors import ConversionFailed

Change = Callable[[onnx.ModelProto], None]


def write_converted(network: Path, path: Path, precision: Precision, change: Change = lambda _: None) -> None:
    """`network` in that precision, as `path`, after `change`; inputs and outputs stay as they were. Raises
    ConversionFailed."""
    model = onnx.load(str(network))
    change(model)
    match precision:
        case "fp32":
            pass
        case "fp16":
            model = convert_float_to_float16(model, keep_io_types=True)
            _sort(model.graph)
        case "bf16":
            raise ConversionFailed(f"{network.name} can be written in fp32 and fp16, not in bf16")
    onnx.save(model, str(path))


def with_likeliest_class(model: onnx.ModelProto) -> None:
    """Puts in the place of the one output float32[n, steps, classes] those of `ocr.recognition.Steps`."""
    graph = model.graph
    (probabilities,) = [output.name for output in graph.output]
    last = {"steps.from": [-1], "steps.to": [2**31 - 1], "steps.axis": [2]}
    graph.initializer.extend(numpy_helper.from_array(np.array(value), name) for name, value in last.items())
    graph.node.extend(
        [
            helper.make_node("ArgMax", [probabilities], ["steps.index"], axis=2, keepdims=0),
            helper.make_node("Cast", ["steps.index"], ["classes"], to=TensorProto.INT32),
            helper.make_node("ReduceMax", [probabilities], ["probabilities"], axes=[2], keepdims=0),
            helper.make_node("Slice", [probabilities, *last], ["steps.space"]),
            helper.make_node("Squeeze", ["steps.space"], ["spaces"], axes=[2]),
        ]
    )
    del graph.output[:]
    types = {"classes": TensorProto.INT32, "probabilities": TensorProto.FLOAT, "spaces": TensorProto.FLOAT}
    graph.output.extend(helper.make_tensor_value_info(name, kind, ["n", "steps"]) for name, kind in types.items())


def _sort(graph: onnx.GraphProto) -> None:
    """Puts nodes after those that they read from, as ONNX demands; the conversion appends its casts at the end."""
    ready = {""} | {value.name for value in graph.input} | {value.name for value in graph.initializer}
    waiting, ordered = list(graph.node), []
    while waiting:
        late = []
        for node in waiting:
            if ready.issuperset(node.input):
                ready.update(node.output)
                ordered.append(node)
            else:
                late.append(node)
        if len(late) == len(waiting):
            raise ConversionFailed(f"the network reads tensors that nothing writes, at {late[0].name}")
        waiting = late
    del graph.node[:]
    graph.node.extend(ordered)
