"""The one table from errors to gRPC statuses, and how a status carries its details."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from pinakes.v1 import error_reason_pb2
from server.domain import errors

DOMAIN = "pinakes"

Reason = error_reason_pb2.ErrorReason


@dataclass(frozen=True, slots=True)
class Rule:
    """How one class of errors, with those below it, is told to a caller."""

    code: grpc.StatusCode
    reason: Reason.ValueType
    details: Callable[[errors.PinakesError], list[Message]] = lambda error: []
    metadata: Callable[[errors.PinakesError], dict[str, str]] = lambda error: {}


def _retry_info(error: errors.PinakesError) -> list[Message]:
    seconds = getattr(error, "retry_after_s", 1.0)
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return [error_details_pb2.RetryInfo(retry_delay=delay)]


def _bad_request(error: errors.PinakesError) -> list[Message]:
    assert isinstance(error, errors.InvalidField)
    violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.rule)
    return [error_details_pb2.BadRequest(field_violations=[violation])]


def _quota_failure(error: errors.PinakesError) -> list[Message]:
    violation = error_details_pb2.QuotaFailure.Violation(subject="upload", description=error.told)
    return [error_details_pb2.QuotaFailure(violations=[violation])]


def _quota_exceeded(error: errors.PinakesError) -> list[Message]:
    """RetryInfo only where waiting helps."""
    assert isinstance(error, errors.QuotaExceeded)
    violation = error_details_pb2.QuotaFailure.Violation(subject=error.quota, description=error.told)
    failure: list[Message] = [error_details_pb2.QuotaFailure(violations=[violation])]
    return failure if error.retry_after_s is None else [*failure, *_retry_info(error)]


def _counts(error: errors.PinakesError) -> dict[str, str]:
    assert isinstance(error, errors.PersonalDataBlocked)
    return {kind: str(count) for kind, count in error.counts.items()}


def _attribute(name: str) -> Callable[[errors.PinakesError], dict[str, str]]:
    return lambda error: {name: str(getattr(error, name))}


RULES: dict[type[errors.PinakesError], Rule] = {
    errors.InvalidField: Rule(grpc.StatusCode.INVALID_ARGUMENT, Reason.ERROR_REASON_INVALID_FIELD, _bad_request),
    errors.InvalidPageToken: Rule(grpc.StatusCode.INVALID_ARGUMENT, Reason.ERROR_REASON_INVALID_PAGE_TOKEN),
    errors.UnreadableDocument: Rule(grpc.StatusCode.INVALID_ARGUMENT, Reason.ERROR_REASON_UNREADABLE_DOCUMENT),
    errors.UnsupportedFormat: Rule(
        grpc.StatusCode.INVALID_ARGUMENT,
        Reason.ERROR_REASON_UNSUPPORTED_FORMAT,
        metadata=_attribute("media_type"),
    ),
    errors.PersonalDataBlocked: Rule(
        grpc.StatusCode.INVALID_ARGUMENT,
        Reason.ERROR_REASON_PERSONAL_DATA_BLOCKED,
        metadata=_counts,
    ),
    errors.PagesNotChecked: Rule(
        grpc.StatusCode.FAILED_PRECONDITION,
        Reason.ERROR_REASON_PAGES_NOT_CHECKED,
        metadata=_attribute("document_id"),
    ),
    errors.EncryptedDocument: Rule(grpc.StatusCode.INVALID_ARGUMENT, Reason.ERROR_REASON_ENCRYPTED_DOCUMENT),
    errors.Unauthenticated: Rule(grpc.StatusCode.UNAUTHENTICATED, Reason.ERROR_REASON_UNAUTHENTICATED),
    errors.CredentialsExpired: Rule(grpc.StatusCode.UNAUTHENTICATED, Reason.ERROR_REASON_CREDENTIALS_EXPIRED),
    errors.LoginRefused: Rule(grpc.StatusCode.UNAUTHENTICATED, Reason.ERROR_REASON_LOGIN_REFUSED),
    errors.TooManyLogins: Rule(grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.ERROR_REASON_TOO_MANY_LOGINS, _retry_info),
    errors.UserNotFound: Rule(
        grpc.StatusCode.NOT_FOUND, Reason.ERROR_REASON_USER_NOT_FOUND, metadata=_attribute("user")
    ),
    errors.UserExists: Rule(
        grpc.StatusCode.ALREADY_EXISTS, Reason.ERROR_REASON_USER_EXISTS, metadata=_attribute("user")
    ),
    errors.ApiKeyNotFound: Rule(
        grpc.StatusCode.NOT_FOUND, Reason.ERROR_REASON_API_KEY_NOT_FOUND, metadata=_attribute("key_id")
    ),
    errors.PermissionDenied: Rule(
        grpc.StatusCode.PERMISSION_DENIED, Reason.ERROR_REASON_PERMISSION_DENIED, metadata=_attribute("permission")
    ),
    errors.DocumentTooLarge: Rule(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        Reason.ERROR_REASON_DOCUMENT_TOO_LARGE,
        _quota_failure,
        _attribute("limit_bytes"),
    ),
    errors.DocumentNotFound: Rule(
        grpc.StatusCode.NOT_FOUND, Reason.ERROR_REASON_DOCUMENT_NOT_FOUND, metadata=_attribute("document_id")
    ),
    errors.JobNotFound: Rule(
        grpc.StatusCode.NOT_FOUND, Reason.ERROR_REASON_JOB_NOT_FOUND, metadata=_attribute("job_id")
    ),
    errors.DeadLetterNotFound: Rule(
        grpc.StatusCode.NOT_FOUND, Reason.ERROR_REASON_DEAD_LETTER_NOT_FOUND, metadata=_attribute("job_id")
    ),
    errors.GenerationNotFound: Rule(
        grpc.StatusCode.NOT_FOUND, Reason.ERROR_REASON_GENERATION_NOT_FOUND, metadata=_attribute("generation")
    ),
    errors.GenerationExists: Rule(
        grpc.StatusCode.ALREADY_EXISTS, Reason.ERROR_REASON_GENERATION_EXISTS, metadata=_attribute("generation")
    ),
    errors.WrongGenerationState: Rule(
        grpc.StatusCode.FAILED_PRECONDITION, Reason.ERROR_REASON_GENERATION_STATE, metadata=_attribute("generation")
    ),
    errors.SnapshotExists: Rule(
        grpc.StatusCode.ALREADY_EXISTS, Reason.ERROR_REASON_SNAPSHOT_EXISTS, metadata=_attribute("snapshot")
    ),
    errors.DocumentExists: Rule(
        grpc.StatusCode.ALREADY_EXISTS, Reason.ERROR_REASON_DOCUMENT_EXISTS, metadata=_attribute("document_id")
    ),
    errors.DocumentDeleted: Rule(
        grpc.StatusCode.CANCELLED, Reason.ERROR_REASON_DOCUMENT_DELETED, metadata=_attribute("document_id")
    ),
    errors.RevisionSuperseded: Rule(
        grpc.StatusCode.CANCELLED, Reason.ERROR_REASON_REVISION_SUPERSEDED, metadata=_attribute("document_id")
    ),
    errors.JobCancelled: Rule(
        grpc.StatusCode.CANCELLED, Reason.ERROR_REASON_JOB_CANCELLED, metadata=_attribute("job_id")
    ),
    errors.DocumentBusy: Rule(
        grpc.StatusCode.FAILED_PRECONDITION, Reason.ERROR_REASON_DOCUMENT_BUSY, metadata=_attribute("job_id")
    ),
    errors.AccessChanged: Rule(
        grpc.StatusCode.ABORTED, Reason.ERROR_REASON_ACCESS_CHANGED, metadata=_attribute("document_id")
    ),
    errors.QuotaExceeded: Rule(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        Reason.ERROR_REASON_QUOTA_EXCEEDED,
        _quota_exceeded,
        _attribute("quota"),
    ),
    errors.NoPageImage: Rule(
        grpc.StatusCode.FAILED_PRECONDITION, Reason.ERROR_REASON_NO_PAGE_IMAGE, metadata=_attribute("media_type")
    ),
    errors.AnswerNotFound: Rule(
        grpc.StatusCode.NOT_FOUND, Reason.ERROR_REASON_ANSWER_NOT_FOUND, metadata=_attribute("answer_id")
    ),
    errors.ConversationNotFound: Rule(
        grpc.StatusCode.NOT_FOUND, Reason.ERROR_REASON_CONVERSATION_NOT_FOUND, metadata=_attribute("conversation_id")
    ),
    errors.ConversationBusy: Rule(
        grpc.StatusCode.FAILED_PRECONDITION, Reason.ERROR_REASON_CONVERSATION_BUSY, metadata=_attribute("answer_id")
    ),
    errors.AnswerInterrupted: Rule(
        grpc.StatusCode.ABORTED, Reason.ERROR_REASON_ANSWER_INTERRUPTED, metadata=_attribute("answer_id")
    ),
    errors.Overloaded: Rule(
        grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.ERROR_REASON_OVERLOADED, _retry_info, _attribute("resource")
    ),
    errors.StageDeadline: Rule(
        grpc.StatusCode.DEADLINE_EXCEEDED, Reason.ERROR_REASON_STAGE_DEADLINE, metadata=_attribute("stage")
    ),
    errors.IndexBehind: Rule(grpc.StatusCode.UNAVAILABLE, Reason.ERROR_REASON_INDEX_BEHIND, _retry_info),
    errors.DependencyUnavailable: Rule(
        grpc.StatusCode.UNAVAILABLE,
        Reason.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
        _retry_info,
        _attribute("dependency"),
    ),
    errors.ModelNotInstalled: Rule(
        grpc.StatusCode.FAILED_PRECONDITION, Reason.ERROR_REASON_MODEL_NOT_INSTALLED, metadata=_attribute("slot")
    ),
    errors.ModelNotFound: Rule(
        grpc.StatusCode.NOT_FOUND, Reason.ERROR_REASON_MODEL_NOT_FOUND, metadata=_attribute("model")
    ),
    errors.ModelLoadFailed: Rule(
        grpc.StatusCode.FAILED_PRECONDITION, Reason.ERROR_REASON_MODEL_LOAD_FAILED, metadata=_attribute("model")
    ),
    errors.ModelInUse: Rule(
        grpc.StatusCode.FAILED_PRECONDITION, Reason.ERROR_REASON_MODEL_IN_USE, metadata=_attribute("alias")
    ),
    errors.ModelMemoryExhausted: Rule(
        grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.ERROR_REASON_MODEL_MEMORY_EXHAUSTED, metadata=_attribute("model")
    ),
    errors.AuditBroken: Rule(grpc.StatusCode.DATA_LOSS, Reason.ERROR_REASON_AUDIT_BROKEN),
    errors.EmbeddingMismatch: Rule(
        grpc.StatusCode.FAILED_PRECONDITION, Reason.ERROR_REASON_EMBEDDING_MISMATCH, metadata=_attribute("held")
    ),
    errors.KeyUnusable: Rule(grpc.StatusCode.FAILED_PRECONDITION, Reason.ERROR_REASON_KEY_UNUSABLE),
    errors.DocumentDamaged: Rule(grpc.StatusCode.DATA_LOSS, Reason.ERROR_REASON_DOCUMENT_DAMAGED),
    # Our own: a caller can only see them through a defect.
    errors.CertificateUnusable: Rule(grpc.StatusCode.INTERNAL, Reason.ERROR_REASON_INTERNAL),
    errors.LeaseLost: Rule(grpc.StatusCode.INTERNAL, Reason.ERROR_REASON_INTERNAL),
    errors.WrongDatabase: Rule(grpc.StatusCode.INTERNAL, Reason.ERROR_REASON_INTERNAL),
    errors.IndexAhead: Rule(grpc.StatusCode.INTERNAL, Reason.ERROR_REASON_INTERNAL),
}


def reason_of(error: type[errors.PinakesError]) -> Reason.ValueType:
    """The reason that a class of errors is told by."""
    return _rule(error).reason


def status_of(error: errors.PinakesError) -> grpc.Status:
    """The status, with ErrorInfo and what else the caller needs to act; what is for operators stays in the log."""
    rule = _rule(type(error))
    return _status(rule.code, error.told, rule.reason, rule.metadata(error), rule.details(error))


def internal_status(request_id: str) -> grpc.Status:
    """For a defect: says nothing of it but where to look."""
    message = f"an internal error; the server's log holds it under request_id {request_id}"
    metadata = {"request_id": request_id}
    return _status(grpc.StatusCode.INTERNAL, message, Reason.ERROR_REASON_INTERNAL, metadata, [])


def _rule(error: type[errors.PinakesError]) -> Rule:
    for ancestor in error.__mro__:
        if ancestor in RULES:
            return RULES[ancestor]
    raise LookupError(f"{error.__name__} has no rule in the status table")


def _status(
    code: grpc.StatusCode,
    message: str,
    reason: Reason.ValueType,
    metadata: dict[str, str],
    details: list[Message],
) -> grpc.Status:
    name = Reason.Name(reason).removeprefix("ERROR_REASON_")
    info = error_details_pb2.ErrorInfo(reason=name, domain=DOMAIN, metadata=metadata)
    packed = []
    for detail in [info, *details]:
        wrapper = any_pb2.Any()
        wrapper.Pack(detail)
        packed.append(wrapper)
    number, _ = code.value
    return rpc_status.to_status(status_pb2.Status(code=number, message=message, details=packed))
