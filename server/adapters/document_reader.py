"""Reads documents from files: what they are, and their pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

from server.adapters.reading.opening import ReadingOptions
from server.adapters.reading.page_views import ViewOptions
from server.adapters.reading.reader_process import ReaderProcess, ReaderProcessOptions
from server.application.page_image_ports import PageView, PageWish
from server.application.reading_ports import PageImage, Probe
from server.domain.documents import Box, Page

# To be raised when the same file comes to be read differently: pages read are kept by it.
_READING_VERSION = 3


@dataclass(frozen=True, slots=True)
class DocumentReaderOptions:
    """Limits count from when the reading begins; `queue_wait_s`, for it to begin, should be longer than a page may
    take. Each of the `processes` reads one page at a time; one is started when the others are in use."""

    reading: ReadingOptions = field(default_factory=ReadingOptions)
    process: ReaderProcessOptions = field(default_factory=ReaderProcessOptions)
    processes: int = 2
    probe_limit_s: float = 30.0
    page_limit_s: float = 120.0
    show_limit_s: float = 30.0
    queue_wait_s: float = 150.0


class FileDocumentReader:
    """The ports `DocumentReader` and `PageRenderer`. Nothing of a document is looked at in this process: parsers run in
    processes of their own, with limits on their time and memory. A document is read by one of them from its first page
    to its last."""

    def __init__(self, options: DocumentReaderOptions | None = None) -> None:
        self._options = options or DocumentReaderOptions()
        self._processes = [
            ReaderProcess(self._options.reading, self._options.process, self._options.queue_wait_s)
            for _ in range(self._options.processes)
        ]

    @property
    def fingerprint(self) -> str:
        return f"reading {_READING_VERSION} {replace(self._options.reading, view=ViewOptions())}"

    async def close(self) -> None:
        """Ends the processes, in the middle of a page if need be."""
        await asyncio.gather(*(process.close() for process in self._processes))

    async def probe(self, path: Path, name: str) -> Probe:
        return await self._free().probe(path, name, self._options.probe_limit_s)

    async def pages(self, path: Path, probe: Probe, first: int) -> AsyncGenerator[Page | PageImage, None]:
        """The file must stay in place until the last page, or until the iterator is closed and one page more."""
        async with aclosing(self._free().pages(path, probe, first, self._options.page_limit_s)) as pages:
            async for page in pages:
                yield page

    async def show(self, path: Path, media_type: str, wish: PageWish) -> PageView:
        return await self._free().show(path, media_type, wish, self._options.show_limit_s)

    async def thumbnail(self, path: Path, media_type: str, hidden: tuple[Box, ...] = ()) -> PageView:
        return await self._free().thumbnail(path, media_type, hidden, self._options.show_limit_s)

    def _free(self) -> ReaderProcess:
        """The one with the fewest users: the first, while it has none."""
        return min(self._processes, key=lambda process: process.users)
