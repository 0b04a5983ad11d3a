"""Files made to harm whoever opens them end with a reason, and the process that read them goes on."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas
from structlog.testing import capture_logs

from server.adapters.document_reader import FileDocumentReader
from server.domain.errors import UnreadableDocument, UnsupportedFormat
from tests.server.reading.conftest import SHARED_LOOP, ReadFile, draw, put, reader_processes, text_of
from tests.server.reading.office_files import docx_file, part, pptx_file, put_text, with_parts, xlsx_file

pytestmark = SHARED_LOOP

DOCX = docx_file(lambda document: document.add_paragraph("text"))
PPTX = pptx_file(lambda slide: put_text(slide, 1, 1, "text"))
XLSX = xlsx_file(lambda workbook: workbook.active.append(["a", "b"]))


@pytest.fixture(autouse=True)
def survived(reader: FileDocumentReader) -> Iterator[None]:
    """No process was lost in the test."""
    before = set(reader_processes())
    with capture_logs() as logs:
        yield
    assert [entry for entry in logs if entry["event"] == "document_reader_ended"] == []
    assert before <= set(reader_processes())


def packed_zeros(data: bytes, name: str, size: int) -> bytes:
    """The archive with a part of zeros, without ever holding them."""
    target = io.BytesIO(data)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as entry:
        for _ in range(size // 2**20):
            entry.write(bytes(2**20))
    return target.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [(DOCX, "word/media/image1.png"), (PPTX, "ppt/slides/slide2.xml"), (XLSX, "xl/sharedStrings2.xml")],
    ids=["docx", "pptx", "xlsx"],
)
async def test_what_unpacks_to_much_more_than_it_is_large_is_refused(read: ReadFile, data: bytes, name: str) -> None:
    bomb = packed_zeros(data, name, 12 * 2**20)
    assert len(bomb) < 200_000
    with pytest.raises(UnreadableDocument, match="unpacks to more than 200 times"):
        await read(bomb)


async def test_entries_that_share_their_bytes_do_not_hide_how_much_they_unpack_to(read: ReadFile) -> None:
    """Each entry of the directory claims the same packed bytes, as the better zip bombs do."""
    bomb = packed_zeros(DOCX, "word/a", 8 * 2**20)
    end = bomb.rindex(b"PK\x05\x06")
    count, _, start = struct.unpack("<HII", bomb[end + 10 : end + 20])
    last = bomb.rindex(b"PK\x01\x02")
    copies = 200
    directory = bomb[start:end] + bomb[last:end] * copies
    tail = bomb[end : end + 8] + struct.pack("<HHII", count + copies, count + copies, len(directory), start)
    with pytest.raises(UnreadableDocument, match="unpacks to"):
        await read(bomb[:start] + directory + tail + b"\0\0")


async def test_other_ways_to_pack_are_refused(read: ReadFile) -> None:
    target = io.BytesIO(DOCX)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("word/other.xml", b"x" * 1000)
    with pytest.raises(UnreadableDocument, match="packed in a way"):
        await read(target.getvalue())


async def test_an_archive_whose_packed_bytes_are_damaged_is_refused(read: ReadFile) -> None:
    """Where the list of its contents is, by which it is told what it is."""
    damaged = bytearray(DOCX)
    start = DOCX.index(b"[Content_Types].xml") + len("[Content_Types].xml")
    damaged[start : start + 8] = b"\xff" * 8
    with pytest.raises((UnreadableDocument, UnsupportedFormat)):
        await read(bytes(damaged))


async def test_many_parts_are_refused(read: ReadFile) -> None:
    with pytest.raises(UnreadableDocument, match="parts"):
        await read(with_parts(DOCX, {f"word/{number}": b"" for number in range(20_001)}))


async def test_names_that_lead_elsewhere_lead_nowhere(read: ReadFile, tmp_path: Path) -> None:
    outside = tmp_path.parent / "escaped"
    (page,) = await read(with_parts(DOCX, {f"../{outside.name}": b"x", f"{outside}": b"x"}))
    assert page.number == 1
    assert not outside.exists()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (DOCX, "word/document.xml"),
        (PPTX, "ppt/slides/slide1.xml"),
        (XLSX, "xl/workbook.xml"),
        (DOCX, "word/styles.xml"),
    ],
)
async def test_entities_that_grow_are_refused(read: ReadFile, data: bytes, name: str) -> None:
    steps = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "aaaaaaaaaa">{steps}]><x y="&e8;">&e8;</x>'
    with pytest.raises(UnreadableDocument):
        await read(with_parts(data, {name: bomb.encode()}))


async def test_a_pdf_that_claims_a_million_pages_is_refused(read: ReadFile) -> None:
    data = draw(lambda canvas: put(canvas, 9, 20, "text"))
    assert data.count(b"/Count 1 ") == 1
    for claimed in (
        data.replace(b"/Count 1 ", b"/Count 1000000 "),
        data.replace(b"/Count 1 ", b"/Count 1000000 ")[:-40],
    ):
        with pytest.raises(UnreadableDocument, match=r"pages|broken"):
            await read(claimed)


async def test_pages_of_a_tiff_that_go_in_a_circle_end(read: ReadFile) -> None:
    entries = b"".join(
        struct.pack("<HHII", tag, 3, 1, value)
        for tag, value in ((256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 8), (279, 64))
    )
    directory = struct.pack("<H", 9) + entries
    first = 8 + 64
    second = first + len(directory) + 4
    start = b"II*\0" + struct.pack("<I", first) + bytes(64)
    data = start + directory + struct.pack("<I", second) + directory + struct.pack("<I", first)
    assert [page.number for page in await read(data)] == [1, 2]


async def test_relations_that_lead_in_a_circle_or_outside_are_not_followed(read: ReadFile) -> None:
    relations = part(DOCX, "word/_rels/document.xml.rels")
    office = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    more = b"".join(
        b'<Relationship Id="r%d" Type="%s/%s" Target="%s" TargetMode="%s"/>' % (number, office, kind, target, mode)
        for number, (kind, target, mode) in enumerate(
            ((b"image", b"file:///etc/hostname", b"External"), (b"officeDocument", b"document.xml", b"Internal"))
        )
    )
    data = with_parts(DOCX, {"word/_rels/document.xml.rels": relations.replace(b"</Rel", more + b"</Rel")})
    (page,) = await read(data)
    assert text_of(page) == ["text"]


async def test_text_scaled_beyond_all_numbers_is_passed_over(read: ReadFile) -> None:
    def page(canvas: Canvas) -> None:
        put(canvas, 20, 60, "Text at its place")
        for _ in range(60):
            canvas.transform(40, 0, 0, 40, 200, 60)
            put(canvas, 5, 9, "larger")

    (read_page,) = await read(draw(page))
    assert "Text at its place" in text_of(read_page)
