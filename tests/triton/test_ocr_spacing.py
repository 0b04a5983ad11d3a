"""Where the words of a line end, by a drawn line's ink."""

from __future__ import annotations

import numpy as np
import pytest

from triton_models.ocr.decoding import Pixels
from triton_models.ocr.recognition import ReadCharacter, ReadLine
from triton_models.ocr.spacing import extents

HEIGHT = 60


def drawn(*letters: tuple[int, int], width: int = 600, ground: int = 240, underlined: bool = False) -> Pixels:
    """Letters from x to x, as boxes of strokes."""
    line = np.full((HEIGHT, width, 3), ground, dtype=np.uint8)
    for x0, x1 in letters:
        line[14:46, [x0, x0 + 1, x1 - 2, x1 - 1]] = 20
        line[[14, 15, 44, 45], x0:x1] = 20
    if underlined:
        line[52:55] = 20
    return line


def read(*characters: tuple[str, float]) -> ReadLine:
    return ReadLine(tuple(ReadCharacter(text, 0.9, middle) for text, middle in characters))


WORDS = (40, 70), (74, 104), (190, 220), (224, 254)
"""Two words of two letters, 86 pixels apart."""


@pytest.mark.parametrize("underlined", [False, True])
@pytest.mark.parametrize("ground", [240, 130])
def test_a_space_is_what_is_blank_between_words(underlined: bool, ground: int) -> None:
    """Its middle was read too far to the left."""
    line = read(("a", 55), ("b", 89), (" ", 115), ("c", 205), ("d", 239))
    found = extents(line, drawn(*WORDS, ground=ground, underlined=underlined))
    assert found.tolist() == [[40, 72], [72, 104], [104, 190], [190, 222], [222, 254]]


def test_a_gap_is_one_also_where_no_space_was_read() -> None:
    found = extents(read(("a", 55), ("b", 89), ("c", 205), ("d", 239)), drawn(*WORDS))
    assert found[1:3].tolist() == [[72, 104], [190, 222]]


def test_neighbours_meet_halfway() -> None:
    found = extents(read(("a", 55), ("b", 89)), drawn((40, 70), (80, 104)))
    assert found.tolist() == [[40, 72], [72, 104]]


def test_a_speck_between_words_is_no_ink() -> None:
    line = drawn(*WORDS)
    line[30:32, 140] = 20
    found = extents(read(("a", 55), ("b", 89), (" ", 147), ("c", 205), ("d", 239)), line)
    assert found[2].tolist() == [104, 190]


@pytest.mark.parametrize("value", [240, 0])
def test_a_line_without_ink_keeps_what_the_network_told(value: int) -> None:
    blank = np.full((HEIGHT, 600, 3), value, dtype=np.uint8)
    found = extents(read(("a", 55), (" ", 100), ("b", 145)), blank)
    assert found.tolist() == [[19, 77.5], [77.5, 122.5], [122.5, 181]]
    assert extents(ReadLine(), blank).shape == (0, 2)
