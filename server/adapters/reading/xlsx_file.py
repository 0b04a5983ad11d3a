"""Workbooks: every sheet is a page, every run of rows on it a table. openpyxl reads them row by row."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.cell.read_only import EmptyCell, ReadOnlyCell

from server.adapters.reading.archives import ArchiveOptions, check_archive, parsing
from server.application.markdown_tables import table_block
from server.domain.documents import Block, BlockKind, Line, Page
from server.domain.errors import UnreadableDocument

# The format's own limits.
_MOST_ROWS = 1_048_576
_MIDNIGHT = datetime.time()


class XlsxFile:
    """Memory: the texts of all sheets (they are stored apart from the sheets), and one sheet. Close it when done."""

    def __init__(self, path: Path, archive: ArchiveOptions, most_characters: int) -> None:
        """Raises UnreadableDocument."""
        self._most_characters = most_characters
        check_archive(path, archive)
        # An open file: openpyxl goes by the extension of a name.
        self._file = path.open("rb")
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        with parsing("the workbook"):
            self._workbook = load_workbook(self._file, read_only=True, data_only=True, keep_links=False)
        # The library's types know nothing of sheets that are read row by row.
        self._sheets: list[Any] = list(self._workbook.worksheets)
        self.page_count = len(self._sheets)
        if not self._sheets:
            raise UnreadableDocument("the workbook has no sheets with cells")

    def picture(self, number: int, scale: float, most_pixels: int) -> None:
        """How it looks is its program's affair."""

    def close(self) -> None:
        self._workbook.close()
        self._file.close()

    def read(self, number: int) -> Page:
        """Sheet `number` under a heading with its name. A row in which one cell alone has text stands for itself when
        empty rows part it from tables. Raises UnreadableDocument."""
        sheet = self._sheets[number - 1]
        blocks = [Block(BlockKind.HEADING, (Line(" ".join(str(sheet.title).split()), None),), 1)]
        with parsing(f"sheet {number}"):
            # What a sheet says of its own size is not to be relied on.
            sheet.reset_dimensions()
            for region in _regions(self._rows(sheet, number)):
                blocks.extend(_blocks(region))
        return Page(number, 0.0, 0.0, tuple(blocks))

    def _rows(self, sheet: Any, number: int) -> Iterable[list[str]]:
        characters = 0
        for count, row in enumerate(sheet.iter_rows(), start=1):
            texts = [_shown(cell) for cell in row]
            while texts and not texts[-1]:
                texts.pop()
            characters += sum(map(len, texts)) + len(texts)
            if characters > self._most_characters or count > _MOST_ROWS:
                raise UnreadableDocument(
                    f"sheet {number} has more than {self._most_characters:,} characters or {_MOST_ROWS:,} rows"
                )
            yield texts


def _regions(rows: Iterable[list[str]]) -> Iterable[list[list[str]]]:
    """Runs of rows without an empty row between them."""
    region: list[list[str]] = []
    for row in rows:
        if row:
            region.append(row)
        elif region:
            yield region
            region = []
    if region:
        yield region


def _blocks(region: Sequence[list[str]]) -> Iterable[Block]:
    """The rows above a table that have one cell are its titles; columns without text are left out."""
    at = 0
    while at < len(region) and sum(map(bool, region[at])) == 1:
        [text] = filter(None, region[at])
        lines = tuple(Line(line, None) for line in text.split("\n") if line.strip())
        following = at + 1 < len(region)
        yield Block(BlockKind.CAPTION if following and len(text) <= 200 else BlockKind.PARAGRAPH, lines)
        at += 1
    table = region[at:]
    if table:
        width = max(map(len, table))
        whole = [row + [""] * (width - len(row)) for row in table]
        used = [column for column in range(width) if any(row[column] for row in whole)]
        yield table_block([[row[column] for column in used] for row in whole])


def _shown(cell: ReadOnlyCell | EmptyCell) -> str:
    """About what a spreadsheet program shows: whole numbers without a fraction, shares in percent, days without a
    time."""
    value = cell.value
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case int() | float():
            percent = "%" in str(cell.number_format)
            return f"{value * 100:.10g}%" if percent else f"{value:.15g}"
        case datetime.datetime() if value.time() == _MIDNIGHT:
            return value.date().isoformat()
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat()
        case _:
            return str(value).strip()
