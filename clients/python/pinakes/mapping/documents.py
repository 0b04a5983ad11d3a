"""Documents, their jobs and what became of them."""

from __future__ import annotations

from pinakes import results
from pinakes.mapping.wire_values import enum_of, reason, time
from pinakes.v1 import document_service_pb2


def document_state(number: int) -> results.DocumentState:
    return enum_of(results.DocumentState, document_service_pb2.DocumentState.DESCRIPTOR, number)


def job_state(number: int) -> results.JobState:
    return enum_of(results.JobState, document_service_pb2.JobState.DESCRIPTOR, number)


def ingestion_stage(number: int) -> results.IngestionStage:
    return enum_of(results.IngestionStage, document_service_pb2.IngestionStage.DESCRIPTOR, number)


def ingestion_priority(number: int) -> results.IngestionPriority:
    return enum_of(results.IngestionPriority, document_service_pb2.IngestionPriority.DESCRIPTOR, number)


def failure(wire: document_service_pb2.Failure) -> results.Failure:
    return results.Failure(reason(wire.reason), wire.message)


def document(wire: document_service_pb2.Document) -> results.Document:
    return results.Document(
        document_id=wire.document_id,
        name=wire.name,
        media_type=wire.media_type,
        size_bytes=wire.size_bytes,
        sha256=wire.sha256,
        state=document_state(wire.state),
        failure=failure(wire.failure) if wire.HasField("failure") else None,
        page_count=wire.page_count,
        chunk_count=wire.chunk_count,
        revision=wire.revision,
        tags=tuple(wire.tags),
        allowed_groups=tuple(wire.allowed_groups),
        create_time=time(wire.create_time),
        update_time=time(wire.update_time),
        job_id=wire.job_id,
        newest_revision=wire.newest_revision,
        acl=_acl(wire.acl) if wire.HasField("acl") else None,
    )


def _acl(wire: document_service_pb2.DocumentAcl) -> results.DocumentAcl:
    return results.DocumentAcl(tuple(wire.users), tuple(wire.groups), wire.tenant_wide, wire.owner, wire.etag)


def sharing(wire: document_service_pb2.SetDocumentAclResponse) -> results.Sharing:
    return results.Sharing(document(wire.document), wire.consistency_token)


def job_success(wire: document_service_pb2.JobSuccess) -> results.JobSuccess:
    return results.JobSuccess(wire.chunk_count, wire.consistency_token)


def job(wire: document_service_pb2.Job) -> results.Job:
    return results.Job(
        job_id=wire.job_id,
        document_id=wire.document_id,
        state=job_state(wire.state),
        stage=ingestion_stage(wire.stage),
        pages_done=wire.pages_done,
        pages_total=wire.pages_total,
        attempt=wire.attempt,
        create_time=time(wire.create_time),
        update_time=time(wire.update_time),
        success=job_success(wire.success) if wire.HasField("success") else None,
        failure=failure(wire.failure) if wire.HasField("failure") else None,
        revision=wire.revision,
        end_time=time(wire.end_time) if wire.HasField("end_time") else None,
        trace_id=wire.trace_id,
        priority=ingestion_priority(wire.priority),
    )


def cancelled_job(wire: document_service_pb2.CancelJobResponse) -> results.Job:
    return job(wire.job)


def reindexing_job(wire: document_service_pb2.ReindexDocumentResponse) -> results.Job:
    return job(wire.job)


def replayed_job(wire: document_service_pb2.ReplayDeadLetterResponse) -> results.Job:
    return job(wire.job)


def discarded_letter(wire: document_service_pb2.DiscardDeadLetterResponse) -> None:
    return None


def dead_letter_page(wire: document_service_pb2.ListDeadLettersResponse) -> results.DeadLetterPage:
    letters = (results.DeadLetter(job(each.job), each.document_name) for each in wire.dead_letters)
    return results.DeadLetterPage(tuple(letters), wire.next_page_token)


def upload(wire: document_service_pb2.UploadDocumentResponse) -> results.Upload:
    return results.Upload(document(wire.document), job(wire.job))


def found_document(wire: document_service_pb2.GetDocumentResponse) -> results.Document:
    return document(wire.document)


def document_page(wire: document_service_pb2.ListDocumentsResponse) -> results.DocumentPage:
    return results.DocumentPage(tuple(document(d) for d in wire.documents), wire.next_page_token)


def page_image(wire: document_service_pb2.GetPageImageResponse) -> results.PageImage:
    return results.PageImage(wire.image, wire.media_type, wire.width, wire.height, wire.scale)


def thumbnail(wire: document_service_pb2.GetThumbnailResponse) -> results.Thumbnail:
    return results.Thumbnail(wire.image, wire.media_type)


def deletion_token(wire: document_service_pb2.DeleteDocumentResponse) -> str:
    return wire.consistency_token


def watched_job(wire: document_service_pb2.WatchJobResponse) -> results.Job:
    return job(wire.job)
