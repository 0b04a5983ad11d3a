"""From a failed gRPC call to an error of this package."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2, status_pb2

from pinakes.errors import CLASS_OF_CODE, CLASS_OF_REASON, ErrorDetails, FieldViolation, PinakesError

DOMAIN = "pinakes"
"""The domain of the server's ErrorInfo; a proxy's own ErrorInfo has another."""

_DETAILS_KEY = "grpc-status-details-bin"


def error_of(failed: grpc.RpcError) -> PinakesError:
    """The error that a call's failure stands for. Takes the errors of both `grpc` and `grpc.aio`."""
    assert isinstance(failed, grpc.Call | grpc.aio.AioRpcError)
    code = failed.code().name
    details = _details(code, failed.trailing_metadata())
    cls = CLASS_OF_REASON.get(details.reason) or CLASS_OF_CODE.get(code, PinakesError)
    return cls(failed.details() or code, details)


def _details(code: str, trailing: object) -> ErrorDetails:
    reason = ""
    metadata: dict[str, str] = {}
    violations: list[FieldViolation] = []
    retry_after_s: float | None = None
    for packed in _status(trailing).details:
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


def _status(trailing: object) -> status_pb2.Status:
    status = status_pb2.Status()
    pairs = trailing if isinstance(trailing, tuple | list | grpc.aio.Metadata) else ()
    for key, value in pairs:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            status.ParseFromString(value)
    return status
