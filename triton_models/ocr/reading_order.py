"""In which order a page's lines are read.

Pieces of a row are joined into lines; then the page is cut recursively at the gutter that has the most lines beside it:
what is above it, left of it, right of it, below it (after the recursive X-Y cut of Nagy and Seth, ICPR 1984). A gutter
counts only between columns of running text, or between columns whose lines are not level: a table's columns stay rows.
Lines across a gutter and rules across it end the columns beside it; where they go on above or below, few lines do.

A page of downward lines is read in columns from right to left; it is ordered as if turned a quarter to the left, where
its lines are rows.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from triton_models.ocr.detection import Quad
from triton_models.ocr.document import PageCharacters, PageLine
from triton_models.ocr.rules import Segments

JOIN_GAP = 1.0
"""Pieces of a row closer than this many line heights are one line."""
STRIP = 0.4
"""A strip that parts columns set close together is at least this many line heights wide …"""
STRIP_ROWS = 3.0
"""… and its rows follow each other within this many line heights."""
OVER = 0.15
"""Line heights, by which a piece may reach over what parts it from the next: boxes are not that exact."""
SAME_ROW = 0.6
"""Pieces whose heights overlap by more than this share of the lower one stand in one row."""
GUTTER = 0.7
"""A gutter is at least this many line heights wide."""
COLUMN_LINES = 4
"""A column has at least this many lines, unless its gutter goes on from above or below."""
COLUMN_WIDTH = 7.0
"""The median line of running text is at least this many line heights wide."""
ACROSS = 0.8
"""A rule ends columns if it is beside this share of their whole width: otherwise it belongs to a frame among them."""
BESIDE = 0.2
"""Text whose height overlaps with more than this share of an inset line stands beside it."""
INSETS = 0.25
"""Lines set into a gutter are at most this share of the lines beside it."""
LEVEL = 0.25
"""Lines whose middles differ by less than this many line heights are level."""
LEVEL_LINES = 0.6
"""Columns that are not both running text are a table if more than this share of their lines are level."""


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A line in the frame in which rows are level and read from left to right, top to bottom."""

    line: PageLine
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def width(self) -> float:
        return self.x1 - self.x0


def in_reading_order(lines: Sequence[PageLine], rules: Segments) -> list[PageLine]:
    """The lines in order, pieces of one line joined, but for those with a rule between them. O(n^2) in the number of
    lines at worst."""
    if not lines:
        return []
    downward = is_downward_page(lines)
    along = [line for line in lines if line.vertical is downward]
    across = [line for line in lines if line.vertical is not downward]
    angle = skew([line.quad for line in along], downward)
    placed = [_place(line, downward, angle) for line in (*along, *across)]
    boxes = _boxes(rules, downward, angle)
    parting = [_Gutter(*box, rows=0) for box in boxes if box[3] - box[1] > box[2] - box[0]]
    separators = [_Separator(x0, x1, (y0 + y1) / 2) for x0, y0, x1, y1 in boxes if x1 - x0 > y1 - y0]
    return [item.line for item in _cut(_joined(placed, parting), separators, ())]


def is_downward_page(lines: Sequence[PageLine]) -> bool:
    """Whether most characters stand in lines that run downwards."""
    downward = sum(len(line.text) for line in lines if line.vertical)
    return downward * 2 > sum(len(line.text) for line in lines)


def skew(quads: Sequence[Quad], downward: bool) -> float:
    """The median angle of the lines' own direction against the page's, in radians, weighed by their length."""
    if not quads:
        return 0.0
    starts, ends = (0, 3) if downward else (0, 1)
    vectors = np.array([quad[ends] - quad[starts] for quad in quads], dtype=np.float64)
    if downward:
        vectors = np.stack([vectors[:, 1], -vectors[:, 0]], axis=1)
    angles = np.arctan2(vectors[:, 1], vectors[:, 0])
    order = np.argsort(angles)
    weights = np.linalg.norm(vectors, axis=1)[order].cumsum()
    return float(angles[order][np.searchsorted(weights, weights[-1] / 2)])


def _place(line: PageLine, downward: bool, angle: float) -> _Placed:
    level = _levelled(line.quad, downward, angle)
    (x0, y0), (x1, y1) = level.min(axis=0), level.max(axis=0)
    return _Placed(line, float(x0), float(y0), float(x1), float(y1))


def _levelled(points: npt.NDArray[np.float32], downward: bool, angle: float) -> npt.NDArray[np.float64]:
    """float32[..., 2] of the page in the frame."""
    turned = np.stack([points[..., 1], -points[..., 0]], axis=-1) if downward else points
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.asarray(turned.astype(np.float64) @ turn)


def _boxes(rules: Segments, downward: bool, angle: float) -> list[tuple[float, float, float, float]]:
    """Of rules in the frame: x0, y0, x1, y1."""
    placed = _levelled(rules, downward, angle)
    lows, highs = placed.min(axis=1).tolist(), placed.max(axis=1).tolist()
    return [(*low, *high) for low, high in zip(lows, highs, strict=True)]


# --- rows --------------------------------------------------------------------------------------------------------


def _joined(placed: Sequence[_Placed], parting: Sequence[_Gutter]) -> list[_Placed]:
    """Pieces of one line made one, wherever two stand side by side with a small gap that is no gutter."""
    items = sorted(placed, key=lambda item: item.x0)
    gutters = [*parting, *_gutters(items)]
    joined: list[_Placed] = []
    for item in items:
        at = next(
            (
                i
                for i in range(len(joined) - 1, -1, -1)
                if _continues(joined[i], item) and not any(gutter.parts(joined[i], item) for gutter in gutters)
            ),
            None,
        )
        if at is None:
            joined.append(item)
        else:
            joined[at] = _join(joined[at], item)
    return joined


@dataclass(frozen=True, slots=True)
class _Gutter:
    """A white strip between x0 and x1, or a rule there, from y0 down to y1, beside so many rows."""

    x0: float
    y0: float
    x1: float
    y1: float
    rows: int

    def parts(self, left: _Placed, right: _Placed) -> bool:
        x = (self.x0 + self.x1) / 2
        inside = self.y0 <= _middle(left) <= self.y1 and self.y0 <= _middle(right) <= self.y1
        slack = OVER * min(left.height, right.height)
        return inside and left.x1 - slack <= x <= right.x0 + slack

    def goes_on(self, left: _Placed, right: _Placed) -> _Gutter | None:
        """The strip with the gap between two pieces of the next row; None if they do not leave enough of it white."""
        x0, x1 = max(self.x0, left.x1), min(self.x1, right.x0)
        height = min(left.height, right.height)
        below = _middle(left) - self.y1
        if x1 - x0 < STRIP * height or not 0 < below < STRIP_ROWS * height:
            return None
        return _Gutter(x0, self.y0, x1, _middle(left) + 0.5 * height, self.rows + 1)


def _gutters(items: Sequence[_Placed]) -> list[_Gutter]:
    """White strips through enough rows whose pieces would be joined otherwise. Columns set close together have them;
    the spaces between words of one column do not keep to one place for so many rows."""
    pairs = [(left, right) for right in items for left in items if left.x0 < right.x0 and _continues(left, right)]
    strips: list[_Gutter] = []
    for left, right in sorted(pairs, key=lambda pair: _middle(pair[0])):
        height = min(left.height, right.height)
        if right.x0 - left.x1 < STRIP * height:
            continue
        grown = [(index, more) for index, strip in enumerate(strips) if (more := strip.goes_on(left, right))]
        for index, more in grown:
            strips[index] = more
        if not grown:
            middle = _middle(left)
            strips.append(_Gutter(left.x1, middle - 0.5 * height, right.x0, middle + 0.5 * height, 1))
    return [strip for strip in strips if strip.rows >= COLUMN_LINES]


def _continues(left: _Placed, right: _Placed) -> bool:
    lower = min(left.height, right.height)
    gap = right.x0 - left.x1
    return (
        left.line.vertical is right.line.vertical
        and lower > 0.5 * max(left.height, right.height)
        and _overlap(left.y0, left.y1, right.y0, right.y1) > SAME_ROW * lower
        and -lower < gap < JOIN_GAP * lower
    )


def _join(left: _Placed, right: _Placed) -> _Placed:
    one, two = left.line, right.line
    text = one.text + separator(one.text, two.text) + two.text
    total = max(1, len(one.text) + len(two.text))
    confidence = (one.confidence * len(one.text) + two.confidence * len(two.text)) / total
    if one.vertical:
        quad = np.array([one.quad[0], one.quad[1], two.quad[2], two.quad[3]], dtype=np.float32)
    else:
        quad = np.array([one.quad[0], two.quad[1], two.quad[2], one.quad[3]], dtype=np.float32)
    line = replace(one, text=text, confidence=confidence, quad=quad, characters=_joined_characters(one, two))
    return _Placed(line, left.x0, min(left.y0, right.y0), max(left.x1, right.x1), max(left.y1, right.y1))


def _joined_characters(one: PageLine, two: PageLine) -> PageCharacters:
    """With the separator between them, of which nobody is more sure than of the rest of the line."""
    left, right = one.characters, two.characters
    if not left.texts or not right.texts:
        return left if left.texts else right
    between = separator(one.text, two.text)
    gap = np.array([left.quads[-1, 1], right.quads[0, 0], right.quads[0, 3], left.quads[-1, 2]], dtype=np.float32)
    if one.vertical:
        gap = np.array([left.quads[-1, 3], left.quads[-1, 2], right.quads[0, 1], right.quads[0, 0]], dtype=np.float32)
    sure = np.float32(min(one.confidence, two.confidence))
    return PageCharacters(
        (*left.texts, *between, *right.texts),
        np.concatenate([left.confidences, [sure] * len(between), right.confidences]).astype(np.float32),
        np.concatenate([left.quads, gap[None][: len(between)], right.quads]).astype(np.float32),
    )


def separator(left: str, right: str) -> str:
    """What stands between two pieces of a line: nothing between wide characters, a space otherwise."""
    if not left or not right:
        return ""
    wide = unicodedata.east_asian_width(left[-1]) in "WF" or unicodedata.east_asian_width(right[0]) in "WF"
    return "" if wide else " "


# --- columns -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """What stands above, left of, right of, and below a gutter, and the insets that interrupt it."""

    above: list[_Placed]
    left: list[_Placed]
    right: list[_Placed]
    inset: list[_Placed]
    below: list[_Placed]


@dataclass(frozen=True, slots=True)
class _Separator:
    """A rule along the rows."""

    x0: float
    x1: float
    y: float


Strip = tuple[float, float]
"""From x to x: the white between columns that were found above or below."""


def _cut(items: Sequence[_Placed], separators: Sequence[_Separator], known: Sequence[Strip]) -> list[_Placed]:
    columns = _widest_columns(items, separators, known)
    if columns is None:
        return _by_rows(items)
    beside = (*known, (max(item.x1 for item in columns.left), min(item.x0 for item in columns.right)))
    return [
        *_cut(columns.above, separators, beside),
        *_cut(columns.left, separators, ()),
        *_cut(columns.right, separators, ()),
        *_cut(columns.inset, separators, ()),
        *_cut(columns.below, separators, beside),
    ]


def _widest_columns(
    items: Sequence[_Placed], separators: Sequence[_Separator], known: Sequence[Strip]
) -> _Columns | None:
    """The gutter that has the most lines beside it; None if there is none."""
    best: _Columns | None = None
    x0, x1 = min((item.x0 for item in items), default=0.0), max((item.x1 for item in items), default=0.0)
    across = [rule for rule in separators if _overlap(rule.x0, rule.x1, x0, x1) >= ACROSS * (x1 - x0)]
    for x in _gaps(items):
        crossing = sorted((item for item in items if item.x0 < x < item.x1), key=_middle)
        insets = [item for item in crossing if _is_inset(item, items)]
        rules = [rule.y for rule in across if rule.x0 < x < rule.x1]
        for inset in ([], insets) if insets else ([],):
            ends = sorted([*rules, *(_middle(item) for item in crossing if item not in inset)])
            for top, bottom in pairwise([-math.inf, *ends, math.inf]):
                columns = _columns(items, x, top, bottom, inset)
                size = len(columns.left) + len(columns.right)
                if best is not None and size <= len(best.left) + len(best.right):
                    continue
                if len(columns.inset) <= INSETS * size and _are_columns(columns.left, columns.right, known):
                    best = columns
    return best


def _columns(items: Sequence[_Placed], x: float, top: float, bottom: float, insets: Sequence[_Placed]) -> _Columns:
    """The items parted at x between top and bottom."""
    beside = [item for item in items if top < _middle(item) < bottom]
    return _Columns(
        [item for item in items if _middle(item) <= top],
        [item for item in beside if item.x1 <= x],
        [item for item in beside if item.x0 >= x],
        [item for item in beside if item in insets],
        [item for item in items if _middle(item) >= bottom],
    )


def _is_inset(item: _Placed, items: Sequence[_Placed]) -> bool:
    """Whether text stands on both sides of it, as beside a quotation or a picture's caption that is set into the page;
    beside a heading over two columns there is none."""
    level = [other for other in items if _overlap(item.y0, item.y1, other.y0, other.y1) > BESIDE * item.height]
    return any(other.x1 <= item.x0 for other in level) and any(other.x0 >= item.x1 for other in level)


def _gaps(items: Sequence[_Placed]) -> list[float]:
    """Places where a gutter could be: just left of where lines start, one for those that start together."""
    step = 0.5 * _median_height(items) if items else 0.0
    places: list[float] = []
    for x0 in sorted(item.x0 for item in items):
        if not places or x0 - places[-1] > step:
            places.append(x0)
    return places


def _are_columns(left: Sequence[_Placed], right: Sequence[_Placed], known: Sequence[Strip]) -> bool:
    if not left or not right:
        return False
    strip = max(item.x1 for item in left), min(item.x0 for item in right)
    height = _median_height([*left, *right])
    goes_on = any(_overlap(*strip, *other) >= GUTTER * height for other in known)
    if min(len(left), len(right)) < (1 if goes_on else COLUMN_LINES):
        return False
    if not (_is_running_text(left) and _is_running_text(right)) and _share_rows(left, right):
        return False
    overlap = _overlap(*_extent(left), *_extent(right))
    return strip[1] - strip[0] >= GUTTER * height and overlap >= (0 if goes_on else COLUMN_LINES * height)


def _share_rows(left: Sequence[_Placed], right: Sequence[_Placed]) -> bool:
    """Whether most lines of the shorter side are level with one of the other side, as the cells of a table are."""
    fewer, more = sorted((left, right), key=len)
    level = sum(any(abs(_middle(item) - _middle(other)) < LEVEL * item.height for other in more) for item in fewer)
    return level > LEVEL_LINES * len(fewer)


def _is_running_text(items: Sequence[_Placed]) -> bool:
    return float(np.median([item.width for item in items])) >= COLUMN_WIDTH * _median_height(items)


def _by_rows(items: Sequence[_Placed]) -> list[_Placed]:
    rows: list[list[_Placed]] = []
    for item in sorted(items, key=_middle):
        if rows and _stands_beside(rows[-1], item):
            rows[-1].append(item)
        else:
            rows.append([item])
    return [item for row in rows for item in sorted(row, key=lambda item: item.x0)]


def _stands_beside(row: Sequence[_Placed], item: _Placed) -> bool:
    return any(
        _overlap(other.y0, other.y1, item.y0, item.y1) > SAME_ROW * min(other.height, item.height)
        and (item.x0 >= other.x1 - other.height or item.x1 <= other.x0 + other.height)
        for other in row
    )


def _middle(item: _Placed) -> float:
    return (item.y0 + item.y1) / 2


def _extent(items: Sequence[_Placed]) -> tuple[float, float]:
    return min(item.y0 for item in items), max(item.y1 for item in items)


def _overlap(a0: float, a1: float, b0: float, b1: float) -> float:
    return min(a1, b1) - max(a0, b0)


def _median_height(items: Sequence[_Placed]) -> float:
    return float(np.median([item.height for item in items]))
