"""Takes a document in: bytes to the blob store, a look at them, and one transaction that promises the rest."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import structlog

from server.application.document_ports import BlobStore, DocumentCatalog, NewDocument, StoredBlob, WantedAccess
from server.application.job_ports import Bell
from server.application.reading_ports import DocumentReader
from server.domain.deadline import Deadline
from server.domain.documents import Document, Job, Priority
from server.domain.errors import DependencyUnavailable, InvalidField, Overloaded, StageDeadline, UnreadableDocument
from server.domain.principals import AccessList, Principal

MAX_NAME_CHARACTERS = 512
MAX_REQUEST_ID_CHARACTERS = 128
MAX_TAGS = 32
MAX_TAG_CHARACTERS = 64
MAX_GROUPS = 256
MAX_GROUP_CHARACTERS = 256
MAX_USERS = 256
MAX_USER_CHARACTERS = 256

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class UploadOptions:
    max_document_bytes: int = 256 * 2**20
    max_parallel: int = 16
    """Uploads at a time; further ones are refused as Overloaded."""
    max_silence_s: float = 30.0
    """A caller that sends nothing for this long loses its place."""


@dataclass(frozen=True, slots=True)
class UploadHeader:
    """What the caller says of the document. Who may read it says `access`, or (None) `allowed_groups`: without any,
    everybody in the tenant. `replace`, or a `replaced_document_id`, makes it a further revision of one that the caller
    owns."""

    name: str
    request_id: str = ""
    tags: tuple[str, ...] = ()
    allowed_groups: tuple[str, ...] = ()
    replace: bool = False
    replaced_document_id: str = ""
    priority: Priority = Priority.INTERACTIVE
    access: WantedAccess | None = None


class UploadDocument:
    def __init__(
        self,
        blobs: BlobStore,
        reader: DocumentReader,
        catalog: DocumentCatalog,
        outbox_bell: Bell,
        options: UploadOptions,
    ) -> None:
        self._blobs = blobs
        self._reader = reader
        self._catalog = catalog
        self._outbox_bell = outbox_bell
        self._options = options
        self._running = 0

    async def run(
        self,
        principal: Principal,
        header: UploadHeader,
        parts: AsyncIterator[bytes],
        deadline: Deadline,
        trace_id: str = "",
    ) -> tuple[Document, Job]:
        """The stored document and its job, durable when this returns; or an error, and nothing is stored. `trace_id`
        names the call in the log.

        Raises InvalidField, UnreadableDocument, UnsupportedFormat, EncryptedDocument, DocumentTooLarge,
        DocumentExists, DocumentNotFound, Overloaded, StageDeadline, DependencyUnavailable.
        """
        header = _checked(principal, header)
        if self._running >= self._options.max_parallel:
            raise Overloaded("uploads", retry_after_s=1.0)
        self._running += 1
        try:
            return await self._store(principal, header, parts, deadline, trace_id)
        finally:
            self._running -= 1

    async def _store(
        self, principal: Principal, header: UploadHeader, parts: AsyncIterator[bytes], deadline: Deadline, trace_id: str
    ) -> tuple[Document, Job]:
        blob = await self._blobs.put(principal.tenant, self._paced(parts, deadline), self._options.max_document_bytes)
        # Set to None once the blob may belong to a document.
        surplus: StoredBlob | None = blob
        try:
            new = await self._probed(header, principal, blob, deadline)
            surplus = None
            try:
                document, job, accepted = await self._catalog.accept(principal, replace(new, trace_id=trace_id))
            except DependencyUnavailable:
                # The transaction may or may not have happened: the sweep removes the blob if it did not.
                raise
            except Exception:
                surplus = blob
                raise
            if not accepted:
                surplus = blob
        finally:
            if surplus is not None:
                await asyncio.shield(self._discard(surplus))
        await self._outbox_bell.ring()
        return document, job

    async def _probed(
        self, header: UploadHeader, principal: Principal, blob: StoredBlob, deadline: Deadline
    ) -> NewDocument:
        if blob.size_bytes == 0:
            raise UnreadableDocument("it is empty")
        try:
            async with asyncio.timeout(deadline.budget("probe")), self._blobs.open(principal.tenant, blob.key) as path:
                probe = await self._reader.probe(path, header.name)
        except TimeoutError as exc:
            raise StageDeadline("probe") from exc
        wanted = header.access or WantedAccess(groups=header.allowed_groups, tenant_wide=not header.allowed_groups)
        return NewDocument(
            name=header.name,
            media_type=probe.media_type,
            blob=blob,
            tags=header.tags,
            access=AccessList(principal.user, wanted.groups, wanted.tenant_wide, wanted.users),
            request_id=header.request_id,
            replace=header.replace,
            replaced_document_id=header.replaced_document_id,
            priority=header.priority,
        )

    async def _paced(self, parts: AsyncIterator[bytes], deadline: Deadline) -> AsyncIterator[bytes]:
        while True:
            seconds = min(deadline.budget("upload"), self._options.max_silence_s)
            try:
                async with asyncio.timeout(seconds):
                    part = await anext(parts, None)
            except TimeoutError as exc:
                raise StageDeadline("upload") from exc
            if part is None:
                return
            yield part

    async def _discard(self, blob: StoredBlob) -> None:
        try:
            await self._blobs.delete(blob.key)
        except DependencyUnavailable as error:
            # The sweep will find it.
            _log.warning("blob_not_deleted", key=blob.key, problem=str(error))


def _checked(principal: Principal, header: UploadHeader) -> UploadHeader:
    """Tags, users and groups sorted, without repeats."""
    check_text("header.name", header.name, MAX_NAME_CHARACTERS)
    if header.request_id:
        check_text("header.request_id", header.request_id, MAX_REQUEST_ID_CHARACTERS)
    if header.access is not None and header.allowed_groups:
        raise InvalidField("header.allowed_groups", "must be empty where there is an acl, which names groups itself")
    if header.access is not None and header.access.owner not in ("", principal.user):
        raise InvalidField("header.acl.owner", "must be empty, or the caller: share the document when it is uploaded")
    if header.access is not None and header.access.etag:
        raise InvalidField("header.acl.etag", "must be empty: there is no access yet that could have changed")
    return replace(
        header,
        tags=_checked_labels("header.tags", header.tags, MAX_TAGS, MAX_TAG_CHARACTERS),
        allowed_groups=_checked_labels(
            "header.allowed_groups", header.allowed_groups, MAX_GROUPS, MAX_GROUP_CHARACTERS
        ),
        access=None if header.access is None else checked_access("header.acl", header.access),
    )


def checked_access(field: str, wanted: WantedAccess) -> WantedAccess:
    """With users and groups sorted, without repeats. Raises InvalidField."""
    if wanted.owner:
        check_text(f"{field}.owner", wanted.owner, MAX_USER_CHARACTERS)
    return replace(
        wanted,
        users=_checked_labels(f"{field}.users", wanted.users, MAX_USERS, MAX_USER_CHARACTERS),
        groups=_checked_labels(f"{field}.groups", wanted.groups, MAX_GROUPS, MAX_GROUP_CHARACTERS),
    )


def _checked_labels(field: str, labels: Sequence[str], most: int, longest: int) -> tuple[str, ...]:
    if len(labels) > most:
        raise InvalidField(field, f"must hold at most {most} values, and holds {len(labels):,}")
    for position, label in enumerate(labels):
        check_text(f"{field}[{position}]", label, longest)
    return tuple(sorted(set(labels)))


def check_text(field: str, text: str, longest: int) -> None:
    """Raises InvalidField."""
    if not 0 < len(text) <= longest or not text.strip():
        raise InvalidField(field, f"must have 1 to {longest} characters, and not only white space")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise InvalidField(field, "must not hold control characters")
