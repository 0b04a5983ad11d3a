"""Columns of prose. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from server.application.page_layout.geometry import Piece, center, is_unspaced, union
from server.application.page_layout.tables import Table

_FEWEST_COLUMN_ROWS = 4
_MOST_CROSSING = 0.35
_COLUMN_WIDTH = 18
"""Characters in the middle one of a column's lines, full-width ones twice: what stands in cells is shorter."""

Item = Piece | Table


def find_columns(items: list[Item]) -> list[list[Item]]:
    """Items parted into columns, in reading order."""
    gutter = _gutter(items)
    if gutter is None:
        return [items] if items else []
    across = sorted((item for item in items if item.box.x0 < gutter < item.box.x1), key=lambda item: item.box.y0)
    beside = [item for item in items if not item.box.x0 < gutter < item.box.x1]
    parted: list[list[Item]] = []
    crossing: list[Item] = []
    for item in across:
        above = [other for other in beside if center(other.box)[1] < center(item.box)[1]]
        if above:
            if crossing:
                parted.append(crossing)
                crossing = []
            beside = [other for other in beside if center(other.box)[1] >= center(item.box)[1]]
            parted.extend(_sides(above, gutter))
        crossing.append(item)
    if crossing:
        parted.append(crossing)
    parted.extend(_sides(beside, gutter))
    return parted


def _sides(items: list[Item], gutter: float) -> list[list[Item]]:
    left = [item for item in items if item.box.x1 <= gutter]
    right = [item for item in items if item.box.x1 > gutter]
    return find_columns(left) + find_columns(right)


def _gutter(items: Sequence[Item]) -> float | None:
    """Where a vertical line parts most items into two columns of prose, crossed by few."""
    best: tuple[int, float] | None = None
    for x in sorted({round(item.box.x1) + 1.5 for item in items}):
        left = [item for item in items if item.box.x1 <= x]
        right = [item for item in items if item.box.x0 >= x]
        crossing = len(items) - len(left) - len(right)
        if crossing > _MOST_CROSSING * len(items) or (best is not None and crossing >= best[0]):
            continue
        if _is_prose_column(left) and _is_prose_column(right) and _side_by_side(left, right):
            best = (crossing, x)
    return best[1] if best else None


def _is_prose_column(items: Sequence[Item]) -> bool:
    """Whether these look like lines of running text: enough of them, long, and most of them full."""
    pieces = [item for item in items if isinstance(item, Piece)]
    if len(pieces) < _FEWEST_COLUMN_ROWS:
        return False
    widths = [piece.box.x1 - piece.box.x0 for piece in pieces]
    letters = statistics.median(2 * len(p.text) if is_unspaced(p.text[0]) else len(p.text) for p in pieces)
    return letters >= _COLUMN_WIDTH and statistics.median(widths) >= 0.5 * (max(widths))


def _side_by_side(left: Sequence[Item], right: Sequence[Item]) -> bool:
    a, b = union(item.box for item in left), union(item.box for item in right)
    return min(a.y1, b.y1) - max(a.y0, b.y0) > 0.3 * min(a.y1 - a.y0, b.y1 - b.y0)
