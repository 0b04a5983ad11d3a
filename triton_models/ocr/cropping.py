"""Cuts lines out of a page and lays them flat."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from triton_models.ocr.decoding import Pixels
from triton_models.ocr.detection import Quad

TALL = 1.5
"""A quad this many times higher than wide is a line that runs downwards."""

LEVEL = 1.0
"""A quad whose corners are nearer than this many pixels to those of an upright rectangle is cut out as it is."""


def size_of(quad: Quad) -> tuple[float, float]:
    """Width and height of the flattened quad, in pixels."""
    top, right, bottom, left = (float(np.linalg.norm(quad[i] - quad[(i + 1) % 4])) for i in range(4))
    return max(top, bottom), max(left, right)


def is_tall(quad: Quad) -> bool:
    width, height = size_of(quad)
    return height >= TALL * width


def crop(image: Pixels, quad: Quad) -> Pixels:
    """The line in `quad`, flat. A line that runs downwards is turned a quarter to the left, so that it runs rightwards
    with its characters lying; the recognition network was trained on such lines."""
    width, height = (max(1, round(side)) for side in size_of(quad))
    left, top = (round(float(corner)) for corner in quad[0])
    level = np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])
    if left + width <= image.shape[1] and top + height <= image.shape[0] and np.abs(quad - level).max() <= LEVEL:
        line = image[top : top + height, left : left + width]
        return np.ascontiguousarray(np.rot90(line) if height >= TALL * width else line)
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    transform = cv2.getPerspectiveTransform(quad, target)
    flat = cv2.warpPerspective(
        image, transform, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    line = np.asarray(flat, dtype=np.uint8)
    return np.ascontiguousarray(np.rot90(line)) if is_tall(quad) else line


def parts(quad: Quad, edges: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The quad cut across its line. edges: float32[n, 2], where each part starts and ends, as shares of the line's
    length. float32[n, 4, 2]."""
    starts, ends = edges[:, :1], edges[:, 1:]
    top, right, bottom, left = quad
    if is_tall(quad):
        corners = [top, right, right, top], [left, bottom, bottom, left]
    else:
        corners = [top, top, left, left], [right, right, bottom, bottom]
    shares = [starts, starts, ends, ends] if is_tall(quad) else [starts, ends, ends, starts]
    cut = [a + share * (b - a) for a, b, share in zip(*corners, shares, strict=True)]
    return np.stack(cut, axis=1).astype(np.float32)
