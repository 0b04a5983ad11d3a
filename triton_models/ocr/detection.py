"""Finds lines of text: a probability map from the network, quadrilaterals from the map.

Differentiable Binarization: Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", AAAI 2020;
the post-processing is its section 3.4 (binarize, contours, expand by area / perimeter).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pyclipper

from triton_models.ocr.decoding import Pixels

FloatMap = npt.NDArray[np.float32]
Quad = npt.NDArray[np.float32]
"""float32[4, 2]: x, y of the corners, clockwise from the one that is top-left when the text is read upright."""

Network = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]

STRIDE = 32
"""The network takes sides that are multiples of this."""

NEAR = 1.5
"""An image of less than so many times the pixels is made smaller without a filter."""


@dataclass(frozen=True, slots=True)
class DetectionOptions:
    """`unclip_ratio` undoes the shrinking of the training targets; it is fitted to the network."""

    min_side_px: int = 736
    max_side_px: int = 1600
    map_threshold: float = 0.3
    box_threshold: float = 0.5
    unclip_ratio: float = 1.6
    min_box_side_px: float = 3.0
    max_boxes: int = 2000


class Detector:
    def __init__(self, network: Network, options: DetectionOptions) -> None:
        self._network = network
        self._options = options

    def detect(self, image: Pixels) -> list[Quad]:
        """Quads in pixels of `image`, in no particular order."""
        height, width = image.shape[:2]
        net_height, net_width = network_size(height, width, self._options)
        probability = self._network(normalized(resized(image, net_height, net_width)))[0, 0]
        quads = quads_of_map(probability, self._options)
        scale = np.array([width / net_width, height / net_height], dtype=np.float32)
        top = np.array([width - 1, height - 1], dtype=np.float32)
        return [np.clip(quad * scale, 0, top).astype(np.float32) for quad in quads]


def network_size(height: int, width: int, options: DetectionOptions) -> tuple[int, int]:
    """Height and width for the network: sides within the options' bounds where the aspect ratio allows it (the upper
    bound wins), rounded to the stride."""
    ratio = max(1.0, options.min_side_px / min(height, width))
    ratio = min(ratio, options.max_side_px / max(height, width))
    return _to_stride(height * ratio), _to_stride(width * ratio)


def _to_stride(side: float) -> int:
    return max(STRIDE, round(side / STRIDE) * STRIDE)


def resized(image: Pixels, height: int, width: int) -> Pixels:
    """The image in that size. One that becomes much smaller is first reduced by the mean of whole blocks of pixels: as
    good as means over shares of pixels, and several times as fast."""
    block = min(image.shape[0] // height, image.shape[1] // width)
    if block > 1:
        rows, columns = image.shape[0] // block, image.shape[1] // block
        whole = image[: rows * block, : columns * block]
        image = np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    shrinks = image.shape[0] * image.shape[1] > NEAR * height * width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), dtype=np.uint8)


def normalized(image: Pixels) -> npt.NDArray[np.float32]:
    """float32[1, 3, height, width] in [-1, 1]."""
    scaled = image.astype(np.float32) * np.float32(2 / 255) - np.float32(1)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def quads_of_map(probability: FloatMap, options: DetectionOptions) -> list[Quad]:
    """probability: float32[height, width] in [0, 1]. Quads in the map's pixels."""
    mask = (probability > options.map_threshold).astype(np.uint8)
    mask = cv2.dilate(mask, np.ones((2, 2), np.uint8)).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    quads = []
    for contour in contours[: options.max_boxes]:
        corners, short_side = smallest_rectangle(np.asarray(contour, dtype=np.float32))
        if short_side < options.min_box_side_px:
            continue
        if mean_inside(probability, corners) < options.box_threshold:
            continue
        expanded = unclip(corners, options.unclip_ratio)
        if expanded is None:
            continue
        corners, short_side = smallest_rectangle(expanded)
        if short_side >= options.min_box_side_px + 2:
            quads.append(corners)
    return quads


def smallest_rectangle(points: npt.NDArray[np.float32]) -> tuple[Quad, float]:
    """The rotated rectangle of least area around `points`, and its shorter side."""
    rectangle = cv2.minAreaRect(points)
    return clockwise(np.asarray(cv2.boxPoints(rectangle), dtype=np.float32)), float(min(rectangle[1]))


def clockwise(corners: npt.NDArray[np.float32]) -> Quad:
    """The four corners as top-left, top-right, bottom-right, bottom-left."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left = by_x[:2][np.argsort(by_x[:2, 1], kind="stable")]
    right = by_x[2:][np.argsort(by_x[2:, 1], kind="stable")]
    return np.array([left[0], right[0], right[1], left[1]], dtype=np.float32)


def mean_inside(probability: FloatMap, quad: Quad) -> float:
    """Mean of the map over the quad."""
    height, width = probability.shape
    low = np.clip(np.floor(quad.min(axis=0)).astype(int), 0, [width - 1, height - 1])
    high = np.clip(np.ceil(quad.max(axis=0)).astype(int), 0, [width - 1, height - 1])
    mask = np.zeros((high[1] - low[1] + 1, high[0] - low[0] + 1), dtype=np.uint8)
    cv2.fillPoly(mask, [(quad - low).astype(np.int32)], [1])
    return float(cv2.mean(probability[low[1] : high[1] + 1, low[0] : high[0] + 1], mask)[0])


def unclip(quad: Quad, ratio: float) -> npt.NDArray[np.float32] | None:
    """The outline of the quad moved outwards by ratio x area / perimeter; None if nothing is left of it."""
    perimeter = cv2.arcLength(quad, True)
    if perimeter <= 0:
        return None
    offset = pyclipper.PyclipperOffset()
    offset.AddPath(quad.tolist(), pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
    paths = offset.Execute(cv2.contourArea(quad) * ratio / perimeter)
    return np.asarray(paths[0], dtype=np.float32) if len(paths) == 1 else None
