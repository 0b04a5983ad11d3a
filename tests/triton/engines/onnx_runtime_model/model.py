"""Runs the ONNX file beside it, under the tensors of the configuration: in the place of an engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        self._inputs = [each["name"] for each in config["input"]]
        self._outputs = [each["name"] for each in config["output"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        network = Path(args["model_repository"]) / args["model_version"] / "model.plan"
        self._session = onnxruntime.InferenceSession(network.read_bytes(), options, providers=["CPUExecutionProvider"])

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        inputs = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
        results = self._session.run(self._outputs, inputs)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, values) for name, values in zip(self._outputs, results, strict=True)]
        )
