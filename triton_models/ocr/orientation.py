"""Tells how often a page must be turned so that its text stands upright, and of which kind its characters are.

The recognition network is the judge: a few of the page's longest lines are read, and if it is not sure of them, they
are read the other way round too; the way that gives more characters with more confidence wins. This costs one or two
small batches a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triton_models.ocr.cropping import crop, is_tall, size_of
from triton_models.ocr.decoding import Pixels
from triton_models.ocr.detection import Quad
from triton_models.ocr.recognition import ReadLine, Recognizer, is_wide

SAMPLE = 4
"""Lines read to tell."""
SAMPLE_ASPECT = 8.0
"""Of longer lines, only a part this many times longer than high is read."""
SURE = 0.95
"""If all of them are read with this confidence, the page stands upright."""
MARGIN = 1.15
"""A page is turned only if that reads better by this factor."""


@dataclass(frozen=True, slots=True)
class Stand:
    """`turns`: how often `numpy.rot90` must be applied to the image. 0 for a page of upright rows, for one of Japanese
    lines that run downwards, and for one turned a quarter to the right, whose rows read like such lines. `wide`: most
    characters are of full width."""

    turns: int = 0
    wide: bool = False


def stand_of(image: Pixels, quads: Sequence[Quad], recognizer: Recognizer) -> Stand:
    sample = sorted(quads, key=lambda quad: -max(size_of(quad)))[:SAMPLE]
    if not sample:
        return Stand()
    tall = 2 * sum(is_tall(quad) for quad in sample) > len(sample)
    sample = [quad for quad in sample if is_tall(quad) is tall]
    lines = [_part(crop(image, quad)) for quad in sample]
    upright = recognizer.read(lines)
    if min(line.confidence for line in upright) >= SURE:
        return Stand(0, _are_wide(upright))
    upside_down = recognizer.read([np.ascontiguousarray(np.rot90(line, 2)) for line in lines])
    if _score(upside_down) <= MARGIN * _score(upright):
        return Stand(0, _are_wide(upright))
    return Stand(3 if tall else 2, _are_wide(upside_down))


def _are_wide(lines: Sequence[ReadLine]) -> bool:
    characters = [character.text for line in lines for character in line.characters]
    return 2 * sum(map(is_wide, characters)) > len(characters)


def turned_points(points: npt.NDArray[np.float32], width: int, height: int, turns: int) -> npt.NDArray[np.float32]:
    """The places of points, float32[..., 2], after `numpy.rot90(image, turns)` of an image of that width and height.
    Corners keep their meaning: a quad's first is where the text starts."""
    turned = points
    for _ in range(turns % 4):
        turned = np.stack([turned[..., 1], width - 1 - turned[..., 0]], axis=-1).astype(np.float32)
        width, height = height, width
    return turned


def _part(line: Pixels) -> Pixels:
    return np.ascontiguousarray(line[:, : max(1, int(SAMPLE_ASPECT * line.shape[0]))])


def _score(lines: Sequence[ReadLine]) -> float:
    return sum(line.confidence**2 * len(line.text) for line in lines)
