"""PDFs read in a process of their own, which is started when needed and replaced when a page breaks it."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import structlog

from server.adapters.reading.lane import Lane
from server.adapters.reading.pdf import PdfOptions
from server.adapters.reading.pdf_program import (
    CloseFile,
    CountPages,
    Defect,
    PageCount,
    ReadPage,
    Refusal,
    Reply,
    Request,
    Start,
)
from server.application.ports import PageImage
from server.domain.documents import Page, Stage
from server.domain.errors import DependencyUnavailable, EncryptedDocument, StageDeadline, UnreadableDocument

_NAME = "the PDF reader"
_ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop()); from server.adapters.reading.pdf_program import main; main()"
)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PdfProcessOptions:
    """`memory_bytes` bounds what the address space of the process may grow by once it has started."""

    start_limit_s: float = 30.0
    memory_bytes: int = 4 * 2**30


class PdfProcess:
    """One process reads all PDFs, one request after another: pdfium is not thread-safe, and this bounds its memory.

    A request that takes too long ends the process and raises StageDeadline. One during which it dies is tried once
    more (the cause may have been outside), then raises UnreadableDocument. Other readings go on in the next process.
    Waiting for its turn, a request raises Overloaded after `queue_wait_s`.
    """

    def __init__(self, pdf: PdfOptions, options: PdfProcessOptions, queue_wait_s: float) -> None:
        self._pdf = pdf
        self._options = options
        self._lane = Lane(_NAME, 1, queue_wait_s)
        self._readings = itertools.count()
        self._child: _Child | None = None
        self._closed = threading.Event()

    async def page_count(self, path: Path, limit_s: float) -> int:
        reply = await self._ask(CountPages(path.resolve()), limit_s, Stage.PROBE)
        assert isinstance(reply, PageCount)
        return reply.pages

    async def pages(self, path: Path, first: int, last: int, limit_s: float) -> AsyncGenerator[Page | PageImage, None]:
        """`limit_s` is for a page."""
        reading = next(self._readings)
        try:
            for number in range(first, last + 1):
                page = await self._ask(ReadPage(reading, path.resolve(), number), limit_s, Stage.EXTRACT)
                assert isinstance(page, Page | PageImage)
                yield page
        finally:
            self._lane.later(lambda: self._close_file(reading, limit_s))

    async def close(self) -> None:
        """Ends the process, in the middle of a page if need be."""
        self._closed.set()
        if self._child is not None:
            self._child.kill()
        await self._lane.close()
        if self._child is not None:
            await asyncio.to_thread(self._end, self._child, "closed")

    async def _ask(self, request: Request, limit_s: float, stage: Stage) -> Reply:
        # The limit is kept by the thread: it ends the process, and so is free for the next request.
        reply = await self._lane.run(lambda: self._answer(request, limit_s, stage), None, stage.value)
        if isinstance(reply, Refusal):
            raise EncryptedDocument if reply.problem is None else UnreadableDocument(reply.problem)
        if isinstance(reply, Defect):
            _log.error("pdf_reader_defect", trace=reply.trace)
            raise RuntimeError(f"a defect in {_NAME}")  # noqa: TRY004 - not about types
        return reply

    # --- what follows runs in the lane's thread ---

    def _answer(self, request: Request, limit_s: float, stage: Stage) -> Reply:
        for _ in range(2):
            child = self._running()
            try:
                return child.ask(request, limit_s)
            except TimeoutError as exc:
                self._end(child, "too slow")
                raise StageDeadline(stage.value) from exc
            except (EOFError, OSError):
                self._end(child, "crashed")
        raise UnreadableDocument(f"{_NAME} breaks down over it")

    def _running(self) -> _Child:
        if self._closed.is_set():
            raise DependencyUnavailable(_NAME, "it is closed")
        if self._child is not None:
            return self._child
        try:
            self._child = child = _Child()
            if self._closed.is_set():  # meanwhile, and who closed saw no child
                child.kill()
            child.ask(Start(self._pdf, self._options.memory_bytes), self._options.start_limit_s)
        except (EOFError, OSError) as exc:  # TimeoutError is an OSError
            if self._child is not None:
                self._end(self._child, "not started")
            raise DependencyUnavailable(_NAME, "it does not start") from exc
        return child

    def _close_file(self, reading: int, limit_s: float) -> None:
        if self._child is None or self._closed.is_set():
            return
        try:
            self._child.ask(CloseFile(reading), limit_s)
        except (EOFError, OSError):
            self._end(self._child, "crashed")

    def _end(self, child: _Child, why: str) -> None:
        self._child = None
        code = child.end()
        if not self._closed.is_set():
            _log.warning("pdf_reader_ended", why=why, exit_code=code)


class _Child:
    """The process and the pipe to it. `kill` may be called by another thread; it ends a wait for a reply."""

    def __init__(self) -> None:
        """Raises OSError. The thread that calls this must outlive the process: the kernel ties it to its parent's
        thread."""
        self._pipe: Connection
        self._pipe, theirs = Pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), str(_ROOT)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        except BaseException:
            self._pipe.close()
            raise
        finally:
            theirs.close()

    def ask(self, request: Request | Start, limit_s: float) -> Reply:
        """Raises EOFError or OSError when the process has ended, TimeoutError after `limit_s`."""
        self._pipe.send(request)
        if not self._pipe.poll(limit_s):
            raise TimeoutError
        reply: Reply = self._pipe.recv()
        return reply

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> int:
        self._process.kill()
        self._pipe.close()
        return self._process.wait()
