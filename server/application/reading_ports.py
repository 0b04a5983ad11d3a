"""What reads documents."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from server.domain.documents import (
    Page,
)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a document is, told by its content. `page_count` is 1 for documents without pages."""

    media_type: str
    page_count: int


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page without usable text, rendered for OCR. `scale` is pixels per unit of the page's boxes."""

    number: int
    width: float
    height: float
    image: bytes
    scale: float


class DocumentReader(Protocol):
    """Reads files. Blocking work runs off the event loop; memory is bounded by a page, not by the document. A limit of
    the reader's own bounds each page, and raises StageDeadline; who waits too long for a turn gets Overloaded."""

    @property
    def fingerprint(self) -> str:
        """Changes when the same file may be read differently (the version of the rules); pages read are kept by it."""

    async def probe(self, path: Path, name: str) -> Probe:
        """Opens far enough to promise that `pages` can start. Raises UnreadableDocument, UnsupportedFormat,
        EncryptedDocument."""

    def pages(self, path: Path, probe: Probe, first: int) -> AsyncGenerator[Page | PageImage, None]:
        """Pages from number `first` on, in order. Raises UnreadableDocument for a page that cannot be read."""
