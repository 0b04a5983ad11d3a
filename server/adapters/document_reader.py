"""Reads documents from files: what they are, and their pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from pathlib import Path

from server.adapters.reading.images import ImageFile, ImageOptions
from server.adapters.reading.lane import Lane
from server.adapters.reading.markdown import read_markdown
from server.adapters.reading.pdf import PdfOptions
from server.adapters.reading.pdf_process import PdfProcess, PdfProcessOptions
from server.adapters.reading.plain_text import read_plain_text
from server.adapters.reading.probing import IMAGES, MARKDOWN, PDF, detect_media_type
from server.adapters.reading.text_decoding import decode_text
from server.application.ports import PageImage, Probe
from server.domain.documents import Page, Stage
from server.domain.errors import UnreadableDocument

# To be raised when the same file comes to be read differently: pages read are kept by it.
_READING_VERSION = 1


@dataclass(frozen=True, slots=True)
class DocumentReaderOptions:
    """Limits count from when the reading begins; `queue_wait_s`, for it to begin, should be longer than a page may
    take. `parallel_files` is for everything but PDFs, which are read one page at a time."""

    pdf: PdfOptions = field(default_factory=PdfOptions)
    image: ImageOptions = field(default_factory=ImageOptions)
    pdf_process: PdfProcessOptions = field(default_factory=PdfProcessOptions)
    most_pages: int = 5000
    parallel_files: int = 4
    probe_limit_s: float = 30.0
    page_limit_s: float = 120.0
    queue_wait_s: float = 150.0


class FileDocumentReader:
    """The `DocumentReader` port. PDFs are read in a process of their own, everything else on threads. Text files are
    held whole while they are read, everything else page by page."""

    def __init__(self, options: DocumentReaderOptions | None = None) -> None:
        self._options = options or DocumentReaderOptions()
        self._files = Lane("the file reader", self._options.parallel_files, self._options.queue_wait_s)
        self._pdfs = PdfProcess(self._options.pdf, self._options.pdf_process, self._options.queue_wait_s)

    @property
    def fingerprint(self) -> str:
        return f"reading {_READING_VERSION} {self._options.pdf} {self._options.image}"

    async def close(self) -> None:
        """Ends the process; waits for what the threads read."""
        await self._pdfs.close()
        await self._files.close()

    async def probe(self, path: Path, name: str) -> Probe:
        limit_s = self._options.probe_limit_s
        media_type = await self._files.run(lambda: detect_media_type(path, name), limit_s, Stage.PROBE.value)
        if media_type == PDF:
            page_count = await self._pdfs.page_count(path, limit_s)
        elif media_type in IMAGES:
            page_count = await self._files.run(lambda: self._image_pages(path, media_type), limit_s, Stage.PROBE.value)
        else:
            page_count = 1
        if page_count > self._options.most_pages:
            raise UnreadableDocument(f"it has more than {self._options.most_pages} pages")
        return Probe(media_type, page_count)

    async def pages(self, path: Path, probe: Probe, first: int) -> AsyncGenerator[Page | PageImage, None]:
        """The file must stay in place until the last page, or until the iterator is closed and one page more."""
        limit_s = self._options.page_limit_s
        if probe.media_type == PDF:
            async with aclosing(self._pdfs.pages(path, first, probe.page_count, limit_s)) as pages:
                async for page in pages:
                    yield page
            return
        for number in range(first, probe.page_count + 1):
            yield await self._files.run(self._reading(path, probe.media_type, number), limit_s, Stage.EXTRACT.value)

    def _reading(self, path: Path, media_type: str, number: int) -> Callable[[], Page | PageImage]:
        if media_type in IMAGES:
            return lambda: self._read_image(path, media_type, number)
        return lambda: _read_text(path, media_type)

    def _image_pages(self, path: Path, media_type: str) -> int:
        with closing(ImageFile(path, media_type, self._options.image)) as image:
            return image.page_count

    def _read_image(self, path: Path, media_type: str, number: int) -> PageImage:
        # Opened for each page: no file is left open by a thread that came too late.
        with closing(ImageFile(path, media_type, self._options.image)) as image:
            return image.read(number)


def _read_text(path: Path, media_type: str) -> Page:
    text = decode_text(path.read_bytes())
    if text is None:
        raise UnreadableDocument("its text is in no known encoding")
    return read_markdown(text) if media_type == MARKDOWN else read_plain_text(text)
