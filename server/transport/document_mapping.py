"""DocumentService between the wire and the domain: pure functions, one per message."""

from __future__ import annotations

from pinakes.v1 import document_service_pb2, error_reason_pb2
from server.application.consistency import token_of
from server.application.document_ports import WantedAccess
from server.application.ingestion_failures import DEFECT
from server.application.job_ports import DeadLetterPage, WantedLetters
from server.application.look_after_jobs import ReindexCommand
from server.application.page_image_ports import PageView, PageWish
from server.application.share_document import etag_of
from server.application.upload_document import UploadHeader
from server.domain import errors
from server.domain.documents import Box, Document, DocumentState, Failure, Job, JobState, Priority, Stage
from server.domain.principals import AccessList, Principal
from server.transport.mapping import time_from_wire, timestamp_to_wire
from server.transport.status import RULES, reason_of

_STAGES = {
    None: document_service_pb2.INGESTION_STAGE_UNSPECIFIED,
    Stage.PROBE: document_service_pb2.INGESTION_STAGE_PROBE,
    Stage.EXTRACT: document_service_pb2.INGESTION_STAGE_EXTRACT,
    Stage.CHUNK: document_service_pb2.INGESTION_STAGE_CHUNK,
    Stage.EMBED: document_service_pb2.INGESTION_STAGE_EMBED,
    Stage.COMMIT: document_service_pb2.INGESTION_STAGE_COMMIT,
}
_DOCUMENT_STATES = {
    DocumentState.PROCESSING: document_service_pb2.DOCUMENT_STATE_PROCESSING,
    DocumentState.READY: document_service_pb2.DOCUMENT_STATE_READY,
    DocumentState.FAILED: document_service_pb2.DOCUMENT_STATE_FAILED,
}
_JOB_STATES = {
    JobState.PENDING: document_service_pb2.JOB_STATE_PENDING,
    JobState.RUNNING: document_service_pb2.JOB_STATE_RUNNING,
    JobState.SUCCEEDED: document_service_pb2.JOB_STATE_SUCCEEDED,
    JobState.FAILED: document_service_pb2.JOB_STATE_FAILED,
    JobState.CANCELLED: document_service_pb2.JOB_STATE_CANCELLED,
}
_PRIORITIES = {
    Priority.INTERACTIVE: document_service_pb2.INGESTION_PRIORITY_INTERACTIVE,
    Priority.BULK: document_service_pb2.INGESTION_PRIORITY_BULK,
}
_FAILURE_CLASSES = {
    name: member
    for name, member in vars(errors).items()
    if isinstance(member, type) and issubclass(member, errors.PinakesError)
}


def upload_header(header: document_service_pb2.UploadHeader) -> UploadHeader:
    return UploadHeader(
        name=header.name,
        request_id=header.request_id,
        tags=tuple(header.tags),
        allowed_groups=tuple(header.allowed_groups),
        replace=header.replace,
        replaced_document_id=header.replaced_document_id,
        priority=_priority("header.priority", header.priority, Priority.INTERACTIVE),
        access=_access_from_wire(header.acl) if header.HasField("acl") else None,
    )


def wanted_access(request: document_service_pb2.SetDocumentAclRequest) -> WantedAccess:
    """Raises InvalidField where none is said: to take access from everybody by a forgotten field is no wish."""
    if not request.HasField("acl"):
        raise errors.InvalidField("acl", "must be present; an empty one leaves the document to its owner alone")
    return _access_from_wire(request.acl)


def _access_from_wire(acl: document_service_pb2.DocumentAcl) -> WantedAccess:
    return WantedAccess(acl.owner, tuple(acl.users), tuple(acl.groups), acl.tenant_wide, acl.etag)


def _access_to_wire(access: AccessList, version: int) -> document_service_pb2.DocumentAcl:
    return document_service_pb2.DocumentAcl(
        owner=access.owner,
        users=sorted(access.users),
        groups=sorted(access.groups),
        tenant_wide=access.tenant_wide,
        etag=etag_of(version),
    )


def _priority(field: str, wire: document_service_pb2.IngestionPriority.ValueType, unspecified: Priority) -> Priority:
    """Raises InvalidField for a number that this server does not know."""
    if wire == document_service_pb2.INGESTION_PRIORITY_UNSPECIFIED:
        return unspecified
    for known, number in _PRIORITIES.items():
        if number == wire:
            return known
    raise errors.InvalidField(field, "must be a known IngestionPriority")


def document_to_wire(document: Document, reader: Principal) -> document_service_pb2.Document:
    """As `reader`, who may read it, may see it: who else may is told to those who may change that."""
    shares = document.access.changeable_by(reader)
    return document_service_pb2.Document(
        document_id=document.document_id,
        name=document.name,
        media_type=document.media_type,
        size_bytes=document.size_bytes,
        sha256=document.sha256,
        state=_DOCUMENT_STATES[document.state],
        failure=None if document.failure is None else failure_to_wire(document.failure),
        page_count=document.page_count,
        chunk_count=document.chunk_count,
        revision=document.revision,
        tags=sorted(document.tags),
        allowed_groups=sorted(document.access.groups),
        create_time=timestamp_to_wire(document.create_time),
        update_time=timestamp_to_wire(document.update_time),
        job_id=document.job_id,
        newest_revision=document.newest_revision,
        acl=_access_to_wire(document.access, document.access_version) if shares else None,
    )


def job_to_wire(job: Job) -> document_service_pb2.Job:
    wire = document_service_pb2.Job(
        job_id=job.job_id,
        document_id=job.document_id,
        state=_JOB_STATES[job.state],
        stage=stage_to_wire(job.stage),
        pages_done=job.pages_done,
        pages_total=job.pages_total,
        attempt=job.attempt,
        create_time=timestamp_to_wire(job.create_time),
        update_time=timestamp_to_wire(job.update_time),
        revision=job.revision,
        end_time=None if job.end_time is None else timestamp_to_wire(job.end_time),
        trace_id=job.trace_id,
        priority=_PRIORITIES[job.priority],
    )
    if job.state is JobState.SUCCEEDED:
        wire.success.chunk_count = job.chunk_count
        wire.success.consistency_token = token_of(job.log_position or 0)
    elif job.state.terminal and job.failure is not None:
        wire.failure.CopyFrom(failure_to_wire(job.failure))
    return wire


def document_state_from_wire(state: document_service_pb2.DocumentState.ValueType) -> DocumentState | None:
    """None for any state. Raises InvalidField for a number that this server does not know."""
    if state == document_service_pb2.DOCUMENT_STATE_UNSPECIFIED:
        return None
    for known, wire in _DOCUMENT_STATES.items():
        if wire == state:
            return known
    raise errors.InvalidField("state", "must be a known DocumentState")


def reindex_command(request: document_service_pb2.ReindexDocumentRequest, trace_id: str) -> ReindexCommand:
    """Raises InvalidField for a stage that this server does not know."""
    stages = {wire: stage for stage, wire in _STAGES.items()}
    if request.first_stage not in stages:
        raise errors.InvalidField("first_stage", "must be a known IngestionStage")
    return ReindexCommand(
        request.document_id,
        stages[request.first_stage],
        request.request_id,
        trace_id,
        _priority("priority", request.priority, Priority.BULK),
    )


def page_wish(request: document_service_pb2.GetPageImageRequest) -> PageWish:
    return PageWish(
        request.page,
        request.scale if request.HasField("scale") else None,
        tuple(Box(box.x0, box.y0, box.x1, box.y1) for box in request.boxes),
    )


def page_image_response(view: PageView) -> document_service_pb2.GetPageImageResponse:
    return document_service_pb2.GetPageImageResponse(
        image=view.image, media_type=view.media_type, width=view.width, height=view.height, scale=view.scale
    )


def wanted_letters(request: document_service_pb2.ListDeadLettersRequest) -> WantedLetters:
    """Raises InvalidField for a reason that this server does not know, and for times that are none."""
    if request.reason not in error_reason_pb2.ErrorReason.values():
        raise errors.InvalidField("reason", "must be a known ErrorReason")
    failed = request.failed
    return WantedLetters(
        reasons=_failures_of(request.reason),
        not_before=time_from_wire("failed.not_before", failed.not_before) if failed.HasField("not_before") else None,
        before=time_from_wire("failed.before", failed.before) if failed.HasField("before") else None,
    )


def dead_letters_response(page: DeadLetterPage) -> document_service_pb2.ListDeadLettersResponse:
    return document_service_pb2.ListDeadLettersResponse(
        dead_letters=[
            document_service_pb2.DeadLetter(job=job_to_wire(letter.job), document_name=letter.document_name)
            for letter in page.letters
        ],
        next_page_token=page.next_page_token,
    )


def _failures_of(reason: error_reason_pb2.ErrorReason.ValueType) -> tuple[str, ...]:
    """What `failure_to_wire` tells by this reason; empty: anything."""
    if reason == error_reason_pb2.ERROR_REASON_UNSPECIFIED:
        return ()
    told = {name: reason_of(error) for name, error in _FAILURE_CLASSES.items() if RULES.keys() & set(error.__mro__)}
    told[DEFECT] = error_reason_pb2.ERROR_REASON_INTERNAL
    return tuple(sorted(name for name, told_by in told.items() if told_by == reason))


def failure_to_wire(failure: Failure) -> document_service_pb2.Failure:
    error = _FAILURE_CLASSES.get(failure.reason)
    reason = reason_of(error) if error else error_reason_pb2.ERROR_REASON_INTERNAL
    return document_service_pb2.Failure(reason=reason, message=failure.message)


def stage_to_wire(stage: Stage | None) -> document_service_pb2.IngestionStage.ValueType:
    return _STAGES[stage]
