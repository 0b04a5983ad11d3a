"""Tables in PDFs: drawn from a seed, read back, every cell looked for in its row and its column."""

from __future__ import annotations

import io
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from server.domain.documents import BlockKind, Page
from tests.server.reading.conftest import HEIGHT, SHARED_LOOP, ReadFile, draw, put, put_lines, text_of

pytestmark = SHARED_LOOP

_ENGLISH = ("Grey Plover", "diesel", "Port Ansel", "the north quay", "battery", "Storm Petrel", "none", "methanol")
_JAPANESE = ("港の倉庫", "傘", "電子機器", "保管場所", "金庫室", "営業時間", "料金", "北埠頭")
_PROSE = "The harbour was built by the families of the coast in the year of the great storm, as everybody knows. " * 2
# Of the cells of tables without rules; with rules every cell is wanted.
_LEAST_WITHOUT_RULES = 0.97

Grid = list[list[str]]


def random_grid(random: Random, words: Sequence[str], empty: float) -> Grid:
    """A head, a name in the first column, then numbers or words; some cells empty, none of the head."""
    columns, rows = random.randint(3, 6), random.randint(3, 9)
    numeric = [random.random() < 0.6 for _ in range(columns)]
    grid = [[f"{random.choice(words)} {column}" for column in range(columns)]]
    for row in range(rows):
        cells = [f"{random.choice(words)} {row}"]
        for column in range(1, columns):
            text = f"{random.randint(1, 99_999):,}" if numeric[column] else random.choice(words)
            cells.append("" if random.random() < empty else text)
        grid.append(cells)
    return grid


def drawn(grids: Sequence[Grid], style: Sequence[Any], font: str) -> bytes:
    """A page for each table, with text above and below it."""
    pdfmetrics.registerFont(UnicodeCIDFont("HeiseiMin-W3"))
    target = io.BytesIO()
    prose = ParagraphStyle("prose", fontName=font, fontSize=10, leading=13)
    story: list[Flowable] = []
    for grid in grids:
        table = Table(grid, hAlign="LEFT")
        table.setStyle(TableStyle([("FONT", (0, 0), (-1, -1), font, 10), *style]))
        story += [Paragraph(_PROSE, prose), Spacer(1, 12), table, Spacer(1, 12), Paragraph(_PROSE, prose), PageBreak()]
    SimpleDocTemplate(target, pagesize=(600, 600)).build(story)
    return target.getvalue()


def tables_of(page: object) -> list[Grid]:
    assert isinstance(page, Page)
    rows = [[line.text for line in block.lines] for block in page.blocks if block.kind is BlockKind.TABLE]
    return [[[cell.strip() for cell in row[1:-1].split("|")] for row in table] for table in rows]


def recovered(grid: Grid, tables: Sequence[Grid]) -> int:
    """Cells with text that stand in the right row and column of the one table that was found."""
    if len(tables) != 1 or len(tables[0]) != len(grid):
        return 0
    pairs = zip(grid, tables[0], strict=True)
    return sum(cell != "" and row[at : at + 1] == [cell] for wanted, row in pairs for at, cell in enumerate(wanted))


@pytest.mark.parametrize(("font", "words"), [("Helvetica", _ENGLISH), ("HeiseiMin-W3", _JAPANESE)], ids=["en", "ja"])
@pytest.mark.parametrize("rules", ["all", "head", "none"])
async def test_cells_are_found_in_their_rows_and_columns(
    read: ReadFile, rules: str, font: str, words: Sequence[str]
) -> None:
    random = Random(f"{rules} {font}")
    grids = [random_grid(random, words, 0.25 if rules == "all" else 0.1) for _ in range(8)]
    style: dict[str, list[Any]] = {
        "all": [("GRID", (0, 0), (-1, -1), 0.5, "black")],
        "head": [("LINEBELOW", (0, 0), (-1, 0), 0.5, "black"), ("ALIGN", (1, 1), (-1, -1), "RIGHT")],
        "none": [],
    }
    pages = await read(drawn(grids, style[rules], font))
    found = sum(recovered(grid, tables_of(page)) for grid, page in zip(grids, pages, strict=False))
    wanted = sum(cell != "" for grid in grids for row in grid for cell in row)
    assert found >= (wanted if rules == "all" else _LEAST_WITHOUT_RULES * wanted)


def rule(canvas: Canvas, x0: float, top0: float, x1: float, top1: float) -> None:
    canvas.line(x0, HEIGHT - top0, x1, HEIGHT - top1)


async def test_values_part_the_rows_beside_wrapped_text(read: ReadFile) -> None:
    """One band between rules; the columns of marks say where its rows begin."""

    def page(canvas: Canvas) -> None:
        for top in (50, 70, 150):
            rule(canvas, 40, top, 360, top)
        for x in (40, 100, 280, 320, 360):
            rule(canvas, x, 50, x, 150)
        for x, text in ((45, "Part"), (105, "What to do"), (285, "A"), (325, "B")):
            put(canvas, x, 64, text, 10)
        put(canvas, 45, 84, "Doors", 10)
        put_lines(
            canvas,
            105,
            84,
            ["Lock all doors in the", "evening.", "Oil the hinges.", "Check the handles every", "week."],
            10,
        )
        for top, a, b in ((84, "1", "-"), (110, "-", "2"), (123, "3", "4")):
            put(canvas, 285, top, a, 10)
            put(canvas, 325, top, b, 10)

    (read_page,) = await read(draw(page))
    assert tables_of(read_page) == [
        [
            ["Part", "What to do", "A", "B"],
            ["Doors", "Lock all doors in the evening.", "1", "-"],
            ["", "Oil the hinges.", "-", "2"],
            ["", "Check the handles every week.", "3", "4"],
        ]
    ]


async def test_a_rule_from_top_to_bottom_parts_a_table_from_what_is_beside_it(read: ReadFile) -> None:
    rows = [("Tug", "12.5", "13.5"), ("Ferry", "40.0", "41.0"), ("Barge", "7.25", "7.50"), ("Raft", "1.00", "1.10")] * 4

    def page(canvas: Canvas) -> None:
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                put(canvas, 30 + 60 * column, 100 + 15 * number, f"{text} {number}" if column == 0 else text, 10)
            if number % 2:
                put(canvas, 300, 107 + 15 * number, f"a longer note beside {number}", 9)
        rule(canvas, 230, 80, 230, 350)

    (read_page,) = await read(draw(page))
    [table] = tables_of(read_page)
    assert table == [[f"{name} {number}", a, b] for number, (name, a, b) in enumerate(rows)]
    assert text_of(read_page)[len(rows) :] == [f"a longer note beside {number}" for number in range(1, len(rows), 2)]


async def test_a_head_over_several_columns_does_not_make_them_one(read: ReadFile) -> None:
    def page(canvas: Canvas) -> None:
        put(canvas, 60, 100, "Customer of the yard", 10)
        put(canvas, 250, 100, "Vehicle in repair", 10)
        for number, row in enumerate((("Name", "Ana", "Year", "2022"), ("Claim", "SF-1", "Make", "Jeep"))):
            for x, text in zip((50, 130, 240, 310), row, strict=True):
                put(canvas, x, 115 + 15 * number, text, 10)
        put(canvas, 240, 145, "Colour", 10)
        put(canvas, 310, 145, "White", 10)

    (read_page,) = await read(draw(page))
    assert tables_of(read_page) == [
        [
            ["Customer of the yard", "", "Vehicle in repair", ""],
            ["Name", "Ana", "Year", "2022"],
            ["Claim", "SF-1", "Make", "Jeep"],
            ["", "", "Colour", "White"],
        ]
    ]


async def test_a_rule_within_a_drawing_does_not_hide_the_one_that_parts_the_page(read: ReadFile) -> None:
    def page(canvas: Canvas) -> None:
        for number in range(16):
            put(canvas, 30, 100 + 15 * number, f"Ship {number}", 10)
            put(canvas, 110, 100 + 15 * number, f"{number}.25", 10)
            put(canvas, 170, 100 + 15 * number, f"{number}.50", 10)
            put(canvas, 290, 107 + 15 * number, f"point {number} of the chart", 8)
            if number % 2:
                put(canvas, 240, 107 + 15 * number, f"{number}", 8)
        for x in (230, 280, 390):
            rule(canvas, x, 80, x, 350)

    (read_page,) = await read(draw(page))
    assert tables_of(read_page)[0] == [[f"Ship {number}", f"{number}.25", f"{number}.50"] for number in range(16)]
