"""Finds the straight lines that a page's tables and columns are ruled with, and parts lines of text at them.

A pixel belongs to a horizontal rule if nearly all pixels of a run around it, longer than any letter's stroke, are ink
(an opening by a line segment, as in Gatos et al., "Automatic Table Detection in Document Images", ICAPR 2005; by shares
instead of all, so that specks do not break a rule). The page is reduced and turned level first. Dashed and dotted rules
are not found, nor light ones on a dark ground.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from triton_models.ocr.cropping import is_tall, parts, size_of
from triton_models.ocr.decoding import Pixels
from triton_models.ocr.detection import Quad

Segments = npt.NDArray[np.float32]
"""float32[n, 2, 2]: x, y of each rule's ends, from left to right or from top to bottom."""

LONG_SIDE = 1754
"""Pixels. Rules are looked for on a page of about this size (A4 at 150 dpi), where hairlines are dark still."""
DARKER = 30
"""Levels of grey. Ink is darker by so many than the mean of what is around it."""
AROUND = 41
"""Pixels: the side of the square that is around a pixel."""
RUN = 2.0
"""Line heights. A rule is at least this long; no letter's stroke is."""
SOLID = 0.88
"""Of a run's pixels at least this share is ink."""
THIN = 0.35
"""Line heights. What is thicker is a bar: those of its long edges are rules that have a lighter outside."""
TEXT = 0.25
"""The serifs of a word make a run, too, but ink is above or below it, for more than this share of its length (and less
than the rest of it: a rule may be double)."""
FULL = 0.6
"""A bar's share of the box around it. What is emptier is part of a picture."""
LID = 4
"""Pixels. What is so near to the image's edge is the scanner's lid."""
END = 9
"""Pixels, of which the ink at a rule's end is the mean."""
MOST = 600
"""Rules. There are more in pictures only; the longest count."""

SLACK = 0.3
"""Line heights, by which a rule may fall short of the text that it parts."""
BESIDE = 0.07
"""Line heights to both sides of a rule that belong to neither part."""
LEAST = 0.35
"""Line heights. What is left of a line is at least so long: the rest of it is the rule."""


def no_rules() -> Segments:
    return np.empty((0, 2, 2), dtype=np.float32)


def find_rules(image: Pixels, quads: Sequence[Quad], angle: float) -> Segments:
    """The rules along the rows of text and across them, the longest first, in pixels of the image. `quads`: the page's
    lines, which say how long a letter's stroke may be; `angle`: of its rows, in radians. 15 ms for A4 at 300 dpi."""
    if not quads:
        return no_rules()
    block = max(1, round(max(image.shape[:2]) / LONG_SIDE))
    height, width = image.shape[0] // block, image.shape[1] // block
    grey = cv2.cvtColor(image[: height * block, : width * block], cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), math.degrees(angle), 1.0)
    level = np.asarray(
        cv2.warpAffine(small, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        dtype=np.uint8,
    )
    ink = np.asarray(cv2.subtract(cv2.blur(level, (AROUND, AROUND)), level) >= DARKER, dtype=np.uint8)
    line_height = float(np.median([min(size_of(quad)) for quad in quads])) / block
    along = list(_level_rules(ink, level, line_height))
    across = [rule[:, ::-1] for rule in _level_rules(ink.T.copy(), level.T, line_height)]
    if not along and not across:
        return no_rules()
    found = np.stack([*along, *across])
    back = cv2.invertAffineTransform(turn)
    placed = (found @ back[:, :2].T + back[:, 2] + 0.5) * block - 0.5
    longest = np.argsort(-np.linalg.norm(placed[:, 1] - placed[:, 0], axis=1), kind="stable")[:MOST]
    return np.asarray(placed[longest], dtype=np.float32)


def _level_rules(
    ink: npt.NDArray[np.uint8], grey: npt.NDArray[np.uint8], line_height: float
) -> Iterator[npt.NDArray[np.float64]]:
    """float64[2, 2] for each horizontal rule of a level page. ink: uint8[height, width], 0 or 1."""
    run = max(9, round(RUN * line_height)) | 1
    share = cv2.boxFilter(ink * np.uint8(255), -1, (run, 1), borderType=cv2.BORDER_CONSTANT)
    solid = cv2.dilate(np.asarray(share >= SOLID * 255, dtype=np.uint8), np.ones((1, run), np.uint8))
    # A run may begin before the rule by what it need not cover.
    early = round((1 - SOLID) * run)
    bottom, right = (side - LID for side in ink.shape)
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for contour in contours:
        x, y, width, height = cv2.boundingRect(contour)
        if y < LID or x < LID or y + height > bottom or x + width > right or width < run:
            continue
        ends = np.array([x + early, x + width - 1 - early], dtype=np.float64)
        if height <= THIN * line_height:
            beside = [ink[max(0, row) : row + 2, x : x + width].mean() for row in (y - 3, y + height + 1)]
            if any(TEXT < share < 1 - TEXT for share in beside):
                continue
            xs, ys = contour[:, 0].T
            yield np.stack([ends, [ys[xs < x + END].mean(), ys[xs >= x + width - END].mean()]], axis=1)
        elif cv2.contourArea(contour) >= FULL * width * height:
            for edge, outside, inside in ((y, y - 3, y + 1), (y + height - 1, y + height + 2, y + height - 2)):
                outer, inner = np.median(grey[[outside, inside], x : x + width], axis=1)
                if outer - inner >= DARKER:
                    yield np.stack([ends, [edge, edge]], axis=1)


def parted_at_rules(quads: Sequence[Quad], rules: Segments) -> list[Quad]:
    """Lines that run over a rule, as detection finds them where cells are close together, are cut there."""
    if not len(rules):
        return list(quads)
    return [part for quad in quads for part in _parted(quad, rules)]


def _parted(quad: Quad, rules: Segments) -> list[Quad]:
    """Where the rule crosses the line: solved for both edges of the line at once, as shares of the line's length."""
    length, height = size_of(quad)
    first, last = (np.array([quad[0], quad[3]]), np.array([quad[1], quad[2]]))
    if is_tall(quad):
        length, height = height, length
        first, last = (np.array([quad[0], quad[1]]), np.array([quad[3], quad[2]]))
    run = (last - first)[None].astype(np.float64)  # of both edges, [1, 2, 2]
    rule = (rules[:, 1] - rules[:, 0])[:, None].astype(np.float64)  # [n, 1, 2]
    offset = rules[:, :1].astype(np.float64) - first[None]  # [n, 2, 2]
    cross = _cross(run, rule)
    lengths = np.linalg.norm(rule, axis=-1)
    steep = np.abs(cross) > 0.7 * np.linalg.norm(run, axis=-1) * lengths
    safe = np.where(steep, cross, 1.0)
    on_line, on_rule = _cross(offset, rule) / safe, _cross(offset, run) / safe
    slack = SLACK * height / lengths
    crosses = steep & (on_line > 0) & (on_line < 1) & (-slack <= on_rule) & (on_rule <= 1 + slack)
    cuts = np.sort(on_line.mean(axis=1)[crosses.all(axis=1)])
    if not len(cuts):
        return [quad]
    margin = BESIDE * height / length
    edges = np.stack([np.append(0.0, cuts + margin), np.append(cuts - margin, 1.0)], axis=1).astype(np.float32)
    return list(parts(quad, edges[(edges[:, 1] - edges[:, 0]) * length >= LEAST * height]))


def _cross(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
