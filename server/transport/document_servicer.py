"""DocumentService on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import document_service_pb2, document_service_pb2_grpc
from server.application.consistency import token_of
from server.application.delete_document import DeleteDocument
from server.application.list_documents import ListDocuments
from server.application.look_after_jobs import LookAfterJobs
from server.application.share_document import ShareDocument
from server.application.show_pages import ShowPages
from server.application.upload_document import UploadDocument
from server.application.watch_job import WatchJob
from server.domain.errors import InvalidField, StageDeadline
from server.transport.deadlines import deadline_of
from server.transport.document_mapping import (
    dead_letters_response,
    document_state_from_wire,
    document_to_wire,
    job_to_wire,
    page_image_response,
    page_wish,
    reindex_command,
    upload_header,
    wanted_access,
    wanted_letters,
)
from server.transport.identity import Identity
from server.transport.interceptors import request_id

LONGEST_UPLOAD_S = 900.0
LONGEST_SILENCE_S = 30.0
LONGEST_WATCH_S = 3_600.0
LONGEST_RENDERING_S = 60.0
LONGEST_SHARING_S = 60.0
MAX_PART_BYTES = 2**20


class DocumentServicer(document_service_pb2_grpc.DocumentServiceServicer):
    def __init__(
        self,
        identity: Identity,
        upload: UploadDocument,
        documents: ListDocuments,
        delete: DeleteDocument,
        watch: WatchJob,
        jobs: LookAfterJobs,
        pages: ShowPages,
        share: ShareDocument,
    ) -> None:
        self._identity = identity
        self._upload = upload
        self._documents = documents
        self._delete = delete
        self._watch = watch
        self._jobs = jobs
        self._pages = pages
        self._share = share

    async def UploadDocument(  # noqa: N802 - named by the contract
        self,
        request_iterator: AsyncIterator[document_service_pb2.UploadDocumentRequest],
        context: ServicerContext[Any, Any],
    ) -> document_service_pb2.UploadDocumentResponse:
        principal = self._identity.principal(context)
        header = await _header(request_iterator)
        document, job = await self._upload.run(
            principal,
            upload_header(header),
            _data(request_iterator),
            deadline_of(context, LONGEST_UPLOAD_S),
            request_id(),
        )
        return document_service_pb2.UploadDocumentResponse(
            document=document_to_wire(document, principal), job=job_to_wire(job)
        )

    async def GetDocument(  # noqa: N802
        self, request: document_service_pb2.GetDocumentRequest, context: ServicerContext[Any, Any]
    ) -> document_service_pb2.GetDocumentResponse:
        principal = self._identity.principal(context)
        document = await self._documents.get(principal, request.document_id)
        return document_service_pb2.GetDocumentResponse(document=document_to_wire(document, principal))

    async def ListDocuments(  # noqa: N802
        self, request: document_service_pb2.ListDocumentsRequest, context: ServicerContext[Any, Any]
    ) -> document_service_pb2.ListDocumentsResponse:
        principal = self._identity.principal(context)
        page = await self._documents.page(
            principal,
            request.page_size,
            request.page_token,
            document_state_from_wire(request.state),
            tuple(request.tags),
        )
        return document_service_pb2.ListDocumentsResponse(
            documents=[document_to_wire(document, principal) for document in page.documents],
            next_page_token=page.next_page_token,
        )

    async def DeleteDocument(  # noqa: N802
        self, request: document_service_pb2.DeleteDocumentRequest, context: ServicerContext[Any, Any]
    ) -> document_service_pb2.DeleteDocumentResponse:
        position = await self._delete.run(self._identity.principal(context), request.document_id)
        return document_service_pb2.DeleteDocumentResponse(consistency_token=token_of(position))

    async def SetDocumentAcl(  # noqa: N802
        self, request: document_service_pb2.SetDocumentAclRequest, context: ServicerContext[Any, Any]
    ) -> document_service_pb2.SetDocumentAclResponse:
        principal = self._identity.principal(context)
        document, position = await self._share.run(
            principal,
            request.document_id,
            wanted_access(request),
            deadline_of(context, LONGEST_SHARING_S),
        )
        return document_service_pb2.SetDocumentAclResponse(
            document=document_to_wire(document, principal), consistency_token=token_of(position)
        )

    async def WatchJob(  # noqa: N802
        self, request: document_service_pb2.WatchJobRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[document_service_pb2.WatchJobResponse]:
        deadline = deadline_of(context, LONGEST_WATCH_S)
        jobs = self._watch.run(self._identity.principal(context), request.job_id, deadline)
        async with aclosing(jobs):
            async for job in jobs:
                yield document_service_pb2.WatchJobResponse(job=job_to_wire(job))

    async def CancelJob(  # noqa: N802
        self, request: document_service_pb2.CancelJobRequest, context: ServicerContext[Any, Any]
    ) -> document_service_pb2.CancelJobResponse:
        job = await self._jobs.cancel(self._identity.principal(context), request.job_id)
        return document_service_pb2.CancelJobResponse(job=job_to_wire(job))

    async def ReindexDocument(  # noqa: N802
        self, request: document_service_pb2.ReindexDocumentRequest, context: ServicerContext[Any, Any]
    ) -> document_service_pb2.ReindexDocumentResponse:
        command = reindex_command(request, request_id())
        job = await self._jobs.reindex(self._identity.principal(context), command)
        return document_service_pb2.ReindexDocumentResponse(job=job_to_wire(job))

    async def ListDeadLetters(  # noqa: N802
        self, request: document_service_pb2.ListDeadLettersRequest, context: ServicerContext[Any, Any]
    ) -> document_service_pb2.ListDeadLettersResponse:
        page = await self._jobs.dead_letters(
            self._identity.principal(context), request.page_size, request.page_token, wanted_letters(request)
        )
        return dead_letters_response(page)

    async def ReplayDeadLetter(  # noqa: N802
        self, request: document_service_pb2.ReplayDeadLetterRequest, context: ServicerContext[Any, Any]
    ) -> document_service_pb2.ReplayDeadLetterResponse:
        job = await self._jobs.replay(self._identity.principal(context), request.job_id)
        return document_service_pb2.ReplayDeadLetterResponse(job=job_to_wire(job))

    async def DiscardDeadLetter(  # noqa: N802
        self, request: document_service_pb2.DiscardDeadLetterRequest, context: ServicerContext[Any, Any]
    ) -> document_service_pb2.DiscardDeadLetterResponse:
        await self._jobs.discard(self._identity.principal(context), request.job_id)
        return document_service_pb2.DiscardDeadLetterResponse()

    async def GetPageImage(  # noqa: N802
        self, request: document_service_pb2.GetPageImageRequest, context: ServicerContext[Any, Any]
    ) -> document_service_pb2.GetPageImageResponse:
        view = await self._pages.page(
            self._identity.principal(context),
            request.document_id,
            page_wish(request),
            deadline_of(context, LONGEST_RENDERING_S),
        )
        return page_image_response(view)

    async def GetThumbnail(  # noqa: N802
        self, request: document_service_pb2.GetThumbnailRequest, context: ServicerContext[Any, Any]
    ) -> document_service_pb2.GetThumbnailResponse:
        thumbnail = await self._pages.thumbnail(
            self._identity.principal(context), request.document_id, deadline_of(context, LONGEST_RENDERING_S)
        )
        return document_service_pb2.GetThumbnailResponse(image=thumbnail.image, media_type=thumbnail.media_type)


async def _header(
    requests: AsyncIterator[document_service_pb2.UploadDocumentRequest],
) -> document_service_pb2.UploadHeader:
    try:
        async with asyncio.timeout(LONGEST_SILENCE_S):
            first = await anext(requests, None)
    except TimeoutError as exc:
        raise StageDeadline("upload") from exc
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidField("header", "must be the first message of an upload")
    return first.header


async def _data(requests: AsyncIterator[document_service_pb2.UploadDocumentRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "data":
            raise InvalidField("header", "must come once; data follows it")
        if len(request.data) > MAX_PART_BYTES:
            raise InvalidField("data", f"must have at most {MAX_PART_BYTES:,} bytes in one message")
        yield request.data
