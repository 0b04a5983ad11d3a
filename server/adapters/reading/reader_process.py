"""Documents read in processes of their own, which are started when needed and replaced when a page breaks them."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import structlog

from server.adapters.reading.lane import Lane
from server.adapters.reading.opening import ReadingOptions
from server.adapters.reading.reader_program import (
    CloseFile,
    Defect,
    Encrypted,
    MakeThumbnail,
    NotShown,
    OutOfMemory,
    Probed,
    ProbeFile,
    ReadPage,
    Reply,
    Request,
    ShowPage,
    Start,
    Unreadable,
    Unsupported,
)
from server.application.page_image_ports import PageView, PageWish
from server.application.reading_ports import PageImage, Probe
from server.domain.documents import Box, Page, Stage
from server.domain.errors import (
    DependencyUnavailable,
    EncryptedDocument,
    InvalidField,
    NoPageImage,
    StageDeadline,
    UnreadableDocument,
    UnsupportedFormat,
)

_NAME = "the document reader"
_ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop()); from server.adapters.reading.reader_program import main; main()"
)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReaderProcessOptions:
    """`memory_bytes` bounds what the address space of the process may grow by once it has started."""

    start_limit_s: float = 30.0
    memory_bytes: int = 3 * 2**30


class ReaderProcess:
    """One process that reads documents, one request after another: pdfium is not thread-safe, and this bounds memory.

    A request that takes too long ends the process and raises StageDeadline. One during which it dies is tried once
    more (the cause may have been outside), then raises UnreadableDocument, as does one that runs out of memory. Other
    readings go on in the next process. Waiting for its turn, a request raises Overloaded after `queue_wait_s`.
    """

    def __init__(self, reading: ReadingOptions, options: ReaderProcessOptions, queue_wait_s: float) -> None:
        self._reading = reading
        self._options = options
        self._lane = Lane(_NAME, 1, queue_wait_s)
        self._readings = itertools.count()
        self._child: _Child | None = None
        self._closed = threading.Event()
        self.users = 0
        """Probes and readings that are under way."""

    async def probe(self, path: Path, name: str, limit_s: float) -> Probe:
        """Raises what the `DocumentReader` port says."""
        with self._in_use():
            file = _HeldFile(path)
            reply = await self._ask(file, ProbeFile(file.path, name), limit_s, Stage.PROBE)
        assert isinstance(reply, Probed)
        return Probe(reply.media_type, reply.pages)

    async def pages(
        self, path: Path, probe: Probe, first: int, limit_s: float
    ) -> AsyncGenerator[Page | PageImage, None]:
        """`limit_s` is for a page."""
        reading = next(self._readings)
        with self._in_use():
            file = _HeldFile(path)
            try:
                for number in range(first, probe.page_count + 1):
                    request = ReadPage(reading, file.path, probe.media_type, number)
                    page = await self._ask(file, request, limit_s, Stage.EXTRACT)
                    assert isinstance(page, Page | PageImage)
                    yield page
            finally:
                self._lane.later(lambda: self._close_file(reading, limit_s))

    async def show(self, path: Path, media_type: str, wish: PageWish, limit_s: float) -> PageView:
        """Raises what the `PageRenderer` port says."""
        with self._in_use():
            file = _HeldFile(path)
            reply = await self._ask(file, ShowPage(file.path, media_type, wish), limit_s, Stage.EXTRACT)
        match reply:
            case NotShown(None):
                raise NoPageImage(media_type)
            case NotShown(pages):
                raise InvalidField("page", f"must be at most {pages}, the number of the document's pages")
            case _:
                assert isinstance(reply, PageView)
                return reply

    async def thumbnail(self, path: Path, media_type: str, hidden: tuple[Box, ...], limit_s: float) -> PageView:
        """Raises what the `PageRenderer` port says."""
        with self._in_use():
            file = _HeldFile(path)
            reply = await self._ask(file, MakeThumbnail(file.path, media_type, hidden), limit_s, Stage.EXTRACT)
        assert isinstance(reply, PageView)
        return reply

    async def close(self) -> None:
        """Ends the process, in the middle of a page if need be."""
        self._closed.set()
        if self._child is not None:
            self._child.kill()
        await self._lane.close()
        if self._child is not None:
            await asyncio.to_thread(self._end, self._child, "closed")

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1

    async def _ask(self, file: _HeldFile, request: Request, limit_s: float, stage: Stage) -> Reply:
        def answer() -> Reply:
            with file.in_use():
                return self._answer(request, limit_s, stage)

        # The limit is kept by the thread: it ends the process, and so is free for the next request.
        reply = await self._lane.run(answer, None, stage.value)
        match reply:
            case Encrypted():
                raise EncryptedDocument
            case Unreadable(problem, trace):
                if trace:
                    _log.info("document_unreadable", problem=problem, trace=trace)
                raise UnreadableDocument(problem)
            case Unsupported(media_type, supported):
                raise UnsupportedFormat(media_type, supported)
            case OutOfMemory():
                raise UnreadableDocument("reading it takes more memory than one document may have")
            case Defect(trace):
                _log.error("document_reader_defect", trace=trace)
                raise RuntimeError(f"a defect in {_NAME}")
            case _:
                return reply

    # --- what follows runs in the lane's thread ---

    def _answer(self, request: Request, limit_s: float, stage: Stage) -> Reply:
        for _ in range(2):
            child = self._running()
            try:
                reply = child.ask(request, limit_s)
            except TimeoutError as exc:
                self._end(child, "too slow")
                raise StageDeadline(stage.value) from exc
            except (EOFError, OSError):
                self._end(child, "crashed")
                continue
            if isinstance(reply, OutOfMemory):
                self._end(child, "out of memory")
            return reply
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
            child.ask(Start(self._reading, self._options.memory_bytes), self._options.start_limit_s)
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
            _log.warning("document_reader_ended", why=why, exit_code=code)


class _HeldFile:
    """An open file, and a path by which the child opens it, too: until nobody holds this any more, the path leads to
    this file and to no other. The lane's thread may come to a request after its caller has gone, who had the file
    opened; the numbers of closed files are given to others."""

    def __init__(self, path: Path) -> None:
        """Raises UnreadableDocument."""
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as exc:
            raise UnreadableDocument("it is gone") from exc
        weakref.finalize(self, os.close, self._descriptor)
        self.path = Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Holds it."""
        yield


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
