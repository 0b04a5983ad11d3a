"""Recognized lines as blocks of a page."""

from __future__ import annotations

from server.application.ports import PageImage, RecognizedImage, RecognizedLine
from server.application.recognized_pages import page_from_recognition
from server.domain.documents import BlockKind, Box, Page

IMAGE = PageImage(number=3, width=500, height=700, image=b"", scale=2.0)


def line(text: str, x: float, y: float, height: float = 30, confidence: float = 0.9) -> RecognizedLine:
    """In pixels; characters as wide as half their height."""
    return RecognizedLine(text, confidence, Box(x, y, x + 0.5 * height * len(text), y + height))


def read(*lines: RecognizedLine) -> Page:
    return page_from_recognition(IMAGE, RecognizedImage(1000, 1400, lines))


def shape(page: Page) -> list[tuple[BlockKind, list[str]]]:
    return [(block.kind, [line.text for line in block.lines]) for block in page.blocks]


def test_boxes_are_in_the_unit_of_the_page() -> None:
    page = read(line("One line", 100, 200))
    assert page.blocks[0].lines[0].box == Box(50, 100, 110, 115)
    assert (page.number, page.width, page.height, page.recognized) == (3, 500, 700, True)


def test_the_confidence_is_the_mean_of_the_lines() -> None:
    assert read(line("a b c", 0, 0, confidence=0.5), line("d e f", 0, 40, confidence=1.0)).confidence == 0.75
    assert read().confidence == 1.0


def test_titles_and_paragraphs() -> None:
    page = read(
        line("Inspection Report", 100, 50, height=55),
        line("The tower", 100, 150),
        line("The tower is 31 metres high and has many steps. It was", 100, 190),
        line("built of grey granite in 1874 and it stands on a rock.", 100, 230),
    )
    assert [(block.kind, block.level) for block in page.blocks] == [
        (BlockKind.HEADING, 1),
        (BlockKind.HEADING, 3),
        (BlockKind.PARAGRAPH, 0),
    ]


def test_lines_beside_each_other_become_one_and_cells_a_table() -> None:
    rows = [("Ship", "Built", "Crew"), ("Plover", "1997", "12"), ("Auk", "2016", "5"), ("Tern", "1931", "9")]
    cells = [line(cell, 100 + 300 * c, 100 + 45 * r) for r, row in enumerate(rows) for c, cell in enumerate(row)]
    page = read(*cells)
    assert shape(page) == [(BlockKind.TABLE, ["| " + " | ".join(row) + " |" for row in rows])]


def test_columns_stay_in_the_order_in_which_they_were_read() -> None:
    left = [line(f"left column has line {n} here", 50, 100 + 40 * n) for n in range(4)]
    right = [line(f"right column has line {n} here", 550, 100 + 40 * n) for n in range(4)]
    texts = [text for _, lines in shape(read(*left, *right)) for text in lines]
    assert texts == [made.text for made in (*left, *right)]


def test_vertical_lines_run_from_right_to_left() -> None:
    columns = (
        ("縦書きの題", 800, 60, 400),
        ("右の行はここから始まり、", 700, 30, 600),
        ("左の行で終わります。", 650, 30, 600),
    )
    lines = [RecognizedLine(text, 0.9, Box(x, 50, x + width, end)) for text, x, width, end in columns]
    page = read(*lines)
    assert shape(page) == [
        (BlockKind.HEADING, ["縦書きの題"]),
        (BlockKind.PARAGRAPH, ["右の行はここから始まり、", "左の行で終わります。"]),
    ]
    assert page.blocks[0].lines[0].box == Box(400, 25, 430, 200)


def test_a_page_on_its_side_reads_from_left_to_right() -> None:
    placed = (("It begins and", 100), ("ends here.", 150))
    lines = [RecognizedLine(text, 0.9, Box(x, 50, x + 30, 600)) for text, x in placed]
    page = read(*lines)
    assert shape(page) == [(BlockKind.PARAGRAPH, ["It begins and", "ends here."])]
    assert page.blocks[0].lines[1].box == Box(75, 25, 90, 300)
