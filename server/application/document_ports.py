"""What keeping documents needs from the world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from server.domain.documents import (
    Document,
    DocumentState,
    Job,
    Priority,
)
from server.domain.principals import AccessList, Principal


@dataclass(frozen=True, slots=True)
class StoredBlob:
    key: str
    sha256: str
    size_bytes: int


class BlobStore(Protocol):
    """Bytes by key. A key is made by `put` and is never reused. What is stored is encrypted with keys of its tenant."""

    async def put(self, tenant: str, parts: AsyncIterator[bytes], limit_bytes: int) -> StoredBlob:
        """Durable (fsynced) when it returns. Raises DocumentTooLarge, KeyUnusable, and leaves nothing behind then or on
        cancel."""

    def open(self, tenant: str, key: str) -> AbstractAsyncContextManager[Path]:
        """The bytes as a read-only file while the context lasts, which processes of this machine can open. Raises
        DependencyUnavailable if they are gone, DocumentDamaged if they are not what was stored under the key for the
        tenant, KeyUnusable, and Overloaded when too much is open."""

    async def delete(self, key: str) -> None:
        """No error if the key does not exist."""

    async def older_than(self, age_s: float) -> list[str]:
        """Keys of blobs stored at least `age_s` ago (for the sweep that removes what no document refers to)."""


class BlobReferences(Protocol):
    async def unreferenced(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that no document refers to, in the order given."""


@dataclass(frozen=True, slots=True)
class NewDocument:
    name: str
    media_type: str
    blob: StoredBlob
    tags: tuple[str, ...]
    access: AccessList
    request_id: str
    trace_id: str = ""
    priority: Priority = Priority.INTERACTIVE
    replace: bool = False
    """A new revision of the owner's newest document of this name, if there is one."""
    replaced_document_id: str = ""
    """A new revision of this document; empty: of none."""


@dataclass(frozen=True, slots=True)
class DocumentPage:
    documents: tuple[Document, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class Deletion:
    """`position` is the change log's after the removals. The blobs are to be deleted by whoever asked."""

    position: int
    blob_keys: tuple[str, ...]


class DocumentCatalog(Protocol):
    """Documents as callers see them. Every method answers for `principal` only."""

    async def accept(self, principal: Principal, new: NewDocument) -> tuple[Document, Job, bool]:
        """Document or revision, job and outbox entry in one transaction. The bool is False when `new.request_id` named
        an earlier upload, which is then returned instead. A revision that was still on its way, or had failed, is
        dropped for the new one. Raises DocumentExists, QuotaExceeded, and DocumentNotFound for a document to be
        replaced."""

    async def get(self, principal: Principal, document_id: str) -> Document:
        """Raises DocumentNotFound."""

    async def page(
        self,
        principal: Principal,
        size: int,
        token: str,
        state: DocumentState | None,
        tags: tuple[str, ...],
    ) -> DocumentPage:
        """Newest first. Raises InvalidPageToken."""

    async def delete(self, principal: Principal, document_id: str) -> Deletion:
        """Marks it deleted, erases its content, logs the removal of its chunks, cancels its job. Only the owner may;
        a repeat returns the first call's result. Raises DocumentNotFound, also to those who may only read it."""

    async def job(self, principal: Principal, job_id: str) -> Job:
        """Raises JobNotFound."""


@dataclass(frozen=True, slots=True)
class WantedAccess:
    """Who is to read a document. Without an `owner` it stays whose it is. `etag` is of the access that is to be
    changed; empty: whatever it is."""

    owner: str = ""
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tenant_wide: bool = False
    etag: str = ""


class DocumentSharing(Protocol):
    async def share(
        self, principal: Principal, document_id: str, wanted: WantedAccess, version: int | None
    ) -> tuple[Document, int]:
        """The document with its new access, and the position of the change log after which the index has it. Reads see
        it as soon as this returns. With a `version` only the access of this version is changed. The same access again
        changes nothing. Raises DocumentNotFound, also to those who may only read it, AccessChanged, InvalidField."""


class RevisionStore(Protocol):
    async def forget_replaced(self, age_s: float, limit: int) -> int:
        """Removes the chunks of revisions that were replaced `age_s` ago, of at most `limit` documents; returns of how
        many."""
