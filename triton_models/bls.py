"""Calls of another model of the same Triton, from inside a model (Business Logic Scripting)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt


class ServedNetworkFailed(RuntimeError):
    """The other model is not there, or failed. `str(error)` names it, with Triton's own message."""


def network_name(model: str, role: str) -> str:
    """The Triton model that runs the network `role` of `model`."""
    return f"{model}.{role}"


def call_model(
    model: str, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]
) -> tuple[npt.NDArray[Any], ...]:
    """Those outputs of `model`, in host memory. Blocks; one call at a time per instance of the calling model.

    Only inside `execute`: Triton answers no such calls while a model is loaded. Raises ServedNetworkFailed.
    """
    # Only there in a process that Triton started.
    import triton_python_backend_utils as pb_utils

    request = pb_utils.InferenceRequest(
        model_name=model,
        requested_output_names=list(outputs),
        inputs=[pb_utils.Tensor(name, values) for name, values in inputs.items()],
        # Where nothing is said, a model on a GPU leaves its output there.
        preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
    )
    response = request.exec()
    if response.has_error():
        raise ServedNetworkFailed(f"the network {model} failed: {response.error().message()}")
    return tuple(pb_utils.get_output_tensor_by_name(response, name).as_numpy() for name in outputs)
