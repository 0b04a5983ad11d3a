"""PDFs: places, turns, order, tables, and pages without usable text."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest
from matplotlib import font_manager
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from server.adapters.reading import pdf
from server.adapters.reading.pdf import PdfFile, PdfOptions
from server.adapters.reading.pdf_content import PageContent, read_content
from server.application.reading_ports import PageImage
from server.domain.documents import BlockKind, Box, Page
from server.domain.errors import EncryptedDocument, UnreadableDocument
from tests.server.reading.conftest import (
    HEIGHT,
    SHARED_LOOP,
    WIDTH,
    ReadFile,
    draw,
    put,
    put_image,
    put_lines,
    text_of,
    turned,
)

pytestmark = SHARED_LOOP

PROSE = (
    "The harbour was built by the families of the",
    "coast in the year of the great storm. It has",
    "two basins and a dry dock for small ships.",
    "The older basin is closed during the winter.",
    "Boats are moored at the north quay instead.",
)


def only_page(pages: list[Page | PageImage]) -> Page:
    assert len(pages) == 1
    assert isinstance(pages[0], Page)
    return pages[0]


def line_box(page: Page, text: str) -> Box:
    found = [line.box for block in page.blocks for line in block.lines if line.text == text]
    assert len(found) == 1
    assert found[0] is not None
    return found[0]


def near(box: Box, x0: float, y0: float, x1: float, y1: float, tolerance: float = 4.0) -> bool:
    """Boxes take in the font's ascent and descent, so vertical edges may be some points away."""
    return max(abs(box.x0 - x0), abs(box.y0 - y0), abs(box.x1 - x1), abs(box.y1 - y1)) <= tolerance


async def test_boxes_are_where_the_text_was_drawn(read: ReadFile) -> None:
    page = only_page(await read(draw(lambda c: put(c, 50, 100, "Twelve points", 12))))
    assert (page.width, page.height) == (WIDTH, HEIGHT)
    width = Canvas(io.BytesIO()).stringWidth("Twelve points", "Helvetica", 12)
    assert near(line_box(page, "Twelve points"), 50, 100 - 9, 50 + width, 100 + 3)


@pytest.mark.parametrize(
    ("rotation", "box"),
    [
        (90, (HEIGHT - 103, 50, HEIGHT - 91, 122)),
        (180, (WIDTH - 122, HEIGHT - 103, WIDTH - 50, HEIGHT - 91)),
        (270, (91, WIDTH - 122, 103, WIDTH - 50)),
    ],
)
async def test_boxes_follow_the_rotation_of_the_page(
    read: ReadFile, rotation: int, box: tuple[float, float, float, float]
) -> None:
    page = only_page(await read(turned(draw(lambda c: put(c, 50, 100, "Twelve points", 12)), rotation)))
    expected = (WIDTH, HEIGHT) if rotation == 180 else (HEIGHT, WIDTH)
    assert (page.width, page.height) == expected
    assert near(line_box(page, "Twelve points"), *box)


async def test_a_page_scanned_sideways_by_its_writer_reads_upright(read: ReadFile) -> None:
    """Text drawn at a right angle on a page that is turned back."""

    def sideways(canvas: Canvas) -> None:
        canvas.translate(120, 60)
        canvas.rotate(90)
        canvas.setFont("Helvetica", 12)
        canvas.drawString(0, 0, "First line here")
        canvas.drawString(0, -16, "Second line here")

    page = only_page(await read(turned(draw(sideways), 90)))
    assert text_of(page) == ["First line here", "Second line here"]
    assert line_box(page, "First line here").y1 < line_box(page, "Second line here").y1


async def test_boxes_count_from_the_crop_box(read: ReadFile) -> None:
    data = draw(lambda c: put(c, 50, 100, "Twelve points", 12), crop=(20, 30, WIDTH - 10, HEIGHT - 40))
    page = only_page(await read(data))
    assert (page.width, page.height) == (WIDTH - 30, HEIGHT - 70)
    assert near(line_box(page, "Twelve points"), 30, 100 - 9 - 40, 102, 100 + 3 - 40)


async def test_headings_and_paragraphs(read: ReadFile) -> None:
    def drawn(canvas: Canvas) -> None:
        put(canvas, 40, 50, "The Harbour", 22)
        put_lines(canvas, 40, 80, PROSE)
        put(canvas, 40, 170, "Basins", 16)
        put_lines(canvas, 40, 190, PROSE)

    page = only_page(await read(draw(drawn)))
    assert [(block.kind, block.level) for block in page.blocks] == [
        (BlockKind.HEADING, 1),
        (BlockKind.PARAGRAPH, 0),
        (BlockKind.HEADING, 2),
        (BlockKind.PARAGRAPH, 0),
    ]
    assert tuple(line.text for line in page.blocks[1].lines) == PROSE


async def test_columns_are_read_one_after_the_other_between_what_crosses_them(read: ReadFile) -> None:
    left = [f"left column line number {n} of text" for n in range(8)]
    right = [f"right column line number {n} of text" for n in range(8)]

    def drawn(canvas: Canvas) -> None:
        put(canvas, 40, 50, "A title that runs across both of the columns of it", 14)
        for number in range(8):  # drawn row by row: the file's order is not the reading order
            put(canvas, 30, 80 + number * 13, left[number], 10)
            put(canvas, 215, 80 + number * 13, right[number], 10)

    page = only_page(await read(draw(drawn)))
    assert text_of(page)[1:] == left + right


CELLS = (("Ship", "Built", "Crew"), ("Grey Plover", "1997", "12"), ("Little Auk", "2016", "5"), ("Tern", "1931", "9"))
ROWS = ["| Ship | Built | Crew |", "| Grey Plover | 1997 | 12 |", "| Little Auk | 2016 | 5 |", "| Tern | 1931 | 9 |"]


def draw_table(canvas: Canvas, ruled: bool, pitch: float = 18) -> None:
    put_lines(canvas, 40, 40, PROSE)
    for r, row in enumerate(CELLS):
        for c, cell in enumerate(row):
            put(canvas, 44 + 90 * c, 134 + pitch * r, cell, 11)
    if ruled:
        xs, ys = [40 + 90 * c for c in range(4)], [HEIGHT - 120 - pitch * r for r in range(5)]
        canvas.grid(xs, ys)
    put_lines(canvas, 40, 240, PROSE)


@pytest.mark.parametrize("ruled", [True, False])
async def test_every_row_of_a_table_is_one_line(read: ReadFile, ruled: bool) -> None:
    page = only_page(await read(draw(lambda c: draw_table(c, ruled))))
    assert [block.kind for block in page.blocks] == [BlockKind.PARAGRAPH, BlockKind.TABLE, BlockKind.PARAGRAPH]
    assert [line.text for line in page.blocks[1].lines] == ROWS
    box = page.blocks[1].lines[1].box
    assert box is not None
    assert near(box, 44, 134 + 18 - 9, 44 + 180 + 12, 134 + 18 + 3)


async def test_two_columns_of_prose_are_no_table(read: ReadFile) -> None:
    def drawn(canvas: Canvas) -> None:
        for number, line in enumerate(PROSE):
            put(canvas, 30, 60 + 13 * number, line[:32], 9)
            put(canvas, 220, 60 + 13 * number, line[:32], 9)

    page = only_page(await read(draw(drawn)))
    assert all(block.kind is not BlockKind.TABLE for block in page.blocks)


def picture(width: int = 800, height: int = 1000) -> bytes:
    target = io.BytesIO()
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (height, width), np.uint8)).save(target, "JPEG")
    return target.getvalue()


async def test_pages_without_usable_text_come_as_images(read: ReadFile) -> None:
    def with_a_stamp(canvas: Canvas) -> None:
        put_image(canvas, picture())
        put(canvas, 40, 490, "Received 12 May")

    data = draw(lambda c: put_lines(c, 40, 50, PROSE), lambda c: put_image(c, picture()), with_a_stamp)
    born_digital, scanned, stamped = await read(data)
    assert isinstance(born_digital, Page)
    for number, page in ((2, scanned), (3, stamped)):
        assert isinstance(page, PageImage)
        assert (page.number, page.width, page.height) == (number, WIDTH, HEIGHT)
        with Image.open(io.BytesIO(page.image)) as image:
            assert image.mode == "L"
            assert image.width == pytest.approx(WIDTH * 300 / 72, abs=2)
            assert page.scale == pytest.approx(image.width / WIDTH)
        assert len(page.image) < 10_000_000


def put_invisibly(canvas: Canvas, lines: tuple[str, ...]) -> None:
    text = canvas.beginText(40, HEIGHT - 50)
    text.setFont("Helvetica", 12)
    text.setTextRenderMode(3)
    text.textLines("\n".join(lines))
    canvas.drawText(text)


async def test_invisible_text_under_a_scan_is_not_the_pages_text(read: ReadFile) -> None:
    """What an older OCR left there; nobody sees it."""

    def scanned(canvas: Canvas) -> None:
        put_image(canvas, picture())
        put_invisibly(canvas, PROSE * 3)

    def captioned(canvas: Canvas) -> None:
        put_lines(canvas, 40, 50, PROSE * 3)
        put_invisibly(canvas, PROSE)
        canvas.rect(40, 300, 50, 50)

    under, beside, alone = await read(draw(scanned, captioned, lambda c: put_invisibly(c, PROSE)))
    assert isinstance(under, PageImage)
    assert isinstance(beside, Page), "most of what it has is seen"
    assert isinstance(alone, Page), "there is nothing else to read"


@pytest.mark.parametrize("offset", [0xE000, 0xF0000], ids=["private use", "supplementary private use"])
async def test_text_in_characters_without_a_meaning_is_not_used(read: ReadFile, offset: int) -> None:
    """A font whose mapping to Unicode leads nowhere, on a page that looks like any other."""
    name = "DejaVu Sans"
    pdfmetrics.registerFont(TTFont(name, font_manager.findfont(name)))
    garbage = tuple("".join(chr(offset + ord(c)) if c.isalpha() else c for c in line) for line in PROSE)

    def drawn(canvas: Canvas) -> None:
        canvas.setFont(name, 10)
        for number, line in enumerate(garbage):
            canvas.drawString(40, HEIGHT - 60 - 14 * number, line)

    (page,) = await read(draw(drawn))
    assert isinstance(page, PageImage)


async def test_words_that_run_together_are_read_from_the_picture(read: ReadFile) -> None:
    """Spaces are in the gaps between letters or nowhere; a few long words are nothing unusual."""
    (together,) = await read(draw(lambda c: put_lines(c, 40, 50, tuple(line.replace(" ", "") for line in PROSE))))
    assert isinstance(together, PageImage)
    address = "https://example.org/archive/documentsofthecommission/sessionofnineteenhundredandone"
    (sound,) = await read(draw(lambda c: put_lines(c, 40, 50, (*PROSE, address))))
    assert isinstance(sound, Page)


async def test_a_rendered_page_is_bounded(read: ReadFile) -> None:
    size = (10_000.0, 8_000.0)
    (page,) = await read(draw(lambda c: c.rect(100, 100, 5000, 5000, fill=1), size=size))
    assert isinstance(page, PageImage)
    with Image.open(io.BytesIO(page.image)) as image:
        assert image.width * image.height <= 25_100_000


async def test_an_empty_page_is_a_page_without_blocks(read: ReadFile) -> None:
    page = only_page(await read(draw(lambda c: None)))
    assert page.blocks == ()


async def test_reading_starts_where_it_is_told(read: ReadFile) -> None:
    pages = [lambda c, n=n: put(c, 40, 60, f"This is page {n}") for n in range(1, 5)]
    assert [page.number for page in await read(draw(*pages), first=3)] == [3, 4]


@pytest.mark.parametrize(("kept", "looks"), [(10_000, 12), (0, 12 + 6)], ids=["kept", "too large to be kept"])
async def test_what_was_sampled_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int, looks: int
) -> None:
    """Six of twelve pages tell the size of most characters; the one that is read first is none of them."""
    looked_at: list[pdfium.PdfPage] = []

    def counted(page: pdfium.PdfPage) -> PageContent:
        looked_at.append(page)
        return read_content(page)

    def drawn(number: int) -> Callable[[Canvas], None]:
        def page(canvas: Canvas) -> None:
            put(canvas, 40, 60, f"Quay {number}", size=24 if number % 3 else 12)
            put_lines(canvas, 40, 120, PROSE)

        return page

    monkeypatch.setattr(pdf, "read_content", counted)
    monkeypatch.setattr(pdf, "_MOST_KEPT_GLYPHS", kept)
    path = tmp_path / "upload"
    path.write_bytes(draw(*(drawn(number) for number in range(1, 13))))
    with contextlib.closing(PdfFile(path, PdfOptions(), 100)) as file:
        order = (2, 1, *range(3, 13))
        pages = [file.read(number) for number in order]
    assert len(looked_at) == looks
    assert [text_of(page)[0] for page in pages] == [f"Quay {number}" for number in order]


async def test_an_encrypted_document_is_named_as_such(read: ReadFile) -> None:
    data = draw(lambda c: put(c, 40, 60, "Secret text"), encrypt=StandardEncryption("user", "owner"))
    with pytest.raises(EncryptedDocument):
        await read(data)


async def test_a_document_that_opens_without_password_is_read(read: ReadFile) -> None:
    data = draw(lambda c: put(c, 40, 60, "Printed text"), encrypt=StandardEncryption("", "owner"))
    assert text_of(only_page(await read(data))) == ["Printed text"]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.7, 0.9])
async def test_a_document_that_was_cut_off_is_refused(read: ReadFile, share: float) -> None:
    data = draw(*[lambda c: put_lines(c, 40, 50, PROSE)] * 6)
    with pytest.raises(UnreadableDocument):
        await read(data[: int(len(data) * share)])


async def test_a_document_that_lost_only_its_last_bytes_is_repaired(read: ReadFile) -> None:
    data = draw(*[lambda c: put_lines(c, 40, 50, PROSE)] * 3)
    pages = await read(data[: data.rindex(b"startxref")])
    assert [text_of(page) for page in pages] == [list(PROSE)] * 3


async def test_a_huge_page_is_refused(read: ReadFile) -> None:
    with pytest.raises(UnreadableDocument):
        await read(draw(lambda c: put(c, 1, 1, "far away"), size=(200_000.0, 200_000.0)))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Table 3: Fares of the ferries", BlockKind.CAPTION),
        ("Figure 7-26. Self-locking nuts", BlockKind.CAPTION),
        ("Fig. 2 The quay", BlockKind.CAPTION),
        ("Table 3 shows that fares are low", BlockKind.PARAGRAPH),
        ("Charts are sold at the quay", BlockKind.PARAGRAPH),
    ],
)
async def test_captions_are_told_from_sentences(read: ReadFile, text: str, kind: BlockKind) -> None:
    def drawn(canvas: Canvas) -> None:
        put_lines(canvas, 40, 60, PROSE)
        put(canvas, 40, 200, text)

    page = only_page(await read(draw(drawn)))
    assert [block.kind for block in page.blocks if block.lines[0].text == text] == [kind]
