"""Shows callers what their documents look like: pages, with boxes marked on them, and thumbnails."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from server.application.document_ports import BlobStore
from server.application.page_image_ports import (
    THUMBNAIL_SIZE,
    DerivedBlobs,
    DocumentOriginals,
    PageRenderer,
    PageView,
    PageWish,
    SensitivePages,
)
from server.application.privacy_ports import Policies
from server.domain.deadline import Deadline
from server.domain.documents import Box, Document
from server.domain.errors import DependencyUnavailable, InvalidField, Overloaded, PagesNotChecked, StageDeadline
from server.domain.principals import Principal

_T = TypeVar("_T")

_STAGE = "render"
_THUMBNAIL = "thumbnail"
_THUMBNAIL_TYPE = "image/jpeg"
_LARGEST_SCALE = 16.0
_MOST_BOXES = 1_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ShowOptions:
    """`most_waiting` calls may render or wait for it at a time."""

    most_waiting: int = 16


class ShowPages:
    def __init__(
        self,
        originals: DocumentOriginals,
        blobs: BlobStore,
        derived: DerivedBlobs,
        renderer: PageRenderer,
        sensitive: SensitivePages,
        policies: Policies,
        options: ShowOptions,
    ) -> None:
        self._originals = originals
        self._blobs = blobs
        self._derived = derived
        self._renderer = renderer
        self._sensitive = sensitive
        self._policies = policies
        self._options = options
        self._waiting = 0

    async def page(self, principal: Principal, document_id: str, wish: PageWish, deadline: Deadline) -> PageView:
        """Page `wish.page` (from 1) of the revision that is searchable, or the newest where none is, with what the
        tenant's policy masks blacked out. Raises InvalidField, DocumentNotFound, NoPageImage, PagesNotChecked,
        UnreadableDocument, EncryptedDocument, Overloaded, StageDeadline."""
        _check(wish)
        document, key = await self._originals.locate(principal, document_id)
        wish = replace(wish, hidden=await self._hidden(document, wish.page))

        async def shown() -> PageView:
            async with self._blobs.open(document.tenant, key) as path:
                return await self._renderer.show(path, document.media_type, wish)

        return await self._bounded(shown, deadline)

    async def thumbnail(self, principal: Principal, document_id: str, deadline: Deadline) -> PageView:
        """Of the first page, in THUMBNAIL_SIZE. Made when it is first asked for, then kept beside the bytes; one with
        something blacked out is not kept. Raises DocumentNotFound, PagesNotChecked, UnreadableDocument,
        EncryptedDocument, Overloaded, StageDeadline."""
        document, key = await self._originals.locate(principal, document_id)
        hidden = await self._hidden(document, 1)
        kept = None if hidden else await self._derived.derived(document.tenant, key, _THUMBNAIL)
        if kept is not None:
            return PageView(kept, _THUMBNAIL_TYPE, *THUMBNAIL_SIZE, 0.0)

        async def drawn() -> PageView:
            async with self._blobs.open(document.tenant, key) as path:
                return await self._renderer.thumbnail(path, document.media_type, hidden)

        made = await self._bounded(drawn, deadline)
        if hidden:
            return made
        try:
            await self._derived.put_derived(document.tenant, key, _THUMBNAIL, made.image)
        except DependencyUnavailable as error:
            _log.warning("thumbnail_not_kept", document_id=document_id, problem=str(error))
        return made

    async def _hidden(self, document: Document, page: int) -> tuple[Box, ...]:
        masked = (await self._policies.of(document.tenant)).masked
        if not masked:
            return ()
        parts = await self._sensitive.parts(document, page)
        if parts is None:
            if page > document.page_count > 0:
                raise InvalidField("page", f"must be at most {document.page_count}, the number of the document's pages")
            raise PagesNotChecked(document.document_id)
        return tuple(part.box for part in parts if part.kind in masked)

    async def _bounded(self, work: Callable[[], Awaitable[_T]], deadline: Deadline) -> _T:
        if self._waiting >= self._options.most_waiting:
            raise Overloaded("the page renderer", retry_after_s=1.0)
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline.budget(_STAGE)):
                return await work()
        except TimeoutError as exc:
            raise StageDeadline(_STAGE) from exc
        finally:
            self._waiting -= 1


def _check(wish: PageWish) -> None:
    if wish.page < 1:
        raise InvalidField("page", "must be 1 or more")
    if wish.scale is not None and not (0 < wish.scale <= _LARGEST_SCALE):
        raise InvalidField("scale", f"must be above 0 and at most {_LARGEST_SCALE:g}")
    if len(wish.boxes) > _MOST_BOXES:
        raise InvalidField("boxes", f"must hold at most {_MOST_BOXES:,} boxes")
    if not all(math.isfinite(edge) for box in wish.boxes for edge in (box.x0, box.y0, box.x1, box.y1)):
        raise InvalidField("boxes", "must be finite")
