"""Workbooks: sheets as pages, tables parted by empty rows, values as they are shown."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from server.domain.documents import BlockKind, Page
from server.domain.errors import UnreadableDocument
from tests.server.reading.conftest import SHARED_LOOP, ReadFile
from tests.server.reading.office_files import part, with_parts, xlsx_file

pytestmark = SHARED_LOOP
SHEET = "xl/worksheets/sheet1.xml"


def shape(page: object) -> list[tuple[BlockKind, list[str]]]:
    assert isinstance(page, Page)
    return [(block.kind, [line.text for line in block.lines]) for block in page.blocks]


async def test_sheets_are_pages_and_empty_rows_part_tables(read: ReadFile) -> None:
    def write(workbook: Any) -> None:
        sheet = workbook.active
        sheet.title = "料金"
        sheet["B2"] = "Tariff of 2026"
        for row in (["Boat", None, "Price"], ["Tug", None, 12.5], ["Ferry", None, 40]):
            sheet.append([None, *row])
        sheet["B7"] = "A note below."
        workbook.create_sheet("Empty")

    pages = await read(xlsx_file(write), "no extension")
    assert [shape(page) for page in pages] == [
        [
            (BlockKind.HEADING, ["料金"]),
            (BlockKind.CAPTION, ["Tariff of 2026"]),
            (BlockKind.TABLE, ["| Boat | Price |", "| Tug | 12.5 |", "| Ferry | 40 |"]),
            (BlockKind.PARAGRAPH, ["A note below."]),
        ],
        [(BlockKind.HEADING, ["Empty"])],
    ]


async def test_values_are_written_as_they_are_shown(read: ReadFile) -> None:
    day = datetime.datetime.fromisoformat("2026-03-04")
    values = [True, 3, 0.1 + 0.2, 0.125, day, day.replace(hour=5, minute=6), "a|b\nc"]

    def write(workbook: Any) -> None:
        workbook.active.append(values)
        workbook.active.append(["x"] * len(values))
        workbook.active["D1"].number_format = "0.0%"

    (page,) = await read(xlsx_file(write))
    [row, _] = shape(page)[1][1]
    assert row == "| TRUE | 3 | 0.3 | 12.5% | 2026-03-04 | 2026-03-04 05:06:00 | a/b c |"


async def test_what_a_sheet_claims_of_its_size_is_not_believed(read: ReadFile) -> None:
    data = xlsx_file(lambda workbook: workbook.active.append(["a", "b"]))
    sheet = part(data, SHEET)
    assert b'ref="A1:B1"' in sheet
    claimed = sheet.replace(b'ref="A1:B1"', b'ref="A1:XFD1048576"')
    (page,) = await read(with_parts(data, {SHEET: claimed}))
    assert shape(page)[1] == (BlockKind.TABLE, ["| a | b |"])


@pytest.mark.parametrize("row", [b"2000000000", b"1048577"])
async def test_a_row_beyond_the_format_is_refused(read: ReadFile, row: bytes) -> None:
    data = xlsx_file(lambda workbook: workbook.active.append(["a", "b"]))
    sheet = part(data, SHEET).replace(b'<row r="1"', b'<row r="%s"' % row)
    with pytest.raises(UnreadableDocument, match="rows"):
        await read(with_parts(data, {SHEET: sheet}))


async def test_entities_are_refused(read: ReadFile) -> None:
    data = xlsx_file(lambda workbook: workbook.active.append(["a", "b"]))
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaa">]>' + part(data, SHEET)
    with pytest.raises(UnreadableDocument):
        await read(with_parts(data, {SHEET: bomb.replace(b"<v>", b"<v>&a;")}))
