"""The process that reads documents, with faults by their names: `hang`, `crash`, `crash once`, `grow`, `bug`."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

from server.adapters.reading import opening, reader_program
from server.adapters.reading.pdf import PdfFile, PdfOptions
from server.application.reading_ports import PageImage
from server.domain.documents import Page


class FaultyPdfFile(PdfFile):
    def __init__(self, path: Path, options: PdfOptions, most_pages: int) -> None:
        named = path.resolve()  # what is asked for is a descriptor's path
        self._begun = named.with_suffix(".begun")
        self._fault = named.stem
        self._secret = "the text"
        super().__init__(path, options, most_pages)

    def read(self, number: int) -> Page | PageImage:
        again = self._begun.exists()
        self._begun.touch()
        match self._fault:
            case "hang":
                time.sleep(3600)
            case "crash":
                ctypes.string_at(0)
            case "crash once" if not again:
                ctypes.string_at(0)
            case "grow":
                bytearray(2 * 2**30)
            case "bug":
                raise ValueError(self._secret)
        return super().read(number)


def main() -> None:
    vars(opening)["PdfFile"] = FaultyPdfFile
    reader_program.main()
