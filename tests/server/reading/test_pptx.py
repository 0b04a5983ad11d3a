"""Presentations: slides as pages, boxes in points, tables, charts, notes."""

from __future__ import annotations

from typing import Any

import pytest
from pptx.util import Pt

from server.domain.documents import BlockKind, Box, Page
from tests.server.reading.conftest import SHARED_LOOP, ReadFile
from tests.server.reading.office_files import part, picture, pptx_file, put_chart, put_text, with_parts

pytestmark = SHARED_LOOP


def shape(page: object) -> list[tuple[BlockKind, list[str]]]:
    assert isinstance(page, Page)
    return [(block.kind, [line.text for line in block.lines]) for block in page.blocks]


def box_of(page: object, text: str) -> Box | None:
    assert isinstance(page, Page)
    [box] = [line.box for block in page.blocks for line in block.lines if line.text == text]
    return box


async def test_slides_are_pages_read_from_the_title_down(read: ReadFile) -> None:
    def first(slide: Any) -> None:
        put_text(slide, 100, 300, "below", "two paragraphs")
        put_text(slide, 400, 150, "right")
        put_text(slide, 100, 150, "left")
        slide.shapes.title.text = "The harbour"
        slide.notes_slide.notes_text_frame.text = "To be said."

    pages = await read(pptx_file(first, lambda slide: put_text(slide, 10, 10, "Second slide")), "no extension")
    assert [(page.number, page.width, page.height) for page in pages] == [(1, 720, 540), (2, 720, 540)]
    assert shape(pages[0]) == [
        (BlockKind.HEADING, ["The harbour"]),
        (BlockKind.PARAGRAPH, ["left"]),
        (BlockKind.PARAGRAPH, ["right"]),
        (BlockKind.PARAGRAPH, ["below"]),
        (BlockKind.PARAGRAPH, ["two paragraphs"]),
        (BlockKind.PARAGRAPH, ["To be said."]),
    ]
    assert box_of(pages[0], "right") == Box(400, 150, 600, 200)
    assert box_of(pages[0], "To be said.") is None


async def test_boxes_in_groups_are_those_on_the_slide(read: ReadFile) -> None:
    def write(slide: Any) -> None:
        group = slide.shapes.add_group_shape()
        box = group.shapes.add_textbox(Pt(100), Pt(100), Pt(100), Pt(100))
        box.text_frame.text = "grouped"
        # Twice as large on the slide as inside, and elsewhere.
        group.left, group.top, group.width, group.height = Pt(300), Pt(200), Pt(200), Pt(200)

    (page,) = await read(pptx_file(write))
    assert box_of(page, "grouped") == Box(300, 200, 500, 400)


async def test_tables_have_a_box_for_each_row(read: ReadFile) -> None:
    def write(slide: Any) -> None:
        table = slide.shapes.add_table(3, 3, Pt(50), Pt(100), Pt(300), Pt(90)).table
        for row in range(3):
            for column in range(3):
                table.cell(row, column).text = f"{row}{column}"
        table.cell(1, 1).merge(table.cell(1, 2))
        table.cell(1, 0).merge(table.cell(2, 0))
        table.cell(1, 1).text = "across"

    (page,) = await read(pptx_file(write))
    assert isinstance(page, Page)
    [table] = [block for block in page.blocks if block.kind is BlockKind.TABLE]
    assert [line.text for line in table.lines] == [
        "| 00 | 01 | 02 |",
        "| 10 20 | across | across |",
        "| 10 20 | 21 | 22 |",
    ]
    assert [line.box for line in table.lines] == [Box(50, y, 350, y + 30) for y in (100, 130, 160)]


async def test_charts_are_tables_and_pictures_what_is_said_of_them(read: ReadFile) -> None:
    def write(slide: Any) -> None:
        put_chart(slide, "Boats a year", {"2024": 3, "2025": 4.5})
        shown = slide.shapes.add_picture(picture(), Pt(10), Pt(450), Pt(20), Pt(20))
        shown._element.nvPicPr.cNvPr.set("descr", "A drawing of the quay")

    (page,) = await read(pptx_file(write))
    assert shape(page) == [
        (BlockKind.CAPTION, ["Boats a year"]),
        (BlockKind.TABLE, ["|  | Boats |", "| 2024 | 3 |", "| 2025 | 4.5 |"]),
        (BlockKind.CAPTION, ["A drawing of the quay"]),
    ]


@pytest.mark.parametrize("broken", ["ppt/media/image1.png", "ppt/charts/chart"])
async def test_broken_pictures_and_charts_are_left_out(read: ReadFile, broken: str) -> None:
    def write(slide: Any) -> None:
        put_text(slide, 10, 10, "text")
        put_chart(slide, "Boats", {"2024": 3})
        slide.shapes.add_picture(picture(), Pt(10), Pt(450), Pt(20), Pt(20))

    data = pptx_file(write)
    name = next(name for name in names(data) if name.startswith(broken) and not name.endswith(".rels"))
    empty = b"no picture" if name.endswith("png") else part(data, name).replace(b"c:ser>", b"c:other>")
    (page,) = await read(with_parts(data, {name: empty}))
    assert (BlockKind.PARAGRAPH, ["text"]) in shape(page)


def names(data: bytes) -> list[str]:
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.namelist()
