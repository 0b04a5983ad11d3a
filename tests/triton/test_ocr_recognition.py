from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_models.ocr.recognition import (
    LINE_HEIGHT,
    ReadCharacter,
    ReadLine,
    RecognitionOptions,
    Recognizer,
    Steps,
    batches,
    best_path,
    padded_width,
    scaled_width,
)

OPTIONS = RecognitionOptions()
CHARACTERS = ("a", "b", "日", " ")


def path_of(classes: list[int], probability: float = 0.8) -> Steps:
    """Each step as likely as that; at steps of the space it is the space that is so likely."""
    steps = np.array(classes, dtype=np.int32)
    spaces = np.where(steps == len(CHARACTERS), probability, 0.001).astype(np.float32)
    return Steps(steps, np.full(len(steps), probability, dtype=np.float32), spaces)


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        ([0, 1, 1, 1, 0], "a"),
        ([1, 0, 1], "aa"),
        ([1, 2, 2, 4, 0, 3], "ab 日"),
        ([0, 0, 0], ""),
        ([], ""),
    ],
)
def test_repeats_collapse_and_blanks_separate(classes: list[int], text: str) -> None:
    assert best_path(path_of(classes), CHARACTERS, 8.0).text == text


def test_confidence_is_the_mean_over_the_characters_alone() -> None:
    steps = path_of([0, 1, 4, 2])
    steps.probabilities[1], steps.probabilities[3] = 0.9, 0.5
    assert best_path(steps, CHARACTERS, 8.0).confidence == pytest.approx(0.7)
    assert best_path(path_of([0, 0]), CHARACTERS, 8.0).confidence == 0.0


def test_a_character_stands_where_it_is_likeliest() -> None:
    steps = path_of([0, 1, 1, 1, 0, 3])
    steps.probabilities[2] = 0.9
    read = best_path(steps, CHARACTERS, 10.0)
    assert [(one.text, one.middle) for one in read.characters] == [("a", 25.0), ("日", 55.0)]
    assert read.characters[0].confidence == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("classes", "space", "text"),
    [
        ([1, 0, 2], 0.2, "a b"),
        ([1, 0, 2], 0.01, "ab"),
        ([1, 0, 3], 0.2, "a日"),
        ([1, 4, 0, 2], 0.2, "a b"),
        ([1, 0, 4, 2], 0.2, "a b"),
    ],
    ids=["likely", "unlikely", "beside a wide character", "read before it", "read behind it"],
)
def test_a_narrow_space_that_the_blank_outweighs_is_read(classes: list[int], space: float, text: str) -> None:
    steps = path_of(classes)
    steps.spaces[[step for step, one in enumerate(classes) if one == 0]] = space
    assert best_path(steps, CHARACTERS, 8.0).text == text


@given(st.lists(st.floats(1, 40), min_size=1, max_size=20))
def test_extents_part_the_line_between_neighbours(steps: list[float]) -> None:
    middles = np.cumsum(steps).tolist()
    length = middles[-1] + 5
    extents = ReadLine(tuple(ReadCharacter("x", 1, middle) for middle in middles)).extents(length, 12.0)
    assert all(start <= middle <= end for middle, (start, end) in zip(middles, extents, strict=True))
    assert all(
        end - middle < 12.001 and middle - start < 12.001 for middle, (start, end) in zip(middles, extents, strict=True)
    )
    assert all(one[1] <= two[0] for one, two in pairwise(extents))
    assert extents[0][0] >= 0
    assert extents[-1][1] <= length
    assert ReadLine().extents(length, 12.0) == []


def test_spaces_at_the_ends_are_stripped() -> None:
    line = best_path(path_of([4, 1, 4, 2, 4]), CHARACTERS, 8.0)
    assert (line.text, line.stripped().text) == (" a b ", "a b")
    assert best_path(path_of([4, 0]), CHARACTERS, 8.0).stripped() == ReadLine()


@given(st.lists(st.integers(1, 6000), max_size=60))
def test_batches_hold_each_line_once_within_the_bounds(widths: list[int]) -> None:
    groups = list(batches(widths, OPTIONS))
    assert sorted(index for group in groups for index in group) == list(range(len(widths)))
    for group in groups:
        width = padded_width(max(widths[index] for index in group), OPTIONS)
        assert len(group) == 1 or (len(group) <= OPTIONS.max_batch and len(group) * width <= OPTIONS.batch_px)


def test_width_follows_the_aspect_ratio_up_to_the_limit() -> None:
    assert scaled_width(np.zeros((24, 100, 3), dtype=np.uint8), OPTIONS) == 200
    assert scaled_width(np.zeros((24, 100, 3), dtype=np.uint8), OPTIONS, 0.8) == 160
    assert scaled_width(np.zeros((1, 10_000, 3), dtype=np.uint8), OPTIONS) == OPTIONS.max_width_px


def test_results_come_in_the_order_of_the_lines_whatever_the_batches() -> None:
    """A network that reads a line's brightness: class 1, 2 or 3."""

    def network(batch: npt.NDArray[np.float32]) -> Steps:
        assert batch.shape[1:3] == (3, LINE_HEIGHT)
        brightness = ((batch[:, 0, 10, 4] + 1) * 127.5).round().astype(int)
        rows = [path_of([0, value // 50, 0]) for value in brightness]
        return Steps(*(np.stack(parts) for parts in zip(*rows, strict=True)))

    lines = [
        np.full((30, width, 3), value, dtype=np.uint8)
        for width, value in [(900, 100), (40, 50), (2000, 150), (41, 100), (500, 50)]
    ]
    read = Recognizer(network, CHARACTERS, OPTIONS).read(lines)
    assert [line.text for line in read] == ["b", "a", "日", "b", "a"]


def test_calls_at_once_give_each_line_its_own_result() -> None:
    """Two calls wait for each other, so they must be under way at once."""
    both = threading.Barrier(2, timeout=30)

    def network(batch: npt.NDArray[np.float32]) -> Steps:
        both.wait()
        value = round(float((batch[0, 0, 10, 4] + 1) * 127.5))
        steps = path_of([0, value // 50, 0])
        return Steps(steps.classes[None], steps.probabilities[None], steps.spaces[None])

    options = replace(OPTIONS, batch_px=1, calls=2)
    lines = [np.full((48, 300 + value, 3), value, dtype=np.uint8) for value in (100, 50, 150, 101)]
    assert [line.text for line in Recognizer(network, CHARACTERS, options).read(lines)] == ["b", "a", "日", "b"]
