"""Which way up a page stands, with a network whose opinion of each way is told."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from triton_models.ocr.orientation import Stand, stand_of
from triton_models.ocr.recognition import RecognitionOptions, Recognizer, Steps

PAGE = np.full((200, 700, 3), 255, dtype=np.uint8)
"""White, with a black square at the left end of its one line."""
cv2.rectangle(PAGE, (40, 60), (80, 100), (0, 0, 0), cv2.FILLED)
LINE = np.array([[30, 50], [670, 50], [670, 110], [30, 110]], dtype=np.float32)


class _Opinions:
    """Reads every line as ten letters, with one confidence if the square is left and another if it is right."""

    def __init__(self, left: float, right: float) -> None:
        self.calls = 0
        self._left, self._right = left, right

    def __call__(self, batch: npt.NDArray[np.float32]) -> Steps:
        self.calls += 1
        lines, width = batch.shape[0], batch.shape[3]
        left = batch[:, 0, :, : width // 4].mean(axis=(1, 2)) < batch[:, 0, :, -width // 2 : -width // 4].mean(
            axis=(1, 2)
        )
        sure = np.where(left, self._left, self._right).astype(np.float32)[:, None]
        classes = np.tile(np.array([1, 0] * 10, dtype=np.int32), (lines, 1))
        return Steps(classes, np.repeat(sure, 20, axis=1), np.zeros((lines, 20), dtype=np.float32))


@pytest.mark.parametrize(
    ("left", "right", "turns", "calls"),
    [(0.97, 0.99, 0, 1), (0.9, 0.5, 0, 2), (0.5, 0.9, 2, 2), (0.85, 0.9, 0, 2)],
    ids=["sure", "better upright", "better upside down", "no better enough"],
)
def test_a_page_is_turned_if_that_reads_better_and_lines_that_are_sure_are_read_once(
    left: float, right: float, turns: int, calls: int
) -> None:
    network = _Opinions(left, right)
    assert stand_of(PAGE, [LINE], Recognizer(network, ("a", " "), RecognitionOptions())) == Stand(turns)
    assert network.calls == calls


def test_a_page_without_lines_stays_as_it_is() -> None:
    assert stand_of(PAGE, [], Recognizer(_Opinions(0, 1), ("a", " "), RecognitionOptions())) == Stand()


@pytest.mark.parametrize(("left", "right"), [(0.97, 0.5), (0.5, 0.9)], ids=["upright", "upside down"])
def test_the_kind_of_its_characters_is_told(left: float, right: float) -> None:
    for letter, wide in (("a", False), ("ア", True), ("ｱ", False), ("漢", True)):
        recognizer = Recognizer(_Opinions(left, right), (letter, " "), RecognitionOptions())
        assert stand_of(PAGE, [LINE], recognizer).wide is wide
