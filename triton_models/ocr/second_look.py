"""What is tried when a page was read badly: the same page with its contrast repaired, or enlarged.

A page is read badly if the recognition network is unsure of it, if its text is faint (faint lines are overlooked, which
no confidence tells), or if nothing was found on a page that is not blank. Which of the readings wins is told by the
characters that are expected to be right, less those that are expected to be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from triton_models.ocr.decoding import Pixels
from triton_models.ocr.document import PageLine

UNSURE = 0.95
"""A page of characters with a lower mean confidence is read again. Clean print has .99, most scans at 150 dpi .98."""
FAINT = 48
"""Levels of grey between a line's ink and its ground, below which it is faint."""
BLANK = 3
"""Levels of grey on a page, up to which nothing is on it."""
SAMPLE = 8
"""Lines that are looked at to tell whether they are faint."""
SMALL_SIDE = 1600
"""Pixels. A page whose longer side is shorter is enlarged, so that detection sees more of it."""
ENLARGED = 2.0
SOUND = 0.8
"""Where nothing was found before, a reading counts only from this mean confidence on: repaired contrast makes noise
darker, too."""
GROUND_CELL = 8
"""The ground is estimated on an image this many times smaller."""
GROUND_REACH = 21
"""Cells. The ground is the median over a square of so many."""
WHITE = 0.98
"""Of the ground: what is at least this bright is white."""
LEAST_CONTRAST = 0.01
"""Of the ground: contrast is not stretched from less than this."""
INK_RANK = 10
"""The ink's level: this percentile of what is not white. (Specks are darker, and rarer.)"""


@dataclass(frozen=True, slots=True)
class Look:
    """`scale`: its pixels for one of the page's."""

    image: Pixels
    scale: float


def second_looks(image: Pixels, lines: Sequence[PageLine]) -> list[Look]:
    """What to read besides `image`, in which `lines` were found: nothing for a page that was read well. The list is
    short, and takes milliseconds for a page that needs none."""
    if not lines:
        return [] if int(image.max()) - int(image.min()) <= BLANK else [Look(repaired(image), 1.0)]
    faint = is_faint(image, lines)
    unsure = mean_confidence(lines) < UNSURE
    looks = [Look(repaired(image), 1.0)] if faint or unsure else []
    if unsure and max(image.shape[:2]) < SMALL_SIDE:
        larger = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
        looks.append(Look(np.asarray(larger, dtype=np.uint8), ENLARGED))
    return looks


def best_reading(readings: Sequence[Sequence[PageLine]]) -> int:
    """Index of the best of the readings of a page; the first one, unless another is better."""
    first = readings[0]
    least = min(SOUND, mean_confidence(first)) if first else SOUND
    scores = [
        _expected_right(lines) if index == 0 or mean_confidence(lines) >= least else 0.0
        for index, lines in enumerate(readings)
    ]
    return scores.index(max(scores))


def mean_confidence(lines: Sequence[PageLine]) -> float:
    """Over the characters; 0 without any."""
    count = sum(len(line.text) for line in lines)
    return sum(line.confidence * len(line.text) for line in lines) / count if count else 0.0


def _expected_right(lines: Sequence[PageLine]) -> float:
    """Characters that are expected to be right, less those that are expected to be wrong."""
    return sum((2 * line.confidence - 1) * len(line.text) for line in lines)


def is_faint(image: Pixels, lines: Sequence[PageLine]) -> bool:
    """Whether the ink of most lines is hardly darker (or lighter) than the ground. `lines` are places in `image`."""
    step = -(-len(lines) // SAMPLE)
    levels = []
    for line in lines[::step]:
        left, top = np.floor(line.quad.min(axis=0)).astype(int)
        right, bottom = np.ceil(line.quad.max(axis=0)).astype(int) + 1
        levels.append(_levels(image[max(0, top) : bottom, max(0, left) : right]))
    return float(np.median(levels)) < FAINT


def _levels(image: Pixels) -> float:
    """Between the darkest and the brightest of its pixels, but for 2 % of either."""
    low, high = np.percentile(image[:, :, 1], [2, 98]) if image.size > 10_000 else (image.min(), image.max())
    return float(high) - float(low)


def repaired(image: Pixels) -> Pixels:
    """Grey, dark on white whatever the light was: each pixel by its ground, which is what is brightest around it, and
    stretched to the whole range."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    cells = (max(1, width // GROUND_CELL), max(1, height // GROUND_CELL))
    small = cv2.resize(grey, cells, interpolation=cv2.INTER_AREA)
    ground = cv2.medianBlur(cv2.dilate(small, np.ones((3, 3), np.uint8)), GROUND_REACH)
    evened = np.asarray(grey / np.maximum(cv2.resize(ground, (width, height)), 1), dtype=np.float32)
    marks = cv2.blur(evened, (3, 3))[::2, ::2]
    marks = marks[marks < WHITE]
    ink = float(np.percentile(marks, INK_RANK)) if marks.size else 0.0
    stretched = np.clip((evened - ink) / max(WHITE - ink, LEAST_CONTRAST), 0, 1)
    return np.asarray(cv2.cvtColor((stretched * 255).astype(np.uint8), cv2.COLOR_GRAY2BGR), dtype=np.uint8)
