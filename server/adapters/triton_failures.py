"""What Triton's failures mean for the application."""

from __future__ import annotations

import grpc
from tritonclient.utils import InferenceServerException

from server.domain.errors import DependencyUnavailable, PinakesError, StageDeadline


def translated(
    failure: InferenceServerException | grpc.RpcError, model: str, dependency: str | None = None
) -> PinakesError:
    """The failure of a call to `model`, to be raised from it. `dependency`: what was called, if it is no model."""
    if isinstance(failure, grpc.aio.AioRpcError):
        status, problem = failure.code().name, failure.details() or failure.code().name
    elif isinstance(failure, InferenceServerException):
        status, problem = str(failure.status()).removeprefix("StatusCode."), failure.message()
    else:
        status, problem = "", type(failure).__name__
    if status == "DEADLINE_EXCEEDED":
        return StageDeadline(model)
    return DependencyUnavailable(dependency or f"the model {model}", problem)
