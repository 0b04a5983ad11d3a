"""What models of texts read from a request, and how they refuse one. Only in a process that Triton started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import triton_python_backend_utils as pb_utils


def parameters(args: Mapping[str, str]) -> dict[str, str]:
    """Those of the model's configuration, from what `initialize` is called with."""
    return {key: entry["string_value"] for key, entry in json.loads(args["model_config"])["parameters"].items()}


def strings(request: Any, name: str) -> list[str]:
    """A BYTES tensor of one column; what is no UTF-8 becomes the replacement character."""
    values = pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)
    return [bytes(value).decode(errors="replace") for value in values]


def refusal(message: str) -> Any:
    """The answer to a request that breaks a documented rule."""
    error = pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG)
    return pb_utils.InferenceResponse(output_tensors=[], error=error)
