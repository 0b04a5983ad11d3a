"""`client.documents`."""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from typing import Unpack

import grpc

from pinakes import mapping, requests
from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.jobs import succeeded
from pinakes.options import Deadlines, UploadOptions
from pinakes.results import (
    Box,
    DeadLetter,
    Document,
    DocumentAcl,
    DocumentState,
    IngestionPriority,
    IngestionStage,
    Job,
    PageImage,
    Sharing,
    Thumbnail,
    Upload,
)
from pinakes.streams import AsyncStream, Stream
from pinakes.uploads import Source, UploadSource
from pinakes.v1.document_service_pb2_grpc import DocumentServiceStub


class AsyncDocuments:
    """`client.documents`: takes documents in, lists and deletes them, and follows their ingestion."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = DocumentServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    async def upload(
        self, source: Source, *, timeout_s: float | None = None, **options: Unpack[UploadOptions]
    ) -> Upload:
        """Stores a document (a path, bytes, or a binary file) and starts its ingestion; durable when it returns.

        Retries are safe: they carry the same `request_id`. Raises DocumentExists, DocumentTooLarge, InvalidRequest;
        ValueError for bytes without a name; OSError for a file that cannot be read.
        """
        opened = UploadSource.of(source, options)
        header = requests.upload_header(opened.name, options.get("request_id") or uuid.uuid4().hex, options)
        return await self._calls.upload(
            self._stub.UploadDocument, header, opened, timeout_s or self._deadlines.upload_s, mapping.upload
        )

    async def get(self, document_id: str, *, timeout_s: float | None = None) -> Document:
        """One document. Raises DocumentNotFound."""
        return await self._calls.unary(
            self._stub.GetDocument,
            requests.get_document(document_id),
            timeout_s or self._deadlines.unary_s,
            mapping.found_document,
        )

    def list(
        self,
        *,
        state: DocumentState = DocumentState.UNSPECIFIED,
        tags: Sequence[str] = (),
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Document]:
        """All documents that the caller may see, newest first, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.ListDocuments,
            lambda token: requests.list_documents(state, tags, page_size, token),
            timeout_s or self._deadlines.unary_s,
            mapping.document_page,
            lambda page: page.documents,
        )

    async def page_image(
        self,
        document_id: str,
        page: int,
        *,
        scale: float | None = None,
        boxes: Sequence[Box] = (),
        timeout_s: float | None = None,
    ) -> PageImage:
        """A page (from 1) as an image, with boxes (those of a region of a passage or a citation) marked on it. `scale`
        is pixels per unit of the page's boxes. Raises DocumentNotFound, NoPageImage, InvalidRequest."""
        return await self._calls.unary(
            self._stub.GetPageImage,
            requests.get_page_image(document_id, page, scale, boxes),
            timeout_s or self._deadlines.unary_s,
            mapping.page_image,
        )

    async def thumbnail(self, document_id: str, *, timeout_s: float | None = None) -> Thumbnail:
        """A small picture of the document's first page. Raises DocumentNotFound, InvalidRequest."""
        return await self._calls.unary(
            self._stub.GetThumbnail,
            requests.get_thumbnail(document_id),
            timeout_s or self._deadlines.unary_s,
            mapping.thumbnail,
        )

    async def share(self, document_id: str, acl: DocumentAcl, *, timeout_s: float | None = None) -> Sharing:
        """Says anew, as a whole, who may read a document. Whoever may no longer, is told at once that there is none, in
        everything; whoever may now, finds it. With the `etag` that `Document.acl` had, it fails if somebody changed the
        access since. Raises DocumentNotFound, also for callers who may only read it, AccessChanged."""
        return await self._calls.unary(
            self._stub.SetDocumentAcl,
            requests.set_document_acl(document_id, acl),
            timeout_s or self._deadlines.unary_s,
            mapping.sharing,
        )

    async def delete(self, document_id: str, *, timeout_s: float | None = None) -> str:
        """Deletes a document; returns a consistency token for searches that must not see it. Raises DocumentNotFound,
        also when a first attempt had deleted it and its response was lost."""
        return await self._calls.unary(
            self._stub.DeleteDocument,
            requests.delete_document(document_id),
            timeout_s or self._deadlines.unary_s,
            mapping.deletion_token,
        )

    def watch(self, job: Job | str, *, timeout_s: float | None = None) -> AsyncStream[Job]:
        """The job as it is, then at each change until it is done. Raises JobNotFound."""
        return self._calls.stream(
            self._stub.WatchJob, requests.watch_job(job), timeout_s or self._deadlines.watch_s, mapping.watched_job
        )

    async def wait(
        self, job: Job | str, *, timeout_s: float | None = None, on_change: Callable[[Job], object] | None = None
    ) -> Job:
        """The job when it has succeeded. Watches again, until the deadline, when the server goes away: it does not
        forget jobs. Raises IngestionFailed with the job when it ended otherwise, JobNotFound, DeadlineExceeded."""

        async def last(left_s: float) -> Job | None:
            state: Job | None = None
            async with self.watch(job, timeout_s=left_s) as states:
                async for state in states:
                    if on_change:
                        on_change(state)
            return state

        return succeeded(await self._calls.retried(last, timeout_s or self._deadlines.watch_s, attempts=math.inf))

    async def cancel(self, job: Job | str, *, timeout_s: float | None = None) -> Job:
        """Ends a job before it is done, and returns it; one that had ended before is returned as it ended. A document
        with an older revision stays searchable. Raises JobNotFound."""
        return await self._calls.unary(
            self._stub.CancelJob, requests.cancel_job(job), timeout_s or self._deadlines.unary_s, mapping.cancelled_job
        )

    async def reindex(
        self,
        document_id: str,
        *,
        first_stage: IngestionStage = IngestionStage.UNSPECIFIED,
        priority: IngestionPriority = IngestionPriority.UNSPECIFIED,
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Job:
        """Ingests a document's bytes anew, as a further revision; the old one serves until that is searchable.
        `first_stage`: EXTRACT reads the document again, CHUNK, the default, uses the kept text of its pages. Retries
        are safe: they carry the same `request_id`. Raises DocumentNotFound, DocumentBusy."""
        return await self._calls.unary(
            self._stub.ReindexDocument,
            requests.reindex_document(document_id, first_stage, priority, request_id or uuid.uuid4().hex),
            timeout_s or self._deadlines.unary_s,
            mapping.reindexing_job,
        )

    def dead_letters(
        self,
        *,
        reason: str = "",
        not_before: datetime | None = None,
        before: datetime | None = None,
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> AsyncIterator[DeadLetter]:
        """All jobs that failed for good and were not discarded, the newest first, fetched page by page; the timeout is
        for one page. `reason` is an ErrorReason's name without its prefix, such as `UNREADABLE_DOCUMENT`; the times,
        UTC if they have no zone, are of the failure. Raises ValueError for a reason that is none."""
        return self._calls.pages(
            self._stub.ListDeadLetters,
            lambda token: requests.list_dead_letters(reason, not_before, before, page_size, token),
            timeout_s or self._deadlines.unary_s,
            mapping.dead_letter_page,
            lambda page: page.dead_letters,
        )

    async def replay(self, job: Job | str, *, timeout_s: float | None = None) -> Job:
        """Lets a dead letter's job run again, with all its attempts before it. Raises DeadLetterNotFound."""
        return await self._calls.unary(
            self._stub.ReplayDeadLetter,
            requests.replay_dead_letter(job),
            timeout_s or self._deadlines.unary_s,
            mapping.replayed_job,
        )

    async def discard(self, job: Job | str, *, timeout_s: float | None = None) -> None:
        """Takes a dead letter off the list for good; its document stays as it is. Raises DeadLetterNotFound."""
        await self._calls.unary(
            self._stub.DiscardDeadLetter,
            requests.discard_dead_letter(job),
            timeout_s or self._deadlines.unary_s,
            mapping.discarded_letter,
        )


class Documents:
    """`client.documents`: takes documents in, lists and deletes them, and follows their ingestion."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = DocumentServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def upload(self, source: Source, *, timeout_s: float | None = None, **options: Unpack[UploadOptions]) -> Upload:
        """Stores a document (a path, bytes, or a binary file) and starts its ingestion; durable when it returns.

        Retries are safe: they carry the same `request_id`. Raises DocumentExists, DocumentTooLarge, InvalidRequest;
        ValueError for bytes without a name; OSError for a file that cannot be read.
        """
        opened = UploadSource.of(source, options)
        header = requests.upload_header(opened.name, options.get("request_id") or uuid.uuid4().hex, options)
        return self._calls.upload(
            self._stub.UploadDocument, header, opened, timeout_s or self._deadlines.upload_s, mapping.upload
        )

    def get(self, document_id: str, *, timeout_s: float | None = None) -> Document:
        """One document. Raises DocumentNotFound."""
        return self._calls.unary(
            self._stub.GetDocument,
            requests.get_document(document_id),
            timeout_s or self._deadlines.unary_s,
            mapping.found_document,
        )

    def list(
        self,
        *,
        state: DocumentState = DocumentState.UNSPECIFIED,
        tags: Sequence[str] = (),
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> Iterator[Document]:
        """All documents that the caller may see, newest first, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.ListDocuments,
            lambda token: requests.list_documents(state, tags, page_size, token),
            timeout_s or self._deadlines.unary_s,
            mapping.document_page,
            lambda page: page.documents,
        )

    def page_image(
        self,
        document_id: str,
        page: int,
        *,
        scale: float | None = None,
        boxes: Sequence[Box] = (),
        timeout_s: float | None = None,
    ) -> PageImage:
        """A page (from 1) as an image, with boxes (those of a region of a passage or a citation) marked on it. `scale`
        is pixels per unit of the page's boxes. Raises DocumentNotFound, NoPageImage, InvalidRequest."""
        return self._calls.unary(
            self._stub.GetPageImage,
            requests.get_page_image(document_id, page, scale, boxes),
            timeout_s or self._deadlines.unary_s,
            mapping.page_image,
        )

    def thumbnail(self, document_id: str, *, timeout_s: float | None = None) -> Thumbnail:
        """A small picture of the document's first page. Raises DocumentNotFound, InvalidRequest."""
        return self._calls.unary(
            self._stub.GetThumbnail,
            requests.get_thumbnail(document_id),
            timeout_s or self._deadlines.unary_s,
            mapping.thumbnail,
        )

    def share(self, document_id: str, acl: DocumentAcl, *, timeout_s: float | None = None) -> Sharing:
        """Says anew, as a whole, who may read a document. Whoever may no longer, is told at once that there is none, in
        everything; whoever may now, finds it. With the `etag` that `Document.acl` had, it fails if somebody changed the
        access since. Raises DocumentNotFound, also for callers who may only read it, AccessChanged."""
        return self._calls.unary(
            self._stub.SetDocumentAcl,
            requests.set_document_acl(document_id, acl),
            timeout_s or self._deadlines.unary_s,
            mapping.sharing,
        )

    def delete(self, document_id: str, *, timeout_s: float | None = None) -> str:
        """Deletes a document; returns a consistency token for searches that must not see it. Raises DocumentNotFound,
        also when a first attempt had deleted it and its response was lost."""
        return self._calls.unary(
            self._stub.DeleteDocument,
            requests.delete_document(document_id),
            timeout_s or self._deadlines.unary_s,
            mapping.deletion_token,
        )

    def watch(self, job: Job | str, *, timeout_s: float | None = None) -> Stream[Job]:
        """The job as it is, then at each change until it is done. Raises JobNotFound."""
        return self._calls.stream(
            self._stub.WatchJob, requests.watch_job(job), timeout_s or self._deadlines.watch_s, mapping.watched_job
        )

    def wait(
        self, job: Job | str, *, timeout_s: float | None = None, on_change: Callable[[Job], object] | None = None
    ) -> Job:
        """The job when it has succeeded. Watches again, until the deadline, when the server goes away: it does not
        forget jobs. Raises IngestionFailed with the job when it ended otherwise, JobNotFound, DeadlineExceeded."""

        def last(left_s: float) -> Job | None:
            state: Job | None = None
            with self.watch(job, timeout_s=left_s) as states:
                for state in states:
                    if on_change:
                        on_change(state)
            return state

        return succeeded(self._calls.retried(last, timeout_s or self._deadlines.watch_s, attempts=math.inf))

    def cancel(self, job: Job | str, *, timeout_s: float | None = None) -> Job:
        """Ends a job before it is done, and returns it; one that had ended before is returned as it ended. A document
        with an older revision stays searchable. Raises JobNotFound."""
        return self._calls.unary(
            self._stub.CancelJob, requests.cancel_job(job), timeout_s or self._deadlines.unary_s, mapping.cancelled_job
        )

    def reindex(
        self,
        document_id: str,
        *,
        first_stage: IngestionStage = IngestionStage.UNSPECIFIED,
        priority: IngestionPriority = IngestionPriority.UNSPECIFIED,
        request_id: str = "",
        timeout_s: float | None = None,
    ) -> Job:
        """Ingests a document's bytes anew, as a further revision; the old one serves until that is searchable.
        `first_stage`: EXTRACT reads the document again, CHUNK, the default, uses the kept text of its pages. Retries
        are safe: they carry the same `request_id`. Raises DocumentNotFound, DocumentBusy."""
        return self._calls.unary(
            self._stub.ReindexDocument,
            requests.reindex_document(document_id, first_stage, priority, request_id or uuid.uuid4().hex),
            timeout_s or self._deadlines.unary_s,
            mapping.reindexing_job,
        )

    def dead_letters(
        self,
        *,
        reason: str = "",
        not_before: datetime | None = None,
        before: datetime | None = None,
        page_size: int = 0,
        timeout_s: float | None = None,
    ) -> Iterator[DeadLetter]:
        """All jobs that failed for good and were not discarded, the newest first, fetched page by page; the timeout is
        for one page. `reason` is an ErrorReason's name without its prefix, such as `UNREADABLE_DOCUMENT`; the times,
        UTC if they have no zone, are of the failure. Raises ValueError for a reason that is none."""
        return self._calls.pages(
            self._stub.ListDeadLetters,
            lambda token: requests.list_dead_letters(reason, not_before, before, page_size, token),
            timeout_s or self._deadlines.unary_s,
            mapping.dead_letter_page,
            lambda page: page.dead_letters,
        )

    def replay(self, job: Job | str, *, timeout_s: float | None = None) -> Job:
        """Lets a dead letter's job run again, with all its attempts before it. Raises DeadLetterNotFound."""
        return self._calls.unary(
            self._stub.ReplayDeadLetter,
            requests.replay_dead_letter(job),
            timeout_s or self._deadlines.unary_s,
            mapping.replayed_job,
        )

    def discard(self, job: Job | str, *, timeout_s: float | None = None) -> None:
        """Takes a dead letter off the list for good; its document stays as it is. Raises DeadLetterNotFound."""
        self._calls.unary(
            self._stub.DiscardDeadLetter,
            requests.discard_dead_letter(job),
            timeout_s or self._deadlines.unary_s,
            mapping.discarded_letter,
        )
