"""Everything that can go wrong, as one tree.

PinakesError
├── InvalidRequest                 the caller must change the request
│   ├── InvalidField               a field breaks its documented rule
│   ├── InvalidPageToken           the page token belongs to another call
│   ├── UnreadableDocument         empty, broken, or like no known format
│   ├── UnsupportedFormat          a known format that is not read here
│   └── EncryptedDocument          needs a password
├── Unauthenticated                who calls is not known
│   ├── CredentialsExpired         it was, with what it sent, and is no longer
│   └── LoginRefused               a wrong user, password or refresh token
├── TooManyLogins                  too many logins failed under one name; retry later
├── PermissionDenied               who calls may not do this
├── DocumentTooLarge               over the upload limit
├── NotFound
│   ├── DocumentNotFound
│   ├── JobNotFound
│   ├── DeadLetterNotFound
│   ├── GenerationNotFound
│   ├── ModelNotFound
│   ├── UserNotFound
│   ├── ApiKeyNotFound
│   ├── AnswerNotFound
│   └── ConversationNotFound
├── UserExists                     the tenant has a user of this name
├── DocumentExists                 a document that the caller sees has these bytes
├── DocumentDeleted                deleted while it was being worked on
├── RevisionSuperseded             a newer revision came while it was being worked on
├── JobCancelled                   somebody cancelled the job
├── DocumentBusy                   the document has a job, or a dead letter, that comes first
├── AccessChanged                  somebody else changed who may read the document
├── QuotaExceeded                  the tenant has used up what it may use
├── NoPageImage                    the document's format has no pages to look at
├── ConversationBusy               an answer is being made in the conversation
├── AnswerInterrupted              the answer was cancelled or has failed, and there is no more of it
├── GenerationExists               a generation of the index is there beside the serving one
├── WrongGenerationState           a generation is not in the state that is needed
├── SnapshotExists                 a copy of the index has this name
├── Overloaded                     a bounded queue is full; retry later
├── StageDeadline                  the deadline passed in a stage
├── DependencyUnavailable          a model, the database or the queue does not answer
│   ├── IndexBehind                the index has not reached the asked position
│   └── NoGenerator                no provider of texts began to write
├── ModelNotInstalled              the model slot is empty
│   └── SlotMisconfigured          the slot's endpoint refuses the key, or knows no such model
├── ModelLoadFailed                a model cannot be loaded; what serves goes on serving
├── ModelInUse                     an alias names the model
├── ModelMemoryExhausted           the model does not fit beside those that are in use
├── PersonalDataBlocked            the document has personal data that the tenant's policy does not let in
├── PagesNotChecked                nobody has looked for personal data on the pages of a document
├── AuditBroken                    the tenant's audit log is not what was written; what cannot be recorded is not done
├── EmbeddingMismatch              the index holds the vectors of another embedding model
├── LeaseLost                      another worker owns the job now (never reaches a caller)
├── KeyUnusable                    a key is missing, the wrong one, or was destroyed
├── DocumentDamaged                the stored bytes are not those that were stored
├── CertificateUnusable            the files of the server's certificate are wrong (never reaches a caller)
├── WrongDatabase                  the data directory belongs to another database (nor does this: nothing starts)
└── IndexAhead                     the index holds more than the change log (nor does this: the process ends)

Adapters translate foreign errors into these (`raise … from exc`); `server/transport/status.py` is the one table
from here to gRPC. Messages are one sentence, never document text.
"""

from __future__ import annotations

from collections.abc import Mapping

from server.domain.generation import PassedOver


class PinakesError(Exception):
    """Root of the tree. `told` is one sentence for callers, which names no path, host or setting of the server.
    `detail` is for operators alone: `str(error)`, with both, belongs in the log and on the server's own terminal."""

    def __init__(self, told: str, detail: str = "") -> None:
        super().__init__(f"{told} ({detail})" if detail else told)
        self.told = told
        self.detail = detail


class InvalidRequest(PinakesError):
    """The request can never succeed as it is."""


class InvalidField(InvalidRequest):
    """A field breaks its documented rule. `field` is the path in the request, `rule` says what is allowed."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class InvalidPageToken(InvalidRequest):
    """The page token was made by another method or for other parameters."""

    def __init__(self) -> None:
        super().__init__("page_token: not made by this method with these parameters; start again without it")


class UnreadableDocument(InvalidRequest):
    """The bytes are empty, broken, or like no known format. `problem` says which."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the document cannot be read: {problem}")
        self.problem = problem


class UnsupportedFormat(InvalidRequest):
    """The bytes are of a known format that this server does not read."""

    def __init__(self, media_type: str, supported: tuple[str, ...]) -> None:
        super().__init__(f"{media_type} is not supported; supported are {', '.join(supported)}")
        self.media_type = media_type
        self.supported = supported


class EncryptedDocument(InvalidRequest):
    """The document needs a password."""

    def __init__(self) -> None:
        super().__init__("the document is encrypted; upload it without its password")


class Unauthenticated(PinakesError):
    """The caller could not be told from anybody else. `problem` says why, and nothing of what was sent."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the caller is not known: {problem}")
        self.problem = problem


class CredentialsExpired(Unauthenticated):
    """What was sent was genuine, and its time has passed."""

    def __init__(self) -> None:
        super().__init__("the token or key has expired; refresh it, sign in, or use another")


class LoginRefused(Unauthenticated):
    """A login or a refresh that proves nothing; which part of it is wrong is not told."""

    def __init__(self) -> None:
        PinakesError.__init__(self, "the login is refused: sign in with a tenant, user and password that are right")
        self.problem = "refused"


class TooManyLogins(PinakesError):
    """Too many logins failed under one name, whether there is such a user or not."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many logins failed under this name; retry in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


class PermissionDenied(PinakesError):
    """The caller is known and may not do this. `permission` is what it lacks; empty where nobody may."""

    def __init__(self, problem: str, permission: str = "") -> None:
        super().__init__(f"not allowed: {problem}")
        self.problem = problem
        self.permission = permission


class DocumentTooLarge(PinakesError):
    """The upload exceeds the limit (both in bytes)."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the document is larger than the limit of {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class NotFound(PinakesError):
    """There is no such thing, or the caller may not see it: callers cannot tell which."""


class DocumentNotFound(NotFound):
    def __init__(self, document_id: str) -> None:
        super().__init__(f"document {document_id} does not exist")
        self.document_id = document_id


class JobNotFound(NotFound):
    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} does not exist")
        self.job_id = job_id


class DeadLetterNotFound(NotFound):
    """`job_id` is no job that failed, or it was replayed, discarded or followed by a newer one since."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no dead letter of job {job_id}; list the dead letters to see which there are")
        self.job_id = job_id


class GenerationNotFound(NotFound):
    def __init__(self, generation: str) -> None:
        super().__init__(f"the index has no generation {generation}")
        self.generation = generation


class GenerationExists(PinakesError):
    """`generation` is there beside the serving one, and two are enough."""

    def __init__(self, generation: str) -> None:
        super().__init__(f"generation {generation} is there already; delete it first")
        self.generation = generation


class WrongGenerationState(PinakesError):
    """`generation` cannot be used for what was asked: `problem` says why."""

    def __init__(self, generation: str, problem: str) -> None:
        super().__init__(f"generation {generation} {problem}")
        self.generation = generation
        self.problem = problem


class SnapshotExists(PinakesError):
    """There is a copy of the index of this name."""

    def __init__(self, snapshot: str) -> None:
        super().__init__(f"a copy named {snapshot} exists")
        self.snapshot = snapshot


class UserExists(PinakesError):
    """The tenant has a user of this name."""

    def __init__(self, user: str) -> None:
        super().__init__(f"there is a user {user} already")
        self.user = user


class DocumentExists(PinakesError):
    """`document_id`, which the caller may see, has the same bytes."""

    def __init__(self, document_id: str) -> None:
        super().__init__(f"the same bytes are stored already as document {document_id}")
        self.document_id = document_id


class DocumentDeleted(PinakesError):
    """The document was deleted while it was being worked on."""

    def __init__(self, document_id: str) -> None:
        super().__init__(f"document {document_id} was deleted")
        self.document_id = document_id


class RevisionSuperseded(PinakesError):
    """A newer revision of the document was uploaded before this one was searchable."""

    def __init__(self, document_id: str) -> None:
        super().__init__(f"a newer revision of document {document_id} was uploaded")
        self.document_id = document_id


class JobCancelled(PinakesError):
    """The job was cancelled; as the result of a job: by CancelJob."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} was cancelled; ReindexDocument ingests its document anew")
        self.job_id = job_id


class DocumentBusy(PinakesError):
    """What was asked has to wait: `job_id`, the newest job of the document, stands in its way as `problem` says."""

    def __init__(self, document_id: str, job_id: str, problem: str) -> None:
        super().__init__(f"document {document_id} {problem}")
        self.document_id = document_id
        self.job_id = job_id


class NoPageImage(PinakesError):
    """A format that does not say how its pages look."""

    def __init__(self, media_type: str) -> None:
        super().__init__(f"documents of type {media_type} have no page images; PDFs and images have")
        self.media_type = media_type


class UserNotFound(NotFound):
    def __init__(self, user: str) -> None:
        super().__init__(f"there is no user {user}")
        self.user = user


class ApiKeyNotFound(NotFound):
    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no API key {key_id}")
        self.key_id = key_id


class AnswerNotFound(NotFound):
    def __init__(self, answer_id: str) -> None:
        super().__init__(f"answer {answer_id} does not exist, or ended with the server that made it; ask again")
        self.answer_id = answer_id


class ConversationNotFound(NotFound):
    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"conversation {conversation_id} does not exist")
        self.conversation_id = conversation_id


class AccessChanged(PinakesError):
    """The access of `document_id` is not the one any more that the caller wanted to change."""

    def __init__(self, document_id: str) -> None:
        super().__init__(f"the access of document {document_id} was changed meanwhile; read it again, and decide anew")
        self.document_id = document_id


class QuotaExceeded(PinakesError):
    """The tenant may use `limit` of what `quota` names. `retry_after_s`: when there may be room again; None: when
    somebody makes some, or raises the quota."""

    def __init__(self, quota: str, limit: int, retry_after_s: float | None = None) -> None:
        when = "delete documents, or" if retry_after_s is None else f"try again in {retry_after_s:.0f} s, or"
        super().__init__(f"the tenant's quota of {limit} {quota} is used up; {when} have it raised")
        self.quota = quota
        self.limit = limit
        self.retry_after_s = retry_after_s


class ConversationBusy(PinakesError):
    """The answer `answer_id` is being made in the conversation."""

    def __init__(self, conversation_id: str, answer_id: str) -> None:
        super().__init__(
            f"answer {answer_id} is being made in conversation {conversation_id}: wait until it has ended, or cancel it"
        )
        self.conversation_id = conversation_id
        self.answer_id = answer_id


class AnswerInterrupted(PinakesError):
    """The answer ended before it was complete; `state` says how."""

    def __init__(self, answer_id: str, state: str) -> None:
        super().__init__(f"answer {answer_id} was not completed ({state}); ask again")
        self.answer_id = answer_id
        self.state = state


class Overloaded(PinakesError):
    """A bounded queue is full. `resource` names it; `retry_after_s` is when to try again."""

    def __init__(self, resource: str, retry_after_s: float) -> None:
        super().__init__(f"too much work is waiting for {resource}; retry in {retry_after_s:g} s")
        self.resource = resource
        self.retry_after_s = retry_after_s


class StageDeadline(PinakesError):
    """The deadline passed while `stage` was running."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"the deadline passed during {stage}")
        self.stage = stage


class DependencyUnavailable(PinakesError):
    """`dependency` does not answer (or answers with a failure of its own); retrying later can help."""

    def __init__(self, dependency: str, problem: str, retry_after_s: float = 1.0, *, detail: str = "") -> None:
        super().__init__(f"{dependency} is unavailable: {problem}", detail)
        self.dependency = dependency
        self.problem = problem
        self.retry_after_s = retry_after_s


class IndexBehind(DependencyUnavailable):
    """The index has applied the change log up to `applied`, the caller asked for `wanted`."""

    def __init__(self, wanted: int, applied: int) -> None:
        super().__init__("the index", f"it is at position {applied}, and {wanted} was asked for")
        self.wanted = wanted
        self.applied = applied


class NoGenerator(DependencyUnavailable):
    """None of the providers began to write; `passed_over` says of each why, in the order in which they were asked."""

    def __init__(self, passed_over: tuple[PassedOver, ...], retry_after_s: float) -> None:
        told = ", ".join(f"{each.provider} ({each.reason.value})" for each in passed_over) or "there is none"
        super().__init__("generation", f"no provider began to write: {told}", retry_after_s)
        self.passed_over = passed_over


class ModelNotInstalled(PinakesError):
    """No model is installed in the slot `slot`."""

    def __init__(self, slot: str) -> None:
        super().__init__(f"no model is installed for {slot}")
        self.slot = slot


class SlotMisconfigured(ModelNotInstalled):
    """The settings of `slot` are wrong: `problem` tells operators how, without the key."""

    def __init__(self, slot: str, problem: str) -> None:
        PinakesError.__init__(self, f"the slot {slot} is not set up correctly; ask the operator", problem)
        self.slot = slot
        self.problem = problem


class ModelNotFound(NotFound):
    """The catalogue has no model `model`."""

    def __init__(self, model: str) -> None:
        super().__init__(f"the catalogue has no model {model}; list the models to see which it has")
        self.model = model


class ModelLoadFailed(PinakesError):
    """`model` cannot be loaded: `problem` says why. The models that serve are not touched by it."""

    def __init__(self, model: str, problem: str) -> None:
        super().__init__(f"the model {model} cannot be loaded: {problem}")
        self.model = model
        self.problem = problem


class ModelInUse(PinakesError):
    """`alias` names the model `model`."""

    def __init__(self, model: str, alias: str) -> None:
        super().__init__(f"the alias {alias} names the model {model}; set the alias to another one, or use force")
        self.model = model
        self.alias = alias


class ModelMemoryExhausted(PinakesError):
    """`model` takes `needed_bytes`, and of the budget only `free_bytes` can be had by unloading what is idle."""

    def __init__(self, model: str, needed_bytes: int, free_bytes: int, budget_bytes: int) -> None:
        super().__init__(
            f"the model {model} takes {needed_bytes / 1e6:,.0f} MB, and of the {budget_bytes / 1e6:,.0f} MB for models "
            f"{max(0, free_bytes) / 1e6:,.0f} MB are free beside those in use: unload one, or raise the budget"
        )
        self.model = model
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes
        self.budget_bytes = budget_bytes


class AuditBroken(PinakesError):
    """The chain of `tenant` and `audit_class` does not hold at `sequence`, for `reason`; so nothing is added to it, and
    what would have to be recorded there is not done. An operator looks into it (server/AUDIT.md)."""

    def __init__(self, tenant: str, audit_class: str, sequence: int, reason: str) -> None:
        super().__init__(
            f"the {audit_class} log does not hold at entry {sequence} ({reason}), and nothing is done that it would "
            "have to record; only the operator can help"
        )
        self.tenant = tenant
        self.audit_class = audit_class
        self.sequence = sequence
        self.reason = reason


class EmbeddingMismatch(PinakesError):
    """The embedding model has the fingerprint `wanted`, and the index that serves holds vectors of `held`."""

    def __init__(self, wanted: str, held: str) -> None:
        super().__init__(
            f"the index that serves holds embeddings of {held}, which cannot be compared with those of {wanted}: set "
            "the alias to the model of the index, or start with an empty data directory and ingest the documents anew"
        )
        self.wanted = wanted
        self.held = held


class PersonalDataBlocked(PinakesError):
    """`counts` says of each kind that the policy of the tenant blocks how many there are in the document."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        told = ", ".join(f"{count} of {kind}" for kind, count in counts.items())
        super().__init__(f"the document has personal data that the tenant's privacy policy does not let in: {told}")
        self.counts = dict(counts)


class PagesNotChecked(PinakesError):
    """Nobody looked for personal data on the pages of document `document_id`; the tenant's policy masks some."""

    def __init__(self, document_id: str) -> None:
        super().__init__(
            f"nobody has looked for personal data on the pages of document {document_id}; ingest it anew to see them"
        )
        self.document_id = document_id


class LeaseLost(PinakesError):
    """The job's lease was taken over; whoever sees this stops and leaves the job alone."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"the lease on job {job_id} was lost")
        self.job_id = job_id


class KeyUnusable(PinakesError):
    """`problem` says which key is missing, wrong or destroyed; `detail` where it should be. Waiting does not help."""

    def __init__(self, problem: str, detail: str = "") -> None:
        super().__init__(problem, detail)
        self.problem = problem


class DocumentDamaged(PinakesError):
    """The stored bytes fail their authentication: they were cut, changed, or put in the place of others."""

    def __init__(self, key: str) -> None:
        super().__init__("the document's stored bytes are damaged; upload it again")
        self.key = key


class CertificateUnusable(PinakesError):
    """The files of the server's certificate cannot be used: `problem` says why, `detail` which files they are."""

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(f"TLS: {problem}", detail)
        self.problem = problem


class WrongDatabase(PinakesError):
    """`directory` belongs to the database `recorded`, and `found` is connected: whoever sees this touches neither."""

    def __init__(self, directory: str, recorded: str, found: str) -> None:
        super().__init__(
            "the data directory belongs to another database",
            f"{directory} belongs to the database {recorded}, and the connected one is {found}: "
            "connect to the right database or choose another data directory",
        )
        self.directory = directory
        self.recorded = recorded
        self.found = found


class IndexAhead(PinakesError):
    """The index is at `position`, and the log ends at `head`: the database was restored from an older copy."""

    def __init__(self, position: int, head: int) -> None:
        super().__init__(f"the index is at position {position}, and the log ends at {head}: it has to be made anew")
        self.position = position
        self.head = head
