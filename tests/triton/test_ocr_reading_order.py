from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from triton_models.ocr.document import PageCharacters, PageLine
from triton_models.ocr.reading_order import in_reading_order, is_downward_page, separator
from triton_models.ocr.rules import Segments, no_rules


def line(text: str, x0: float, y0: float, x1: float, y1: float, confidence: float = 1.0) -> PageLine:
    quad = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float32)
    return PageLine(text, confidence, quad, vertical=(y1 - y0) > 1.5 * (x1 - x0))


def texts(lines: list[PageLine], rules: Segments | None = None) -> list[str]:
    return [line.text for line in in_reading_order(lines, no_rules() if rules is None else rules)]


def column(name: str, count: int, x0: float, x1: float, top: float) -> list[PageLine]:
    return [line(f"{name}{i}", x0, top + 30 * i, x1, top + 30 * i + 20) for i in range(count)]


def shuffled(lines: list[PageLine]) -> list[PageLine]:
    order = np.random.default_rng(7).permutation(len(lines))
    return [lines[i] for i in order]


def test_rows_go_from_top_to_bottom() -> None:
    assert texts(shuffled(column("a", 6, 50, 500, 40))) == [f"a{i}" for i in range(6)]


def test_two_columns_under_a_title_are_read_one_after_the_other() -> None:
    left, right = column("l", 6, 50, 480, 100), column("r", 6, 520, 950, 110)
    title, footer = line("title", 200, 20, 800, 60), line("footer", 100, 400, 900, 420)
    expected = ["title", *(f"l{i}" for i in range(6)), *(f"r{i}" for i in range(6)), "footer"]
    assert texts(shuffled([*right, *left, title, footer])) == expected


def test_three_columns() -> None:
    columns = [column(name, 8, x, x + 280, 50 + x / 50) for name, x in (("a", 0), ("b", 320), ("c", 640))]
    expected = [f"{name}{i}" for name in "abc" for i in range(8)]
    assert texts(shuffled([item for one in columns for item in one])) == expected


def test_a_line_across_the_gutter_parts_the_columns_above_from_those_below() -> None:
    above = [*column("a", 5, 50, 480, 100), *column("b", 5, 520, 950, 100)]
    below = [*column("c", 5, 50, 480, 400), *column("d", 5, 520, 950, 400)]
    heading = line("heading", 50, 320, 950, 345)
    names = [*(f"a{i}" for i in range(5)), *(f"b{i}" for i in range(5)), "heading"]
    assert texts(shuffled([*above, heading, *below])) == [*names, *(f"{c}{i}" for c in "cd" for i in range(5))]


def test_a_narrow_column_beside_the_text_is_read_by_itself() -> None:
    text = column("t", 9, 50, 600, 100)
    aside = [line(f"n{i}", 660, 107 + 37 * i, 740, 107 + 37 * i + 15) for i in range(6)]
    assert texts(shuffled([*text, *aside])) == [*(f"t{i}" for i in range(9)), *(f"n{i}" for i in range(6))]


HEAD = line("heading", 50, 360, 950, 390)
TITLE = line("title", 200, 20, 800, 60)
LAYOUTS = {
    "columns of two widths": [[TITLE], column("a", 12, 50, 620, 100), column("b", 11, 660, 950, 108)],
    "widths that change": [
        *(column("a", 8, 50, 620, 100), column("b", 8, 660, 950, 100)),
        [HEAD],
        *(column("c", 8, 50, 320, 420), column("d", 8, 360, 950, 420)),
    ],
    "one column beside two": [
        *(column("a", 6, 50, 640, 100), column("b", 9, 50, 320, 300), column("c", 9, 360, 640, 300)),
        column("d", 16, 680, 950, 100),
    ],
    "a story over three columns": [
        *([TITLE], column("a", 6, 50, 950, 90)),
        *(column("b", 9, 50, 320, 300), column("c", 9, 360, 640, 300), column("d", 9, 680, 950, 300)),
    ],
    "a picture in a column": [
        column("a", 20, 50, 480, 100),
        *(column("b", 6, 520, 950, 100), [line("caption", 560, 560, 910, 580)], column("c", 4, 520, 950, 610)),
    ],
    "a picture over the gutter": [
        *(column("a", 8, 50, 480, 100), column("b", 8, 520, 950, 100)),
        [line("caption", 300, 600, 700, 620)],
        *(column("c", 6, 50, 480, 660), column("d", 6, 520, 950, 660)),
    ],
    "pictures that leave few lines": [
        *(column("a", 3, 50, 480, 100), [line("caption", 90, 400, 440, 420)], column("b", 3, 50, 480, 460)),
        column("c", 15, 520, 950, 100),
    ],
    "columns that end soon": [
        *(column("a", 8, 50, 480, 100), column("b", 8, 520, 950, 100)),
        *([HEAD], column("c", 2, 50, 480, 420), column("d", 1, 520, 950, 420)),
    ],
    "columns that begin late": [
        *(column("a", 3, 50, 480, 250), column("b", 3, 520, 950, 250)),
        *([HEAD], column("c", 8, 50, 480, 420), column("d", 8, 520, 950, 420)),
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_columns_and_what_is_set_between_them(layout: str) -> None:
    parts = LAYOUTS[layout]
    assert texts(shuffled([item for part in parts for item in part])) == [item.text for part in parts for item in part]


def test_a_rule_over_the_gutter_ends_the_columns_above_it() -> None:
    above = [column("a", 6, 50, 480, 100), column("b", 6, 520, 950, 100)]
    below = [column("c", 6, 50, 480, 330), column("d", 6, 520, 950, 330)]
    lines = shuffled([item for part in (*above, *below) for item in part])
    rules = np.array([[[40, 304], [960, 306]], [[50, 80], [480, 80]]], dtype=np.float32)
    assert texts(lines, rules) == [item.text for part in (*above, *below) for item in part]
    assert texts(lines) == [f"{name}{i}" for names in ("ac", "bd") for name in names for i in range(6)]


def test_a_frame_among_the_columns_does_not_end_them() -> None:
    columns = [column(name, 14, x, x + 280, 100) for name, x in (("a", 0), ("b", 320), ("c", 640))]
    columns[1] = [*columns[1][:4], *columns[1][9:]]
    frame = np.array([[[290, 225], [700, 225]], [[290, 360], [700, 360]]], dtype=np.float32)
    assert texts(shuffled([item for part in columns for item in part]), frame) == [
        item.text for part in columns for item in part
    ]


def test_pieces_with_a_rule_between_them_are_not_joined() -> None:
    """The boxes of both reach over it a little."""
    cells = [line("Plover", 50, 10, 152, 30), line("1997", 148, 11, 260, 31)]
    rule = np.array([[[151, 0], [149, 90]]], dtype=np.float32)
    assert texts(cells) == ["Plover 1997"]
    assert texts(cells, rule) == ["Plover", "1997"]
    assert texts(cells, rule + np.float32(100)) == ["Plover 1997"]


def test_a_tables_columns_stay_rows() -> None:
    cells = [
        line(f"{name}{row}", x, 30 * row, x + 60, 30 * row + 20)
        for row in range(6)
        for name, x in zip("abc", (0, 300, 600), strict=True)
    ]
    assert texts(shuffled(cells)) == [f"{name}{row}" for row in range(6) for name in "abc"]


def test_pieces_of_a_row_become_a_line() -> None:
    (joined,) = in_reading_order(
        [line("of the year", 212, 11, 400, 31, 0.5), line("The best", 50, 10, 200, 30, 0.9)], no_rules()
    )
    assert joined.text == "The best of the year"
    assert joined.confidence == pytest.approx((0.9 * 8 + 0.5 * 11) / 19)
    assert joined.quad.tolist() == [[50, 10], [400, 11], [400, 31], [50, 30]]


def test_columns_set_close_together_are_not_joined() -> None:
    """The gutter is narrower than what joins two pieces of a row."""
    left, right = column("l", 6, 50, 490, 100), column("r", 6, 506, 950, 100)
    assert texts(shuffled([*left, *right])) == [*(f"l{i}" for i in range(6)), *(f"r{i}" for i in range(6))]


def test_a_few_rows_with_a_space_at_one_place_are_joined_still() -> None:
    left, right = column("l", 3, 50, 490, 100), column("r", 3, 506, 950, 100)
    assert texts(shuffled([*left, *right])) == [f"l{i} r{i}" for i in range(3)]


def test_a_quotation_set_into_the_gutter_does_not_part_the_columns() -> None:
    left, right = column("l", 12, 50, 480, 100), column("r", 12, 540, 950, 100)
    for lines in (left, right):
        for i in (5, 6):
            x0, x1 = (50, 400) if lines is left else (620, 950)
            lines[i] = line(f"{lines[i].text}", x0, 100 + 30 * i, x1, 120 + 30 * i)
    quotation = [line(f"q{i}", 420, 100 + 30 * i, 600, 120 + 30 * i) for i in (5, 6)]
    expected = [*(f"l{i}" for i in range(12)), *(f"r{i}" for i in range(12)), "q5", "q6"]
    assert texts(shuffled([*left, *right, *quotation])) == expected


def test_characters_of_joined_pieces_make_the_text() -> None:
    def with_characters(one: PageLine) -> PageLine:
        count = len(one.text)
        (x0, y0), (x1, y1) = one.quad[0].tolist(), one.quad[2].tolist()
        xs = np.linspace(x0, x1, count + 1)
        quads = [[[a, y0], [b, y0], [b, y1], [a, y1]] for a, b in pairwise(xs.tolist())]
        confidences = np.full(count, one.confidence, dtype=np.float32)
        return replace(one, characters=PageCharacters(tuple(one.text), confidences, np.array(quads, dtype=np.float32)))

    pieces = [line("The best", 50, 10, 200, 30, 0.9), line("of all", 212, 10, 400, 30, 0.5)]
    (joined,) = in_reading_order([with_characters(piece) for piece in pieces], no_rules())
    assert "".join(joined.characters.texts) == joined.text == "The best of all"
    assert joined.characters.confidences[8] == 0.5
    assert joined.characters.quads[8].tolist() == [[200, 10], [212, 10], [212, 30], [200, 30]]
    assert len(joined.characters.quads) == len(joined.text)


def test_far_apart_pieces_stay_apart() -> None:
    assert texts([line("Total", 50, 10, 120, 30), line("7.50", 400, 10, 460, 30)]) == ["Total", "7.50"]


@pytest.mark.parametrize(
    ("left", "right", "between"),
    [("one", "two", " "), ("日本", "語", ""), ("2024", "年", ""), ("、", "a", ""), ("", "a", "")],
)
def test_what_stands_between_pieces(left: str, right: str, between: str) -> None:
    assert separator(left, right) == between


def test_downward_lines_are_read_from_right_to_left() -> None:
    lines = [line(f"行{i}", 900 - 60 * i, 50, 930 - 60 * i, 700) for i in range(8)]
    assert is_downward_page(lines)
    assert texts(shuffled(lines)) == [f"行{i}" for i in range(8)]


def test_tiers_of_downward_lines_are_read_one_after_the_other() -> None:
    upper = [line(f"上{i}", 900 - 60 * i, 50, 930 - 60 * i, 460) for i in range(8)]
    lower = [line(f"下{i}", 905 - 60 * i, 520, 935 - 60 * i, 930) for i in range(8)]
    assert texts(shuffled([*upper, *lower])) == [*(f"上{i}" for i in range(8)), *(f"下{i}" for i in range(8))]


@pytest.mark.parametrize("degrees", [-6, 6])
def test_a_skewed_page_is_read_along_its_own_rows(degrees: float) -> None:
    """Rows of two far pieces each, so skewed that the right piece is level with a neighbouring row's left one."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    level = [
        line(f"{side}{row}", x, 40 * row, x + 120, 40 * row + 22)
        for row in range(5)
        for side, x in (("l", 0), ("r", 700))
    ]
    skewed = [PageLine(item.text, 1.0, (item.quad @ turn).astype(np.float32)) for item in level]
    rows = [(item.text[1], item.text[0]) for item in in_reading_order(shuffled(skewed), no_rules())]
    assert rows == sorted(rows)


def test_an_empty_page_has_no_lines() -> None:
    assert in_reading_order([], no_rules()) == []
