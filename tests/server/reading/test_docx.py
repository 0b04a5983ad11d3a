"""Word documents: structure, numbers that are counted, what stands beside the text, and what must not be read."""

from __future__ import annotations

from typing import Any

import pytest
from docx.enum.text import WD_BREAK
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from server.domain.documents import BlockKind, Page
from server.domain.errors import UnreadableDocument
from tests.server.reading.conftest import SHARED_LOOP, ReadFile
from tests.server.reading.office_files import docx_file, part, picture, with_parts

pytestmark = SHARED_LOOP

Shape = list[tuple[BlockKind, int, list[str]]]


async def shape(read: ReadFile, data: bytes) -> Shape:
    (page,) = await read(data, "no extension")
    assert isinstance(page, Page)
    assert (page.width, page.height) == (0, 0)
    return [(block.kind, block.level, [line.text for line in block.lines]) for block in page.blocks]


async def test_headings_lists_captions_and_lines(read: ReadFile) -> None:
    def write(document: Any) -> None:
        document.add_heading("The harbour", 0)
        document.add_heading("Basins", 1)
        paragraph = document.add_paragraph("Two basins,")
        paragraph.add_run().add_break(WD_BREAK.LINE)
        paragraph.add_run("one dock.\tDry.")
        document.add_heading("Depths", 2)
        document.add_paragraph("old", style="List Bullet")
        document.add_paragraph("first", style="List Number")
        document.add_paragraph("second", style="List Number")
        document.add_picture(picture())
        document.add_paragraph("Figure 1: the quay", style="Caption")

    assert await shape(read, docx_file(write)) == [
        (BlockKind.HEADING, 1, ["The harbour"]),
        (BlockKind.HEADING, 1, ["Basins"]),
        (BlockKind.PARAGRAPH, 0, ["Two basins,", "one dock. Dry."]),
        (BlockKind.HEADING, 2, ["Depths"]),
        (BlockKind.LIST, 0, ["- old"]),
        (BlockKind.LIST, 0, ["1. first"]),
        (BlockKind.LIST, 0, ["2. second"]),
        (BlockKind.CAPTION, 0, ["Figure 1: the quay"]),
    ]


async def test_cells_stay_in_their_rows_and_columns(read: ReadFile) -> None:
    def write(document: Any) -> None:
        table = document.add_table(4, 3)
        for row in range(4):
            for column in range(3):
                table.cell(row, column).text = f"{row}{column}"
        table.cell(1, 0).merge(table.cell(2, 0)).text = "down"
        table.cell(1, 1).merge(table.cell(1, 2)).text = "a|cross"
        table.cell(3, 0).merge(table.cell(3, 2)).text = "all"
        table.cell(0, 2).text = "two\nparagraphs"

    [(kind, _, rows)] = await shape(read, docx_file(write))
    assert kind is BlockKind.TABLE
    assert rows == [
        "| 00 | 01 | two paragraphs |",
        "| down | a/cross | a/cross |",
        "| down | 21 | 22 |",
        "| all |  |  |",
    ]


async def test_a_frame_of_one_column_is_no_table(read: ReadFile) -> None:
    def write(document: Any) -> None:
        document.add_table(1, 1).cell(0, 0).text = "A note in a frame."

    assert await shape(read, docx_file(write)) == [(BlockKind.PARAGRAPH, 0, ["A note in a frame."])]


NUMBERED = """<w:numbering {}>
<w:abstractNum w:abstractNumId="0">
<w:lvl w:ilvl="0"><w:start w:val="3"/><w:numFmt w:val="japaneseCounting"/><w:lvlText w:val="第%1条"/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerRoman"/><w:lvlText w:val="(%2)"/></w:lvl>
<w:lvl w:ilvl="2"><w:numFmt w:val="aiueo"/><w:lvlText w:val="%2-%3"/></w:lvl>
</w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>
<w:num w:numId="2"><w:abstractNumId w:val="0"/>
<w:lvlOverride w:ilvl="0"><w:startOverride w:val="9"/></w:lvlOverride></w:num>
</w:numbering>""".format(nsdecls("w"))


async def test_numbers_are_counted_as_word_shows_them(read: ReadFile) -> None:
    places = [(1, 0), (1, 1), (1, 1), (1, 2), (1, 0), (1, 1), (2, 0)]

    def write(document: Any) -> None:
        for number, level in places:
            paragraph = document.add_paragraph("x")
            paragraph._p.get_or_add_pPr().append(
                parse_xml(f'<w:numPr {nsdecls("w")}><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')
            )

    data = with_parts(docx_file(write), {"word/numbering.xml": NUMBERED.encode()})
    lines = [lines[0] for _, _, lines in await shape(read, data)]
    assert lines == ["第三条 x", "(i) x", "(ii) x", "ii-ア x", "第四条 x", "(i) x", "第九条 x"]


BESIDE = """<w:p {}>
<w:r><w:t>Kept</w:t></w:r>
<w:del><w:r><w:delText>deleted</w:delText><w:t>deleted</w:t></w:r></w:del>
<w:ins><w:r><w:t xml:space="preserve"> and added </w:t></w:r></w:ins>
<w:r><w:ruby><w:rt><w:r><w:t>みなと</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>港</w:t></w:r></w:rubyBase></w:ruby></w:r>
<w:r><w:instrText>PAGE</w:instrText></w:r>
<w:r><w:drawing><w:txbxContent><w:p><w:r><w:t>In a box.</w:t></w:r></w:p></w:txbxContent></w:drawing></w:r>
<w:sdt><w:sdtContent><w:r><w:t>, in a field</w:t></w:r></w:sdtContent></w:sdt>
</w:p>""".format(nsdecls("w"))


async def test_what_is_not_shown_is_not_read_and_text_boxes_follow(read: ReadFile) -> None:
    def write(document: Any) -> None:
        document.element.body.insert(0, parse_xml(BESIDE))
        document.sections[0].header.paragraphs[0].text = "A running head"

    assert await shape(read, docx_file(write)) == [
        (BlockKind.PARAGRAPH, 0, ["Kept and added 港, in a field"]),
        (BlockKind.PARAGRAPH, 0, ["In a box."]),
    ]


async def test_entities_are_not_resolved(read: ReadFile) -> None:
    data = docx_file(lambda document: document.add_paragraph("MARK"))
    body = part(data, "word/document.xml").split(b"?>", 1)[1]
    doctype = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY mark SYSTEM "file:///etc/hostname">]>'
    (text,) = [
        lines
        for _, _, lines in await shape(
            read, with_parts(data, {"word/document.xml": doctype + body.replace(b"MARK", b"a&mark;b")})
        )
    ]
    assert text == ["a"]


@pytest.mark.parametrize(
    "broken",
    [
        {"word/document.xml": b"<w:document"},
        {"word/document.xml": None},
        {"[Content_Types].xml": b"<Types>wordprocessingml.document.main+xml</Types>"},
        {"word/document.xml": b"<other/>"},
        {"word/document.xml": b"<a>" * 300 + b"</a>" * 300},
    ],
    ids=["cut off", "missing", "types", "no body", "nested"],
)
async def test_broken_documents_are_refused(read: ReadFile, broken: dict[str, bytes | None]) -> None:
    data = docx_file(lambda document: document.add_paragraph("text"))
    with pytest.raises(UnreadableDocument):
        await read(with_parts(data, broken))
