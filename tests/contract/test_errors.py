"""Every reason that the contract names reaches the caller as an error of its own, with its details."""

from __future__ import annotations

import re

import grpc
import pytest
from google.rpc import error_details_pb2

from pinakes import AsyncClient, errors
from pinakes.v1 import error_reason_pb2
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script

REASONS = [
    value.name.removeprefix("ERROR_REASON_") for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values if value.number
]


def test_each_reason_has_a_class_and_each_class_one_reason() -> None:
    assert sorted(errors.CLASS_OF_REASON) == sorted(REASONS)
    assert len(set(errors.CLASS_OF_REASON.values())) == len(REASONS)


@pytest.mark.parametrize("reason", REASONS)
async def test_a_reason_is_decoded(client: AsyncClient, script: Script, reason: str) -> None:
    told = {"document_id": "d-1", "stage": "embed", "request_id": "r-1", "limit_bytes": "12"}
    violation = error_details_pb2.BadRequest.FieldViolation(field="query", description="1 to 500 characters")
    details = (
        server.reason(reason, **told),
        error_details_pb2.BadRequest(field_violations=[violation]),
        server.retry_in(0.0005),
    )
    script.on("Search", server.fails(grpc.StatusCode.UNKNOWN, "what happened", *details))
    with pytest.raises(errors.PinakesError) as raised:
        await client.search("q")
    error = raised.value
    assert type(error) is errors.CLASS_OF_REASON[reason]
    assert (error.reason, error.code, str(error)) == (reason, "UNKNOWN", "what happened")
    assert error.field_violations == (errors.FieldViolation("query", "1 to 500 characters"),)
    assert error.retry_after_s == 0.0005
    for name in told:
        if hasattr(error, name):
            assert str(getattr(error, name)) == told[name]


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidRequest),
        (grpc.StatusCode.NOT_FOUND, errors.NotFound),
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.INTERNAL, errors.InternalError),
        (grpc.StatusCode.UNIMPLEMENTED, errors.PinakesError),
    ],
)
async def test_a_reason_of_a_newer_server_becomes_its_codes_class(
    client: AsyncClient, script: Script, code: grpc.StatusCode, cls: type[errors.PinakesError]
) -> None:
    script.on("Search", server.fails(code, "no", server.reason("NEVER_HEARD_OF")))
    with pytest.raises(errors.PinakesError) as raised:
        await client.search("q")
    assert (type(raised.value), raised.value.reason) == (cls, "NEVER_HEARD_OF")


async def test_a_status_that_grpc_lost_is_asked_for_again(client: AsyncClient, script: Script) -> None:
    lost = server.fails(grpc.StatusCode.INTERNAL, "Internal error from Core")
    script.on("GetDocument", lost, server.fails(grpc.StatusCode.NOT_FOUND, "no", server.reason("DOCUMENT_NOT_FOUND")))
    with pytest.raises(errors.DocumentNotFound):
        await client.documents.get("d-1")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    def below(cls: type[errors.PinakesError]) -> set[str]:
        return {cls.__name__}.union(*(below(sub) for sub in cls.__subclasses__()))

    assert errors.__doc__
    drawn = set(re.findall(r"\w+", errors.__doc__.split("\n\n")[1]))
    assert below(errors.PinakesError) <= drawn
