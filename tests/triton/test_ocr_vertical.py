"""Mending of downward lines with a network that reads what it is told to; the real one reads in test_ocr_model.py."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_models.ocr.decoding import Pixels
from triton_models.ocr.recognition import ReadCharacter, ReadLine, RecognitionOptions, Recognizer, Steps
from triton_models.ocr.vertical import are_lying, gaps_of, mended, row

PITCH = 40
MARKS = {"、": (3, 3, 11, 11), "。": (3, 3, 11, 11), "ー": (4, 17, 36, 23), "　": (0, 0, 0, 0)}
"""In the lying cell: x0, y0, x1, y1. A comma stands top-right in the column, so top-left in the lying line."""


def lying(text: str) -> Pixels:
    """A lying line with a black square for each character, or a smaller shape for marks."""
    line = np.full((48, PITCH * len(text) + 8, 3), 255, dtype=np.uint8)
    for index, character in enumerate(text):
        x0, y0, x1, y1 = MARKS.get(character, (4, 4, 36, 36))
        left = 4 + PITCH * index
        line[4 + y0 : 4 + y1, left + x0 : left + x1] = 0
    return line


def read_of(text: str, skipped: str = "、。ー　") -> ReadLine:
    """What a network reads that skips those."""
    characters = [ReadCharacter(one, 0.9, 4 + PITCH * (i + 0.5)) for i, one in enumerate(text) if one not in skipped]
    return ReadLine(tuple(characters))


def gap_cells(text: str) -> list[tuple[int, int]]:
    return [(gap.at, len(gap.edges) - 1) for gap in gaps_of(lying(text), read_of(text))]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("日本語", []),
        ("日、本語", [(1, 1)]),
        ("日本ー。語", [(2, 2)]),
        ("ー日本語", [(0, 1)]),
        ("日本語。", [(3, 1)]),
        ("日　本語", []),
        ("日本　語、", [(3, 1)]),
        ("日、本ー語。", [(1, 1), (2, 1), (3, 1)]),
    ],
)
def test_ink_without_a_character_is_a_gap(text: str, cells: list[tuple[int, int]]) -> None:
    assert gap_cells(text) == cells


def test_edges_of_a_gap_go_around_its_ink() -> None:
    (gap,) = gaps_of(lying("日、本語"), read_of("日、本語"))
    assert gap.edges[0] <= 4 + PITCH + 3
    assert gap.edges[1] >= 4 + PITCH + 11
    assert gap.pitch == pytest.approx(PITCH, abs=2)


def test_lines_that_are_not_of_wide_characters_have_no_gaps() -> None:
    assert gaps_of(lying("日、本語"), ReadLine(tuple(ReadCharacter("a", 0.9, x) for x in (24.0, 104.0, 144.0)))) == []
    assert gaps_of(lying("日、本語"), ReadLine()) == []


@given(st.lists(st.floats(1, 160), min_size=1, max_size=8), st.sampled_from([1, 12, 48, 200]))
def test_whatever_was_read_and_however_high_the_line_its_gaps_can_be_set(steps: list[float], height: int) -> None:
    middles = np.cumsum(steps).tolist()
    read = ReadLine(tuple(ReadCharacter("日", 0.9, middle) for middle in middles))
    ink = np.random.default_rng(0).integers(0, 2, (height, math.ceil(middles[-1]) + 30, 1)) * 255
    line = np.repeat(ink, 3, axis=2).astype(np.uint8)
    for gap in gaps_of(line, read):
        assert 0 <= gap.at <= len(middles)
        assert all(row(line, read, gap, lying=lying).size for lying in (False, True))


def test_rows_of_lying_characters_are_told_by_what_is_left_out() -> None:
    lines = ["日本、語ー学", "漢字。仮名ー"]
    assert are_lying([lying(text) for text in lines], [read_of(text) for text in lines])
    assert not are_lying([lying(text) for text in lines], [read_of(text, skipped="") for text in lines])
    assert not are_lying([], [])


def test_white_on_black_has_the_same_gaps() -> None:
    text = "日、本語。"
    assert gaps_of(255 - lying(text), read_of(text)) == gaps_of(lying(text), read_of(text))


def ink_place(image: Pixels, cell: int) -> tuple[float, float]:
    """The middle of the ink of a row's cell, as shares of the cell from its top-left corner."""
    margin = round(0.12 * PITCH)
    part = image[margin : margin + PITCH, margin + cell * PITCH : margin + (cell + 1) * PITCH, 0] < 128
    ys, xs = np.nonzero(part)
    return float(xs.mean() / PITCH), float(ys.mean() / PITCH)


def test_a_comma_is_set_where_a_row_has_it() -> None:
    line, read = lying("日、本語"), read_of("日、本語")
    (gap,) = gaps_of(line, read)
    x, y = ink_place(row(line, read, gap, lying=False), 1)
    assert x < 0.4
    assert y > 0.6


def test_a_long_vowel_mark_lies_in_the_lying_row() -> None:
    line, read = lying("ア、イーウ"), read_of("ア、イーウ")
    gap = gaps_of(line, read)[1]
    as_it_lies, upright = (row(line, read, gap, lying=way)[:, :, 0] < 128 for way in (True, False))
    middle = slice(round(0.12 * PITCH) + PITCH, round(0.12 * PITCH) + 2 * PITCH)
    assert as_it_lies[:, middle].any(axis=0).sum() > 2 * as_it_lies[:, middle].any(axis=1).sum()
    assert upright[:, middle].any(axis=1).sum() > 2 * upright[:, middle].any(axis=0).sum()


def recognizer_of(standing: int, lying: int, *, confidence: float = 0.9) -> Recognizer:
    """Reads in the middle of each row of three cells, alternately for standing and lying ones, a class."""

    def network(batch: np.typing.NDArray[np.float32]) -> Steps:
        count, steps = len(batch), batch.shape[3] // 8
        classes = np.zeros((count, steps), dtype=np.int32)
        scale = 48 / (PITCH + 2 * round(0.12 * PITCH))
        middle = int((round(0.12 * PITCH) + 1.5 * PITCH) * scale / 8)
        for index, image in enumerate(batch):
            dark = image[0] < 0
            columns = dark[:, (middle - 2) * 8 : (middle + 3) * 8]
            lies = columns.any(axis=0).sum() > columns.any(axis=1).sum()
            classes[index, middle] = lying if lies else standing
        return Steps(
            classes, np.full((count, steps), confidence, dtype=np.float32), np.zeros((count, steps), "float32")
        )

    return Recognizer(network, ("ー", "一", "ッ", "1", "（"), RecognitionOptions())


@pytest.mark.parametrize(
    ("before", "standing", "lying_class", "text"),
    [
        ("ア", 4, 2, "アーウ"),
        ("人", 4, 2, "人―ウ"),
        ("ア", 3, 5, "ア（ウ"),
        ("ア", 3, 4, "アッウ"),
        ("ア", 4, 3, "アウ"),
    ],
    ids=["a long vowel after kana", "a dash after others", "a bracket", "no sign that turns", "nothing that can be"],
)
def test_each_way_of_setting_is_believed_for_its_own_signs(
    before: str, standing: int, lying_class: int, text: str
) -> None:
    line, read = lying(f"{before}ーウ日本語"), read_of(f"{before}ーウ日本語")
    (one,) = mended([line], [read], recognizer_of(standing, lying_class))
    assert one.text == text + "日本語"
    assert [character.middle for character in one.characters] == sorted(c.middle for c in one.characters)


def test_an_unsure_reading_fills_no_gap() -> None:
    line, read = lying("アーウ日本"), read_of("アーウ日本")
    assert mended([line], [read], recognizer_of(4, 2, confidence=0.2)) == [read]


def test_lines_without_gaps_cost_no_reading() -> None:
    def network(batch: np.typing.NDArray[np.float32]) -> Steps:
        raise AssertionError

    lines, read = [lying("日本語")], [read_of("日本語")]
    assert mended(lines, read, Recognizer(network, (), RecognitionOptions())) == read


def test_a_skewed_scan_s_grey_ground_is_no_ink() -> None:
    noise = np.random.default_rng(3).normal(0, 6, (48, PITCH * 4 + 8, 1))
    soft = cv2.GaussianBlur(lying("日、本語"), (0, 0), 1.0) * 0.8 + 40 + noise
    assert [gap.at for gap in gaps_of(np.clip(soft, 0, 255).astype(np.uint8), read_of("日、本語"))] == [1]
