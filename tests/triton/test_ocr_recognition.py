from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_models.ocr.recognition import (
    LINE_HEIGHT,
    RecognitionOptions,
    Recognizer,
    batches,
    best_path,
    padded_width,
    scaled_width,
)

OPTIONS = RecognitionOptions()
CHARACTERS = ("a", "b", "日", " ")


def path_of(classes: list[int], probability: float = 0.8) -> npt.NDArray[np.float32]:
    rest = (1 - probability) / len(CHARACTERS)
    probabilities = np.full((len(classes), 1 + len(CHARACTERS)), rest, dtype=np.float32)
    probabilities[np.arange(len(classes)), classes] = probability
    return probabilities


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
    assert best_path(path_of(classes), CHARACTERS).text == text


def test_confidence_is_the_mean_over_the_characters_alone() -> None:
    probabilities = path_of([0, 1, 0, 2])
    probabilities[1, 1], probabilities[3, 2] = 0.9, 0.5
    assert best_path(probabilities, CHARACTERS).confidence == pytest.approx(0.7)
    assert best_path(path_of([0, 0]), CHARACTERS).confidence == 0.0


@given(st.lists(st.integers(1, 6000), max_size=60))
def test_batches_hold_each_line_once_within_the_bounds(widths: list[int]) -> None:
    groups = list(batches(widths, OPTIONS))
    assert sorted(index for group in groups for index in group) == list(range(len(widths)))
    for group in groups:
        width = padded_width(max(widths[index] for index in group), OPTIONS)
        assert len(group) == 1 or (len(group) <= OPTIONS.max_batch and len(group) * width <= OPTIONS.batch_px)


def test_width_follows_the_aspect_ratio_up_to_the_limit() -> None:
    assert scaled_width(np.zeros((24, 100, 3), dtype=np.uint8), OPTIONS) == 200
    assert scaled_width(np.zeros((1, 10_000, 3), dtype=np.uint8), OPTIONS) == OPTIONS.max_width_px


def test_results_come_in_the_order_of_the_lines_whatever_the_batches() -> None:
    """A network that reads a line's brightness: class 1, 2 or 3."""

    def network(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        assert batch.shape[1:3] == (3, LINE_HEIGHT)
        brightness = ((batch[:, 0, 10, 4] + 1) * 127.5).round().astype(int)
        return np.stack([path_of([0, value // 50, 0]) for value in brightness])

    lines = [
        np.full((30, width, 3), value, dtype=np.uint8)
        for width, value in [(900, 100), (40, 50), (2000, 150), (41, 100), (500, 50)]
    ]
    read = Recognizer(network, CHARACTERS, OPTIONS).read(lines)
    assert [line.text for line in read] == ["b", "a", "日", "b", "a"]
