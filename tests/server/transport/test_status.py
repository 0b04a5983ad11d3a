"""Every error has one meaning on the wire."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from pinakes.v1 import error_reason_pb2
from server.domain import errors
from server.transport.status import DOMAIN, RULES, internal_status, reason_of, status_of

SAMPLES: dict[str, Any] = {
    "field": "query",
    "rule": "must not be empty",
    "problem": "it is truncated",
    "media_type": "application/zip",
    "supported": ("application/pdf",),
    "limit_bytes": 10,
    "document_id": "d1",
    "answer_id": "a1",
    "conversation_id": "c1",
    "state": "cancelled",
    "job_id": "j1",
    "generation": "generation-2",
    "snapshot": "monday",
    "detail": "in /var/lib",
    "resource": "calls",
    "retry_after_s": 1.5,
    "stage": "embed",
    "dependency": "Triton",
    "wanted": 7,
    "applied": 3,
    "slot": "reranking",
    "model": "e5@1",
    "alias": "embed.default",
    "needed_bytes": 3,
    "free_bytes": 2,
    "budget_bytes": 9,
    "held": "e5@1+abc",
    "counts": {"email": 2},
    "directory": "var",
    "recorded": "a",
    "found": "b",
    "position": 7,
    "head": 3,
    "passed_over": (),
    "quota": "documents",
    "limit": 5,
    "permission": "users:manage",
    "user": "ana",
    "key": "k1",
    "key_id": "k1",
    "tenant": "acme",
    "audit_class": "audit",
    "sequence": 3,
    "reason": "hash",
}


def leaves(root: type[errors.PinakesError] = errors.PinakesError) -> Iterator[type[errors.PinakesError]]:
    children = root.__subclasses__()
    abstract = (errors.PinakesError, errors.InvalidRequest, errors.NotFound)
    if root not in abstract:
        yield root
    for child in children:
        yield from leaves(child)


def sample(error: type[errors.PinakesError]) -> errors.PinakesError:
    names = list(inspect.signature(error.__init__).parameters)[1:]
    return error(**{name: SAMPLES[name] for name in names})


def details(status: grpc.Status) -> dict[str, Any]:
    [(_, packed)] = status.trailing_metadata
    known = (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
        error_details_pb2.QuotaFailure,
    )
    unpacked = {}
    for detail in status_pb2.Status.FromString(packed).details:
        for kind in known:
            message = kind()
            if detail.Unpack(message):
                unpacked[kind.__name__] = message
    return unpacked


@pytest.mark.parametrize("error", list(leaves()), ids=lambda error: error.__name__)
def test_every_error_has_a_status_and_a_reason(error: type[errors.PinakesError]) -> None:
    status = status_of(sample(error))
    info = details(status)["ErrorInfo"]
    assert info.domain == DOMAIN
    assert f"ERROR_REASON_{info.reason}" == error_reason_pb2.ErrorReason.Name(reason_of(error))
    assert status.code is not grpc.StatusCode.OK
    assert status.details == sample(error).told
    assert SAMPLES["detail"] not in str(status)


def test_an_error_without_a_rule_is_a_defect() -> None:
    class Unmapped(errors.PinakesError):
        pass

    with pytest.raises(LookupError, match="Unmapped"):
        status_of(Unmapped("x"))
    # Or the class, being a subclass, would haunt the other tests.
    del Unmapped


def test_every_reason_is_used() -> None:
    used = {rule.reason for rule in RULES.values()}
    assert used == set(error_reason_pb2.ErrorReason.values()) - {error_reason_pb2.ERROR_REASON_UNSPECIFIED}


def test_details_say_what_to_do() -> None:
    [violation] = details(status_of(errors.InvalidField("limit", "must lie between 1 and 100")))[
        "BadRequest"
    ].field_violations
    assert (violation.field, violation.description) == ("limit", "must lie between 1 and 100")
    retry = details(status_of(errors.Overloaded("generation", 0.25)))["RetryInfo"]
    assert retry.retry_delay.ToTimedelta().total_seconds() == 0.25
    assert details(status_of(errors.DocumentExists("d1")))["ErrorInfo"].metadata["document_id"] == "d1"
    assert "QuotaFailure" in details(status_of(errors.DocumentTooLarge(5)))


def test_a_defect_tells_nothing_but_where_to_look() -> None:
    status = internal_status("r1")
    assert status.code is grpc.StatusCode.INTERNAL
    assert details(status)["ErrorInfo"].metadata == {"request_id": "r1"}
