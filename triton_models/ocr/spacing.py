"""Tells from a line's ink where its words end: the recognition network tells where characters are, not how wide."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from triton_models.ocr.decoding import Pixels
from triton_models.ocr.recognition import ReadLine
from triton_models.ocr.vertical import ink_of

REACH = 0.6
"""Line heights. No character reaches farther than this to either side of its middle."""
APART = 1.0
"""Line heights. Characters whose middles are farther apart have a gap between them, also where no space was read."""
SPECK = 0.04
"""Of the line's height: a column with less ink is blank."""
RULE = 0.85
"""A row with so much ink is a rule under the text, or above it."""


def extents(line: ReadLine, crop: Pixels) -> npt.NDArray[np.float32]:
    """float32[n, 2]: from where to where each character goes along the line that was cut out, in pixels. Words begin
    and end with their ink, a space is what is blank between them; between other neighbours it is halfway."""
    height, width = crop.shape[:2]
    found = np.array(line.extents(width, REACH * height), dtype=np.float32).reshape(-1, 2)
    letters = [index for index, character in enumerate(line.characters) if character.text.strip()]
    ink = ink_of(crop)
    inked = ink[ink.mean(axis=1) < RULE].sum(axis=0) > SPECK * height
    if not letters or not inked.any():
        return found
    middles = [character.middle for character in line.characters]
    bounds = np.flatnonzero(np.diff(inked, prepend=not inked[0], append=not inked[-1]))
    starts, ends = bounds[:-1][~inked[bounds[:-1]]], bounds[1:][~inked[bounds[:-1]]]  # of the blank runs
    for left, right in pairwise(letters):
        if right - left == 1 and middles[right] - middles[left] < APART * height:
            continue
        lows, highs = np.maximum(starts, middles[left]), np.minimum(ends, middles[right])
        if not len(lows) or (highs - lows).max() <= 1:
            continue
        gap = int((highs - lows).argmax())
        found[left, 1], found[right, 0] = lows[gap], highs[gap]
        found[left + 1 : right] = lows[gap], highs[gap]
    first, last = np.flatnonzero(inked)[[0, -1]]
    found[letters[0], 0] = np.clip(first, found[letters[0], 0], middles[letters[0]])
    found[letters[-1], 1] = np.clip(last + 1, middles[letters[-1]], found[letters[-1], 1])
    return found
