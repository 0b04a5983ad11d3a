"""Recognized lines as blocks of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from server.application.model_ports import RecognizedCharacter, RecognizedImage, RecognizedLine
from server.application.reading_ports import PageImage
from server.application.recognized_pages import page_from_recognition
from server.domain.documents import BlockKind, Box, Page

IMAGE = PageImage(number=3, width=500, height=700, image=b"", scale=2.0)


def line(text: str, x: float, y: float, height: float = 30, confidence: float = 0.9) -> RecognizedLine:
    """In pixels; characters as wide as half their height."""
    return RecognizedLine(text, confidence, Box(x, y, x + 0.5 * height * len(text), y + height))


def read(*lines: RecognizedLine) -> Page:
    return page_from_recognition(IMAGE, RecognizedImage(1000, 1400, lines))


Ends = tuple[float, float, float, float]
GRID: tuple[Ends, ...] = (
    *((100.0, float(y), 900.0, float(y)) for y in (300, 360, 420, 480, 540)),
    *((float(x), 300.0, float(x), 540.0) for x in (100, 400, 500, 700, 900)),
)
"""Four rows, four columns."""


def cells(rows: Sequence[Sequence[str]]) -> list[RecognizedLine]:
    return [
        spelt(text, x + 12, 315 + 60 * row)
        for row, texts in enumerate(rows)
        for text, x in zip(texts, (100, 400, 500, 700), strict=True)
        if text
    ]


def spelt(text: str, x: float, y: float) -> RecognizedLine:
    """With the boxes of its characters, each 15 pixels wide."""
    characters = [RecognizedCharacter(c, 0.9, Box(x + 15 * n, y, x + 15 * n + 15, y + 30)) for n, c in enumerate(text)]
    return RecognizedLine(text, 0.9, Box(x, y, x + 15 * len(text), y + 30), tuple(characters))


def turned(box: Box, angle: float) -> Box:
    """The upright rectangle around a box that is turned clockwise around the middle of the page."""
    xs, ys = zip(*(turned_point(x, y, angle) for x in (box.x0, box.x1) for y in (box.y0, box.y1)), strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))


def turned_point(x: float, y: float, angle: float) -> tuple[float, float]:
    cos, sin = math.cos(angle), math.sin(angle)
    return 500 + (x - 500) * cos - (y - 700) * sin, 700 + (x - 500) * sin + (y - 700) * cos


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


ROWS = (
    ("Ship and harbour", "Built", "Crew", "Route"),
    ("Plover", "1997", "", "to the isles"),
    ("", "2016", "5", "none"),
    ("Tern", "1931", "9", "around the bay"),
)


@pytest.mark.parametrize("angle", [0.0, 0.02, -0.03])
def test_cells_between_rules_are_a_table_also_where_the_page_lies_askew(angle: float) -> None:
    """Cells without text keep their places, and the boxes are where the text is on the page."""
    lines = [
        RecognizedLine(
            one.text,
            one.confidence,
            turned(one.box, angle),
            tuple(RecognizedCharacter(c.text, c.confidence, turned(c.box, angle)) for c in one.characters),
        )
        for one in (spelt("Above it stands a line of text.", 100, 200), *cells(ROWS), spelt("Below", 100, 600))
    ]
    rules = tuple((*turned_point(x0, y0, angle), *turned_point(x1, y1, angle)) for x0, y0, x1, y1 in GRID)
    page = page_from_recognition(IMAGE, RecognizedImage(1000, 1400, tuple(lines), rules, angle))
    assert shape(page) == [
        (BlockKind.PARAGRAPH, ["Above it stands a line of text."]),
        (BlockKind.TABLE, [f"| {' | '.join(row)} |" for row in ROWS]),
        (BlockKind.PARAGRAPH, ["Below"]),
    ]
    head = page.blocks[1].lines[0].box
    expected = turned(Box(112, 315, 712 + 15 * 5, 345), angle)
    assert head is not None
    assert [2 * edge for edge in (head.x0, head.y0, head.x1, head.y1)] == pytest.approx(
        [expected.x0, expected.y0, expected.x1, expected.y1], abs=0.5
    )


def test_a_line_that_runs_over_a_rule_is_cut_between_its_characters() -> None:
    """As a model that finds no rules itself reads it."""
    rows = [list(row) for row in ROWS]
    rows[1] = ["Plover, an old boat 1997", "", "7", "to the isles"]
    page = page_from_recognition(IMAGE, RecognizedImage(1000, 1400, tuple(cells(rows)), GRID))
    assert shape(page)[0][1][1] == "| Plover, an old boat | 1997 | 7 | to the isles |"


def test_a_cell_of_several_lines_stays_one_cell() -> None:
    rules = tuple(rule for rule in GRID if rule[1] != 420 or rule[0] == rule[2])
    rows = [list(row) for row in ROWS]
    rows[1:3] = [["Plover of the", "1997", "", "to the isles"], ["northern line", "", "", ""]]
    page = page_from_recognition(IMAGE, RecognizedImage(1000, 1400, tuple(cells(rows)), rules))
    assert shape(page)[0][1][1] == "| Plover of the northern line | 1997 |  | to the isles |"


GOODS = (
    ("Article", "Share", "Orders made"),
    ("harbour lantern", "63.26", "52,952"),
    ("ferry", "9,555", "264 60%"),
    ("rope of hemp", "15,216", "10,042"),
    ("anchor", "51.83", "842"),
)
"""The gap between the longest name and its share is narrower than a line is high."""


def open_row(texts: Sequence[str], y: float, *starts: float) -> RecognizedLine:
    """A row of cells that was read as one line: words are 6 pixels apart, cells begin at `starts`."""
    characters: list[RecognizedCharacter] = []
    for text, start in zip(texts, starts, strict=True):
        x = start
        for character in text:
            width = 6.0 if character == " " else 12.0
            characters.append(RecognizedCharacter(character, 0.9, Box(x, y, x + width, y + 30)))
            x += width
        characters.append(RecognizedCharacter(" ", 0.9, Box(x, y, x + 1, y + 30)))
    del characters[-1]
    box = Box(starts[0], y, characters[-1].box.x1, y + 30)
    return RecognizedLine("".join(c.text for c in characters), 0.9, box, tuple(characters))


def test_rows_of_a_table_that_were_read_as_lines_are_parted_into_cells() -> None:
    lines = [open_row(texts, 100 + 40 * row, 100, 300, 400) for row, texts in enumerate(GOODS)]
    assert shape(read(*lines)) == [(BlockKind.TABLE, [f"| {' | '.join(row)} |" for row in GOODS])]


def test_wide_spaces_of_justified_text_make_no_table() -> None:
    words = (
        ("ships", "enter", "while", "lamps"),
        ("other", "boats", "leave", "early"),
        ("their", "crews", "sleep", "still"),
    )
    justified = [open_row(texts, 100 + 40 * row, 100, 182, 264, 346) for row, texts in enumerate(words)]
    assert shape(read(*justified)) == [(BlockKind.PARAGRAPH, [" ".join(texts) for texts in words])]
    ragged = [
        open_row(("at 5", "in 6", "to 7"), 100 + 40 * row, 100, 170 + 23 * row, 260 + 31 * row) for row in range(4)
    ]
    assert shape(read(*ragged)) == [(BlockKind.PARAGRAPH, ["at 5 in 6 to 7"] * 4)]
