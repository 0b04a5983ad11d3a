"""What Triton's failures mean for the application."""

from __future__ import annotations

import re

import grpc
from tritonclient.utils import InferenceServerException

from server.domain.errors import DependencyUnavailable, PinakesError, StageDeadline

_BROKE = re.compile(r"(Failed to process the request\(s\) for model .{1,200}?, message: \w{1,80})\b.*", re.DOTALL)


def _without_values(problem: str) -> str:
    """Of a model that broke, the class of its error: its message may quote what the model was given."""
    return _BROKE.sub(r"\1", problem)


def translated(
    failure: InferenceServerException | grpc.RpcError, model: str, dependency: str | None = None
) -> PinakesError:
    """The failure of a call to `model`, to be raised from it. `dependency`: what was called, if it is no model. What
    Triton says may name addresses and files: it is for operators."""
    if isinstance(failure, grpc.aio.AioRpcError):
        status, detail = failure.code().name, _without_values(failure.details() or failure.code().name)
    elif isinstance(failure, InferenceServerException):
        status, detail = str(failure.status()).removeprefix("StatusCode."), _without_values(failure.message())
    else:
        status, detail = type(failure).__name__, ""
    if status == "DEADLINE_EXCEEDED":
        return StageDeadline(model)
    return DependencyUnavailable(dependency or f"the model {model}", f"it fails with {status}", detail=detail)
