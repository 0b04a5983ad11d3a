"""The process that looks into documents: answers requests over a pipe, one after another, until its parent closes it.

A file that makes a parser crash, hang or grow takes this process with it and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import signal
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from server.adapters.reading.opening import DocumentFile, ReadingOptions, check_size, open_document
from server.adapters.reading.page_views import blacked_out, page_view, thumbnail_of_image, thumbnail_of_text
from server.adapters.reading.probing import PDF, detect_media_type
from server.application.page_image_ports import PageView, PageWish
from server.application.reading_ports import PageImage
from server.domain.documents import Box, Page
from server.domain.errors import EncryptedDocument, UnreadableDocument, UnsupportedFormat

_PR_SET_PDEATHSIG = 1
_USUAL_PDF_SCALE = 1.5
_THUMBNAIL_PIXELS = 1_000_000
"""Of the page that a thumbnail is made from."""
_COLLECTED_AFTER = 100_000
"""More objects than before, cycles among them are looked for."""
_FRAMES = 3
"""Of a parser that gave up, in the trace."""


@dataclass(frozen=True, slots=True)
class Start:
    """The first message, answered with `Ready`. `memory_bytes` is what the process may grow by."""

    options: ReadingOptions
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Ready:
    pass


@dataclass(frozen=True, slots=True)
class ProbeFile:
    """Answered with `Probed`."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Answered with the page. The file stays open under `reading`."""

    reading: int
    path: Path
    media_type: str
    number: int


@dataclass(frozen=True, slots=True)
class CloseFile:
    """Answered with `Ready`, also when nothing is open."""

    reading: int


@dataclass(frozen=True, slots=True)
class ShowPage:
    """Answered with a `PageView`, or `NotShown`."""

    path: Path
    media_type: str
    wish: PageWish


@dataclass(frozen=True, slots=True)
class MakeThumbnail:
    """Answered with a `PageView`."""

    path: Path
    media_type: str
    hidden: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class NotShown:
    """The format does not say how a page looks; or there is no such page, but `pages`."""

    pages: int | None = None


@dataclass(frozen=True, slots=True)
class Probed:
    media_type: str
    pages: int


@dataclass(frozen=True, slots=True)
class Encrypted:
    pass


@dataclass(frozen=True, slots=True)
class Unreadable:
    """`trace` says where a parser gave up, if one did; it holds no text of the document."""

    problem: str
    trace: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    media_type: str
    supported: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The process should be ended: what it holds is not known."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A bug. `trace` holds no text of the document."""

    trace: str


Request = ProbeFile | ReadPage | CloseFile | ShowPage | MakeThumbnail
Refusal = Encrypted | Unreadable | Unsupported | OutOfMemory | Defect
Reply = Ready | Probed | Page | PageImage | PageView | NotShown | Refusal


def main() -> None:
    _end_with_parent()
    with Connection(int(sys.argv[1])) as connection:
        start = connection.recv()
        _bound_memory(start.memory_bytes)
        program = ReaderProgram(start.options)
        _collect_rarely()
        _silence()
        connection.send(Ready())
        with contextlib.suppress(EOFError):
            while True:
                connection.send(program.reply(connection.recv()))


class ReaderProgram:
    def __init__(self, options: ReadingOptions) -> None:
        self._options = options
        self._open: dict[int, DocumentFile] = {}

    def reply(self, request: Request) -> Reply:
        try:
            return self._reply(request)
        except EncryptedDocument:
            return Encrypted()
        except UnreadableDocument as error:
            return Unreadable(error.problem, _trace(error.__cause__, _FRAMES))
        except UnsupportedFormat as error:
            return Unsupported(error.media_type, error.supported)
        except MemoryError:
            return OutOfMemory()
        except Exception as error:  # noqa: BLE001 - told to the parent, which raises it
            return Defect(_trace(error))

    def _reply(self, request: Request) -> Reply:
        match request:
            case ProbeFile(path, name):
                media_type = detect_media_type(path, name)
                with contextlib.closing(open_document(path, media_type, self._options)) as file:
                    return Probed(media_type, file.page_count)
            case ReadPage(reading, path, media_type, number):
                if reading not in self._open:
                    self._open[reading] = open_document(path, media_type, self._options)
                page = self._open[reading].read(number)
                return check_size(page, self._options) if isinstance(page, Page) else page
            case ShowPage(path, media_type, wish):
                with contextlib.closing(open_document(path, media_type, self._options)) as file:
                    return self._shown(file, media_type, wish)
            case MakeThumbnail(path, media_type, hidden):
                with contextlib.closing(open_document(path, media_type, self._options)) as file:
                    return _thumbnail(file, hidden)
            case CloseFile(reading):
                closed = self._open.pop(reading, None)
                if closed is not None:
                    closed.close()
                return Ready()

    def _shown(self, file: DocumentFile, media_type: str, wish: PageWish) -> PageView | NotShown:
        if wish.page > file.page_count:
            return NotShown(file.page_count)
        usual = _USUAL_PDF_SCALE if media_type == PDF else 1.0
        seen = file.picture(wish.page, wish.scale or usual, self._options.view.most_pixels)
        return NotShown() if seen is None else page_view(*seen, wish.boxes, wish.hidden, self._options.view)


def _thumbnail(file: DocumentFile, hidden: tuple[Box, ...]) -> PageView:
    seen = file.picture(1, 1.0, _THUMBNAIL_PIXELS)
    if seen is not None:
        return thumbnail_of_image(blacked_out(*seen, hidden))
    page = file.read(1)
    assert isinstance(page, Page), "what reads as an image has a look"
    return thumbnail_of_text(page)


def _trace(error: BaseException | None, frames: int | None = None) -> str:
    """The innermost `frames`, or all, without the error's message, which may quote the document."""
    if error is None:
        return ""
    limit = None if frames is None else -frames
    return "".join([type(error).__name__, "\n", *traceback.format_tb(error.__traceback__, limit)])


def _bound_memory(more_bytes: int) -> None:
    """From here on. What the libraries have reserved grows with the cores of the machine, and is not counted."""
    reserved = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = reserved + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    # A file of gigabytes for every crash would fill the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _collect_rarely() -> None:
    """A page is thousands of glyphs, none of which is part of a cycle: looking for cycles among them took a fifth of
    the time of reading it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER)


def _silence() -> None:
    """Parsers write about every flaw of a file to the standard error, which is the parent's log. What ends a document
    is told by the reply."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stderr.fileno())
    os.close(nowhere)


def _end_with_parent() -> None:
    """Also in the middle of a page. The signals of a terminal or a service manager are for the parent."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
