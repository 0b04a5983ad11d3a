"""From a failed gRPC call to an error of this package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from pinakes.errors import CLASS_OF_CODE, CLASS_OF_REASON, ErrorDetails, FieldViolation, PinakesError, Unavailable

_LOST_STATUS = ("INTERNAL", "Internal error from Core")
"""What `grpc.aio` makes up when a server ends an upload that is still being written and its status is lost (about once
in 300 such uploads). Not the server's word: the call may be repeated, and then tells its real status."""

DOMAIN = "pinakes"
"""The domain of the server's ErrorInfo; a proxy's own ErrorInfo has another."""


def error_of(failed: grpc.RpcError) -> PinakesError:
    """The error that a call's failure stands for. Takes the errors of both `grpc` and `grpc.aio`."""
    call = cast(grpc.Call, failed)  # what both raise has a call's code, details and trailing metadata
    code = call.code().name
    details = _details(code, call)
    if (code, call.details()) == _LOST_STATUS:
        return Unavailable("the call ended before the server's answer could be read", details)
    cls = CLASS_OF_REASON.get(details.reason) or CLASS_OF_CODE.get(code, PinakesError)
    return cls(call.details() or code, details)


def _details(code: str, call: grpc.Call) -> ErrorDetails:
    reason = ""
    metadata: dict[str, str] = {}
    violations: list[FieldViolation] = []
    retry_after_s: float | None = None
    for packed in _packed_details(call):
        info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if packed.Unpack(info):
            if info.domain == DOMAIN:
                reason, metadata = info.reason, dict(info.metadata)
        elif packed.Unpack(bad_request):
            violations += [FieldViolation(v.field, v.description) for v in bad_request.field_violations]
        elif packed.Unpack(retry):
            retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    return ErrorDetails(code, reason, metadata, tuple(violations), retry_after_s)


def _packed_details(call: grpc.Call) -> Sequence[Any]:
    try:
        status = rpc_status.from_call(call)
    except ValueError:  # something between here and the server has replaced the status, so its details are void
        return ()
    return status.details if status else ()
