"""Reads documents from files: what they are, and their pages."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from server.adapters.reading.images import ImageFile, ImageOptions
from server.adapters.reading.markdown import read_markdown
from server.adapters.reading.pdf import PdfFile, PdfOptions
from server.adapters.reading.plain_text import read_plain_text
from server.adapters.reading.probing import IMAGES, MARKDOWN, PDF, detect_media_type
from server.adapters.reading.text_decoding import decode_text
from server.application.ports import PageImage, Probe
from server.domain.documents import Page
from server.domain.errors import UnreadableDocument

_T = TypeVar("_T")

# To be raised when the same file comes to be read differently: pages read are kept by it.
_READING_VERSION = 1


@dataclass(frozen=True, slots=True)
class DocumentReaderOptions:
    pdf: PdfOptions = field(default_factory=PdfOptions)
    image: ImageOptions = field(default_factory=ImageOptions)
    most_pages: int = 5000


class _OpenFile(Protocol):
    """A document that is open. All of it blocks."""

    page_count: int

    def read(self, number: int) -> Page | PageImage: ...

    def close(self) -> None: ...


class FileDocumentReader:
    """The `DocumentReader` port. One thread does all reading, because pdfium is not thread-safe: make one reader a
    process. Text files are held whole while they are read, everything else page by page."""

    def __init__(self, options: DocumentReaderOptions | None = None) -> None:
        self._options = options or DocumentReaderOptions()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="document-reader")

    @property
    def fingerprint(self) -> str:
        return f"reading {_READING_VERSION} {self._options}"

    async def close(self) -> None:
        """Waits for the page that is being read, and closes what is open."""
        await asyncio.to_thread(self._thread.shutdown)

    async def probe(self, path: Path, name: str) -> Probe:
        return await self._run(lambda: self._probe(path, name))

    async def pages(self, path: Path, probe: Probe, first: int) -> AsyncGenerator[Page | PageImage, None]:
        """The file must stay in place until the last page, or until the iterator is closed and one page more."""
        document = await self._opened(path, probe)
        try:
            for number in range(first, document.page_count + 1):
                yield await self._run(functools.partial(document.read, number))
        finally:
            self._close_later(document)

    def _close_later(self, document: _OpenFile) -> None:
        """Not awaited: it follows whatever the thread still does, also when a task is being cancelled."""
        try:
            self._thread.submit(document.close)
        except RuntimeError:  # the reader is closed and its thread has ended
            document.close()

    async def _opened(self, path: Path, probe: Probe) -> _OpenFile:
        opening = self._thread.submit(self._open, path, probe.media_type)
        try:
            return await asyncio.wrap_future(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(
                lambda done: None if done.cancelled() or done.exception() else done.result().close()
            )
            raise

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _probe(self, path: Path, name: str) -> Probe:
        media_type = detect_media_type(path, name)
        if media_type != PDF and media_type not in IMAGES:
            return Probe(media_type, 1)
        document = self._open(path, media_type)
        try:
            if document.page_count > self._options.most_pages:
                raise UnreadableDocument(f"it has more than {self._options.most_pages} pages")
            return Probe(media_type, document.page_count)
        finally:
            document.close()

    def _open(self, path: Path, media_type: str) -> _OpenFile:
        if media_type == PDF:
            return PdfFile(path, self._options.pdf)
        if media_type in IMAGES:
            return ImageFile(path, media_type, self._options.image)
        return _TextFile(path, media_type)


class _TextFile:
    page_count = 1

    def __init__(self, path: Path, media_type: str) -> None:
        self._path = path
        self._media_type = media_type

    def read(self, number: int) -> Page:
        text = decode_text(self._path.read_bytes())
        if text is None:
            raise UnreadableDocument("its text is in no known encoding")
        return read_markdown(text) if self._media_type == MARKDOWN else read_plain_text(text)

    def close(self) -> None:
        pass
