"""The process that holds pdfium: answers requests over a pipe, one after another, until its parent closes it.

A file that makes pdfium crash, hang or grow takes this process with it and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from server.adapters.reading.pdf import PdfFile, PdfOptions
from server.application.ports import PageImage
from server.domain.documents import Page
from server.domain.errors import EncryptedDocument, UnreadableDocument

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Start:
    """The first message, answered with `Ready`. `memory_bytes` is what the process may grow by."""

    options: PdfOptions
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Ready:
    pass


@dataclass(frozen=True, slots=True)
class CountPages:
    """Answered with `PageCount`."""

    path: Path


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Answered with the page. The file stays open under `reading`, whichever process gets the next request."""

    reading: int
    path: Path
    number: int


@dataclass(frozen=True, slots=True)
class CloseFile:
    """Answered with `Ready`, also when nothing is open."""

    reading: int


@dataclass(frozen=True, slots=True)
class PageCount:
    pages: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """The document cannot be read; None: because it is encrypted."""

    problem: str | None


@dataclass(frozen=True, slots=True)
class Defect:
    """A bug. `trace` holds no text of the document."""

    trace: str


Request = CountPages | ReadPage | CloseFile
Reply = Ready | PageCount | Page | PageImage | Refusal | Defect


def main() -> None:
    _end_with_parent()
    with Connection(int(sys.argv[1])) as connection:
        start = connection.recv()
        _bound_memory(start.memory_bytes)
        program = PdfProgram(start.options)
        connection.send(Ready())
        with contextlib.suppress(EOFError):
            while True:
                connection.send(program.reply(connection.recv()))


class PdfProgram:
    def __init__(self, options: PdfOptions) -> None:
        self._options = options
        self._open: dict[int, PdfFile] = {}

    def reply(self, request: Request) -> Reply:
        try:
            return self._reply(request)
        except EncryptedDocument:
            return Refusal(None)
        except UnreadableDocument as error:
            return Refusal(error.problem)
        except Exception as error:  # noqa: BLE001 - told to the parent, which raises it
            return Defect("".join([type(error).__name__, "\n", *traceback.format_tb(error.__traceback__)]))

    def _reply(self, request: Request) -> Reply:
        match request:
            case CountPages(path):
                with contextlib.closing(PdfFile(path, self._options)) as file:
                    return PageCount(file.page_count)
            case ReadPage(reading, path, number):
                if reading not in self._open:
                    self._open[reading] = PdfFile(path, self._options)
                return self._open[reading].read(number)
            case CloseFile(reading):
                closed = self._open.pop(reading, None)
                if closed is not None:
                    closed.close()
                return Ready()


def _bound_memory(more_bytes: int) -> None:
    """From here on. What the libraries have reserved grows with the cores of the machine, and is not counted."""
    reserved = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = reserved + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    # A file of gigabytes for every crash would fill the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _end_with_parent() -> None:
    """Also in the middle of a page. The signals of a terminal or a service manager are for the parent."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
