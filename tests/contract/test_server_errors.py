"""What the server says of its errors is what the client understands."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from pinakes import AsyncClient, ClientOptions, RetryPolicy
from pinakes import errors as client_errors
from server.domain import errors
from server.transport.status import internal_status, status_of
from tests.contract.scripted_server import Behaviour, Script

ERRORS = [
    (errors.InvalidField("query", "1 to 500 characters"), client_errors.InvalidField),
    (errors.InvalidPageToken(), client_errors.InvalidPageToken),
    (errors.UnreadableDocument("it is empty"), client_errors.UnreadableDocument),
    (errors.UnsupportedFormat("audio/mpeg", ("application/pdf",)), client_errors.UnsupportedFormat),
    (errors.EncryptedDocument(), client_errors.EncryptedDocument),
    (errors.DocumentTooLarge(10), client_errors.DocumentTooLarge),
    (errors.DocumentNotFound("d-1"), client_errors.DocumentNotFound),
    (errors.JobNotFound("j-1"), client_errors.JobNotFound),
    (errors.GenerationNotFound("g-2"), client_errors.GenerationNotFound),
    (errors.GenerationExists("g-2"), client_errors.GenerationExists),
    (errors.WrongGenerationState("g-2", "is still being built"), client_errors.WrongGenerationState),
    (errors.SnapshotExists("monday"), client_errors.SnapshotExists),
    (errors.DocumentExists("d-1"), client_errors.DocumentExists),
    (errors.DocumentDeleted("d-1"), client_errors.DocumentDeleted),
    (errors.DeadLetterNotFound("j-1"), client_errors.DeadLetterNotFound),
    (errors.RevisionSuperseded("d-1"), client_errors.RevisionSuperseded),
    (errors.JobCancelled("j-1"), client_errors.JobCancelled),
    (errors.DocumentBusy("d-1", "j-1", "is busy"), client_errors.DocumentBusy),
    (errors.NoPageImage("text/html"), client_errors.NoPageImage),
    (errors.AccessChanged("d"), client_errors.AccessChanged),
    (errors.QuotaExceeded("documents", 5), client_errors.QuotaExceeded),
    (errors.Overloaded("generation", 2.5), client_errors.Overloaded),
    (errors.StageDeadline("embed"), client_errors.DeadlineExceeded),
    (errors.DependencyUnavailable("the embedder", "it is down", 2.5), client_errors.DependencyUnavailable),
    (errors.IndexBehind(9, 7), client_errors.IndexBehind),
    (errors.ModelNotInstalled("reranker"), client_errors.ModelNotInstalled),
]


def aborts(status: grpc.Status) -> Behaviour:
    async def behave(request: Any, context: Any) -> None:
        await context.abort_with_status(status)

    return behave


async def told(address: str, script: Script, status: grpc.Status) -> client_errors.PinakesError:
    script.on("Search", aborts(status))
    async with AsyncClient(address, options=ClientOptions(retry=RetryPolicy(attempts=1))) as client:
        with pytest.raises(client_errors.PinakesError) as raised:
            await client.search("q")
    return raised.value


@pytest.mark.parametrize(("sent", "cls"), ERRORS, ids=lambda value: getattr(value, "__name__", None))
async def test_an_error_of_the_server_is_the_clients_error(
    address: str, script: Script, sent: errors.PinakesError, cls: type[client_errors.PinakesError]
) -> None:
    error = await told(address, script, status_of(sent))
    assert (type(error), str(error)) == (cls, str(sent))
    for name in ("document_id", "stage", "limit_bytes", "generation", "snapshot"):
        if hasattr(error, name):
            assert getattr(error, name) == getattr(sent, name)
    if error.retryable:
        assert error.retry_after_s == getattr(sent, "retry_after_s", None)
    if isinstance(sent, errors.InvalidField):
        assert error.field_violations == (client_errors.FieldViolation(sent.field, sent.rule),)


async def test_a_defect_of_the_server_names_its_place_in_the_log(address: str, script: Script) -> None:
    error = await told(address, script, internal_status("r-1"))
    assert isinstance(error, client_errors.InternalError)
    assert error.request_id == "r-1"


async def test_details_that_contradict_the_status_are_void(address: str, script: Script) -> None:
    async def behave(request: Any, context: Any) -> None:
        details = dict(status_of(errors.Overloaded("generation", 2.5)).trailing_metadata)
        context.set_trailing_metadata(tuple(details.items()))
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "a proxy says no")

    script.on("Search", behave)
    async with AsyncClient(address) as client:
        with pytest.raises(client_errors.PinakesError, match="a proxy says no") as raised:
            await client.search("q")
    assert (type(raised.value), raised.value.reason) == (client_errors.PermissionDenied, "")
