"""What showing pages needs of the outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from server.domain.documents import Box, Document, SensitivePart
from server.domain.principals import Principal

THUMBNAIL_SIZE = (200, 300)
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class PageView:
    """An encoded image of `width` x `height` pixels; `scale` is pixels per unit of the page's boxes."""

    image: bytes
    media_type: str
    width: int
    height: int
    scale: float


@dataclass(frozen=True, slots=True)
class PageWish:
    """`scale` (None: what suits the format) may be lowered to what an image may have at most. `boxes` are marked on the
    page, and `hidden` ones blacked out."""

    page: int
    scale: float | None
    boxes: tuple[Box, ...]
    hidden: tuple[Box, ...] = ()


class PageRenderer(Protocol):
    """Looks into files in bounded time and memory, off the event loop. A limit of its own raises StageDeadline; who
    waits too long for a turn gets Overloaded."""

    async def show(self, path: Path, media_type: str, wish: PageWish) -> PageView:
        """Raises NoPageImage for a format whose pages have no look of their own, InvalidField for a page that is not
        there, UnreadableDocument, EncryptedDocument."""

    async def thumbnail(self, path: Path, media_type: str, hidden: tuple[Box, ...] = ()) -> PageView:
        """Of the first page, in THUMBNAIL_SIZE, with the `hidden` boxes blacked out; of every format. Raises
        UnreadableDocument, EncryptedDocument."""


class DocumentOriginals(Protocol):
    async def locate(self, principal: Principal, document_id: str) -> tuple[Document, str]:
        """The document and the key of its bytes. Raises DocumentNotFound, also for who may not read it."""


class SensitivePages(Protocol):
    async def parts(self, document: Document, page: int) -> tuple[SensitivePart, ...] | None:
        """Of a page of the document's revision; None where nobody has looked. Raises DependencyUnavailable,
        Overloaded."""


class DerivedBlobs(Protocol):
    """What was made from a blob and can be made again; it goes with the blob."""

    async def derived(self, tenant: str, key: str, kind: str) -> bytes | None:
        """None if it has not been made. Raises KeyUnusable, DependencyUnavailable."""

    async def put_derived(self, tenant: str, key: str, kind: str, data: bytes) -> None:
        """Whole or not at all. A repeat replaces it. Raises KeyUnusable, DependencyUnavailable."""
