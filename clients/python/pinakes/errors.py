"""Everything a call can raise, as one tree.

PinakesError
├── InvalidRequest                 the request can never succeed as it is
│   ├── InvalidField               `field_violations` names the fields and their rules
│   ├── InvalidPageToken
│   ├── UnreadableDocument         empty, broken, or like no known format
│   ├── UnsupportedFormat          a known format that the server does not read
│   └── EncryptedDocument          needs a password
├── Unauthenticated                the server does not know who calls: no valid key, token or certificate was sent
│   ├── CredentialsExpired         it was valid once
│   └── LoginRefused               a wrong user, password or refresh token
├── TooManyLogins                  too many logins failed under one name; `retry_after_s`
├── PermissionDenied               the caller lacks `permission`
├── DocumentTooLarge               over the server's upload limit
├── NotFound
│   ├── DocumentNotFound
│   ├── JobNotFound
│   ├── DeadLetterNotFound         `job_id` has none: it may have been replayed, discarded, or followed by a newer job
│   ├── GenerationNotFound
│   ├── ModelNotFound
│   ├── UserNotFound
│   ├── ApiKeyNotFound
│   ├── AnswerNotFound
│   └── ConversationNotFound
├── UserExists
├── DocumentExists                 `document_id` holds the same bytes already
├── GenerationExists               `generation` is there beside the serving one
├── WrongGenerationState           `generation` is not in the state that the call needs
├── SnapshotExists                 a copy of the index has this name
├── DocumentDeleted                deleted while it was being ingested
├── RevisionSuperseded             a newer revision was uploaded while it was being ingested
├── JobCancelled                   somebody cancelled the job
├── DocumentBusy                   `job_id` of the document comes first
├── AccessChanged                  somebody else changed who may read `document_id`: read it again
├── QuotaExceeded                  the tenant has used up its `quota`; `retry_after_s` where waiting helps
├── NoPageImage                    the document's format has no pages to look at
├── ConversationBusy               `answer_id` is being made in the conversation
├── AnswerInterrupted              the answer `answer_id` was cancelled or has failed: ask again
├── Overloaded                     retried: too much work is waiting
├── Unavailable                    retried: the server does not answer
│   └── DependencyUnavailable      retried: the server answers, one of its parts does not
│       └── IndexBehind            retried: the index has not reached the consistency token
├── DeadlineExceeded               the call's deadline passed; `stage` says in which stage, if the server told
├── ModelNotInstalled
├── ModelLoadFailed                the message says why; what serves goes on serving
├── ModelInUse                     `alias` names the model
├── ModelMemoryExhausted           the model does not fit beside those in use
├── EmbeddingMismatch              the index holds embeddings of another model, `held`
├── PersonalDataBlocked            the document has personal data that the tenant's policy does not let in
├── PagesNotChecked                nobody has looked for personal data on the document's pages: ingest it anew
├── AuditBroken                    the server's audit log was tampered with, and takes nothing: ask the operator
├── KeyUnusable                    a key of the server is missing, wrong, or was destroyed: ask the operator
├── DocumentDamaged                the stored bytes are not those that were uploaded: upload them again
├── InternalError                  a defect of the server; its log holds `request_id`
├── CallCancelled                  the call was cancelled
└── IngestionFailed                raised by `documents.wait`; `job` says why

Classes are chosen by the reason in the status's google.rpc.ErrorInfo, never by the message. A reason that this version
does not know, and a status without a reason, become the class of the gRPC code, or PinakesError itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pinakes.results import Job


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """`field` is the path in the request, `rule` says what is allowed."""

    field: str
    rule: str


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """What a status tells besides its message. `code` is the gRPC code's name; `reason` is an ErrorReason's without its
    prefix, or empty when the status carries none."""

    code: str = ""
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    field_violations: tuple[FieldViolation, ...] = ()
    retry_after_s: float | None = None


class PinakesError(Exception):
    """Root of the tree. `str(error)` is one sentence for people; programs look at the class or at `reason`."""

    retryable: ClassVar[bool] = False
    """Whether the same call can succeed later. The clients retry these errors themselves, within the deadline."""

    def __init__(self, message: str, details: ErrorDetails | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or ErrorDetails()

    @property
    def code(self) -> str:
        """The gRPC code's name, such as `NOT_FOUND`; empty for errors that did not come from a call."""
        return self.details.code

    @property
    def reason(self) -> str:
        """The server's reason, such as `DOCUMENT_NOT_FOUND`; empty when it gave none."""
        return self.details.reason

    @property
    def retry_after_s(self) -> float | None:
        """When the server asks to be tried again, in seconds; None when it did not say."""
        return self.details.retry_after_s

    @property
    def field_violations(self) -> tuple[FieldViolation, ...]:
        """The fields that break a rule; empty but for InvalidField."""
        return self.details.field_violations

    def _told(self, name: str) -> str:
        return self.details.metadata.get(name, "")


class InvalidRequest(PinakesError):
    """The request can never succeed as it is."""


class InvalidField(InvalidRequest):
    """A field breaks its documented rule."""


class InvalidPageToken(InvalidRequest):
    """The page token was made by another method or for other parameters."""


class UnreadableDocument(InvalidRequest):
    """The bytes are empty, broken, or like no known format."""


class UnsupportedFormat(InvalidRequest):
    """The bytes are of a format that the server does not read."""


class EncryptedDocument(InvalidRequest):
    """The document needs a password."""


class Unauthenticated(PinakesError):
    """The server does not know who calls: no key or token was sent, or none that it accepts."""


class CredentialsExpired(Unauthenticated):
    """The key or token was valid once. Sign in again, or use another key."""


class LoginRefused(Unauthenticated):
    """The tenant, the user or the password is wrong, or the session has ended; the server does not say which."""


class TooManyLogins(PinakesError):
    """Too many logins failed under this name; `retry_after_s` says when the next is looked at."""


class PermissionDenied(PinakesError):
    """The caller is known and may not do this."""

    @property
    def permission(self) -> str:
        """What the caller lacks; empty where nobody has it."""
        return self._told("permission")


class DocumentTooLarge(PinakesError):
    """The upload is larger than the server's limit."""

    @property
    def limit_bytes(self) -> int | None:
        """The limit; None if the server did not tell."""
        told = self._told("limit_bytes")
        return int(told) if told.isdecimal() else None


class NotFound(PinakesError):
    """There is no such thing, or the caller may not see it."""


class DocumentNotFound(NotFound):
    """No such document."""


class JobNotFound(NotFound):
    """No such job."""


class DeadLetterNotFound(NotFound):
    """No such dead letter: the job may have been replayed, discarded, or followed by a newer one."""

    @property
    def job_id(self) -> str:
        """The job that was asked for."""
        return self._told("job_id")


class GenerationNotFound(NotFound):
    """The index has no generation of this name."""

    @property
    def generation(self) -> str:
        """The name."""
        return self._told("generation")


class GenerationExists(PinakesError):
    """A generation is there beside the serving one. Delete it first."""

    @property
    def generation(self) -> str:
        """Its name."""
        return self._told("generation")


class WrongGenerationState(PinakesError):
    """The generation is not in the state that the call needs: it is still being built, failed, or serves."""

    @property
    def generation(self) -> str:
        """Its name."""
        return self._told("generation")


class SnapshotExists(PinakesError):
    """A copy of the index has this name."""

    @property
    def snapshot(self) -> str:
        """The name."""
        return self._told("snapshot")


class UserExists(PinakesError):
    """The tenant has a user of this name."""


class DocumentExists(PinakesError):
    """The tenant holds the same bytes already."""

    @property
    def document_id(self) -> str:
        """The document that holds them."""
        return self._told("document_id")


class DocumentDeleted(PinakesError):
    """The document was deleted while it was being ingested."""


class RevisionSuperseded(PinakesError):
    """A newer revision of the document was uploaded before this one was searchable."""


class JobCancelled(PinakesError):
    """The job was cancelled."""

    @property
    def job_id(self) -> str:
        """The job."""
        return self._told("job_id")


class DocumentBusy(PinakesError):
    """A job of the document has not ended, or failed and was neither replayed nor discarded."""

    @property
    def job_id(self) -> str:
        """That job."""
        return self._told("job_id")


class AccessChanged(PinakesError):
    """Who may read the document was changed since the etag was read. Read it again, and decide anew."""

    @property
    def document_id(self) -> str:
        """The document."""
        return self._told("document_id")


class QuotaExceeded(PinakesError):
    """The tenant has used up what it may use. `retry_after_s` says when there is room again; None: delete documents, or
    have the quota raised."""

    @property
    def quota(self) -> str:
        """`documents`, `bytes`, `requests_per_minute`, `tokens_per_day` or `tokens_per_month`."""
        return self._told("quota")


class NoPageImage(PinakesError):
    """Pages of the document's format have no look of their own."""

    @property
    def media_type(self) -> str:
        """The format."""
        return self._told("media_type")


class UserNotFound(NotFound):
    """The tenant has no such user."""


class ApiKeyNotFound(NotFound):
    """The tenant has no such API key."""


class AnswerNotFound(NotFound):
    """No such answer: it may have been forgotten, or have ended with the server that made it. Ask again."""

    @property
    def answer_id(self) -> str:
        """The answer that was asked for."""
        return self._told("answer_id")


class ConversationNotFound(NotFound):
    """No such conversation."""


class ConversationBusy(PinakesError):
    """An answer is being made in the conversation: wait until it has ended, or cancel it."""

    @property
    def answer_id(self) -> str:
        """That answer."""
        return self._told("answer_id")


class AnswerInterrupted(PinakesError):
    """The answer was cancelled or has failed, and ends where its events end. Ask again."""

    @property
    def answer_id(self) -> str:
        """The answer."""
        return self._told("answer_id")


class Overloaded(PinakesError):
    """Too much work of this kind is waiting."""

    retryable = True


class Unavailable(PinakesError):
    """The server cannot be reached, or is stopping."""

    retryable = True


class DependencyUnavailable(Unavailable):
    """A model, the database or the queue does not answer the server."""


class IndexBehind(DependencyUnavailable):
    """The index has not yet reached the position that the consistency token asks for."""


class DeadlineExceeded(PinakesError):
    """The call's deadline passed."""

    @property
    def stage(self) -> str:
        """The stage that it passed in; empty if the server did not tell."""
        return self._told("stage")


class ModelNotInstalled(PinakesError):
    """No model is installed in the slot that the call needs."""


class ModelNotFound(NotFound):
    """The server's catalogue has no model of this name."""

    @property
    def model(self) -> str:
        """The name."""
        return self._told("model")


class ModelLoadFailed(PinakesError):
    """The model cannot be loaded; the message says why. The models that serve are not touched by it."""

    @property
    def model(self) -> str:
        """Its name."""
        return self._told("model")


class ModelInUse(PinakesError):
    """An alias names the model. Set the alias to another one first, or use force."""

    @property
    def alias(self) -> str:
        """The alias."""
        return self._told("alias")


class ModelMemoryExhausted(PinakesError):
    """The model does not fit into the memory for models beside those in use. Unload one, or raise the server's
    budget."""

    @property
    def model(self) -> str:
        """Its name."""
        return self._told("model")


class EmbeddingMismatch(PinakesError):
    """The index holds embeddings of another model than the one that was asked for."""

    @property
    def held(self) -> str:
        """The fingerprint of the index's model."""
        return self._told("held")


class PersonalDataBlocked(PinakesError):
    """The document has personal data that the tenant's privacy policy does not let in; the message says of which kinds,
    and how many."""


class PagesNotChecked(PinakesError):
    """The privacy policy masks personal data, and nobody has looked for any on the pages of the document `document_id`.
    Ingest it anew (`documents.reindex`)."""

    @property
    def document_id(self) -> str:
        """The document."""
        return self._told("document_id")


class AuditBroken(PinakesError):
    """The tenant's audit log is not what was written to it; what cannot be recorded is not done. Ask the operator."""


class KeyUnusable(PinakesError):
    """A key that the server needs is missing, the wrong one, or was destroyed with its tenant."""


class DocumentDamaged(PinakesError):
    """What the server has stored is not what was uploaded. Upload the document again."""


class InternalError(PinakesError):
    """A defect of the server."""

    @property
    def request_id(self) -> str:
        """What to look for in the server's log."""
        return self._told("request_id")


class CallCancelled(PinakesError):
    """The call was cancelled: by this client being closed, or by the server."""


class IngestionFailed(PinakesError):
    """The job ended without a searchable document; `job.failure` says why."""

    def __init__(self, job: Job) -> None:
        failure = job.failure
        super().__init__(
            failure.message if failure else "the ingestion ended without a reason",
            ErrorDetails(reason=failure.reason if failure else "", metadata={"document_id": job.document_id}),
        )
        self.job = job


CLASS_OF_REASON: Mapping[str, type[PinakesError]] = {
    "INVALID_FIELD": InvalidField,
    "UNREADABLE_DOCUMENT": UnreadableDocument,
    "UNSUPPORTED_FORMAT": UnsupportedFormat,
    "ENCRYPTED_DOCUMENT": EncryptedDocument,
    "DOCUMENT_TOO_LARGE": DocumentTooLarge,
    "DOCUMENT_NOT_FOUND": DocumentNotFound,
    "JOB_NOT_FOUND": JobNotFound,
    "DOCUMENT_EXISTS": DocumentExists,
    "OVERLOADED": Overloaded,
    "STAGE_DEADLINE": DeadlineExceeded,
    "DEPENDENCY_UNAVAILABLE": DependencyUnavailable,
    "MODEL_NOT_INSTALLED": ModelNotInstalled,
    "INDEX_BEHIND": IndexBehind,
    "INTERNAL": InternalError,
    "INVALID_PAGE_TOKEN": InvalidPageToken,
    "DOCUMENT_DELETED": DocumentDeleted,
    "DEAD_LETTER_NOT_FOUND": DeadLetterNotFound,
    "JOB_CANCELLED": JobCancelled,
    "REVISION_SUPERSEDED": RevisionSuperseded,
    "DOCUMENT_BUSY": DocumentBusy,
    "NO_PAGE_IMAGE": NoPageImage,
    "ACCESS_CHANGED": AccessChanged,
    "QUOTA_EXCEEDED": QuotaExceeded,
    "GENERATION_NOT_FOUND": GenerationNotFound,
    "GENERATION_EXISTS": GenerationExists,
    "GENERATION_STATE": WrongGenerationState,
    "SNAPSHOT_EXISTS": SnapshotExists,
    "MODEL_NOT_FOUND": ModelNotFound,
    "MODEL_LOAD_FAILED": ModelLoadFailed,
    "MODEL_IN_USE": ModelInUse,
    "MODEL_MEMORY_EXHAUSTED": ModelMemoryExhausted,
    "EMBEDDING_MISMATCH": EmbeddingMismatch,
    "AUDIT_BROKEN": AuditBroken,
    "PERSONAL_DATA_BLOCKED": PersonalDataBlocked,
    "PAGES_NOT_CHECKED": PagesNotChecked,
    "KEY_UNUSABLE": KeyUnusable,
    "DOCUMENT_DAMAGED": DocumentDamaged,
    "ANSWER_NOT_FOUND": AnswerNotFound,
    "ANSWER_INTERRUPTED": AnswerInterrupted,
    "CONVERSATION_NOT_FOUND": ConversationNotFound,
    "CONVERSATION_BUSY": ConversationBusy,
    "UNAUTHENTICATED": Unauthenticated,
    "CREDENTIALS_EXPIRED": CredentialsExpired,
    "PERMISSION_DENIED": PermissionDenied,
    "LOGIN_REFUSED": LoginRefused,
    "TOO_MANY_LOGINS": TooManyLogins,
    "USER_NOT_FOUND": UserNotFound,
    "USER_EXISTS": UserExists,
    "API_KEY_NOT_FOUND": ApiKeyNotFound,
}

CLASS_OF_CODE: Mapping[str, type[PinakesError]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "NOT_FOUND": NotFound,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "INTERNAL": InternalError,
    "CANCELLED": CallCancelled,
}
"""For a status whose reason is missing or unknown."""
