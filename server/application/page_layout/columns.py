"""Columns of prose. Pure."""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Sequence

from server.application.page_layout.geometry import Glyph, Piece, Rule, center, is_unspaced, union
from server.application.page_layout.tables import Table
from server.domain.documents import Box

_FEWEST_COLUMN_ROWS = 4
_MOST_CROSSING = 0.35
_COLUMN_WIDTH = 18
"""Characters in the middle one of a column's lines, full-width ones twice: what stands in cells is shorter."""

Item = Piece | Table

# Vertical rules that part a page: for this share of its height, with this many glyphs on each side.
_PARTING_SHARE = 0.55
_FEWEST_BESIDE = 40
_NARROWEST_REGION = 0.2
_SAME_LINE = 3.0


def part_by_rules(glyphs: Sequence[Glyph], rules: Sequence[Rule]) -> list[list[Glyph]]:
    """Glyphs in regions, in reading order: what stands above long vertical rules, between them from left to right, and
    below. Rules that others cross are a table's and part nothing."""
    if not glyphs:
        return []
    page = union(glyph.box for glyph in glyphs)
    long = _long_verticals(rules, _PARTING_SHARE * (page.y1 - page.y0))
    if not long:
        return [list(glyphs)]
    top, bottom = min(rule.y0 for rule in long), max(rule.y1 for rule in long)
    level = [glyph for glyph in glyphs if top <= center(glyph.box)[1] <= bottom]
    bands, cuts = [level], list[float]()
    # Twice: a small first region counts beside two others, which are known only then.
    for rule in (*long, *long):
        cut = (rule.x0 + rule.x1) / 2
        parted = _bands(level, sorted([*cuts, cut]))
        if len(parted) > len(bands) and _are_regions(parted, cut, level, rules):
            bands, cuts = parted, sorted([*cuts, cut])
    if not cuts:
        return [list(glyphs)]
    above = [glyph for glyph in glyphs if center(glyph.box)[1] < top]
    below = [glyph for glyph in glyphs if center(glyph.box)[1] > bottom]
    return [region for region in (above, *bands, below) if region]


def _bands(glyphs: Sequence[Glyph], cuts: Sequence[float]) -> list[list[Glyph]]:
    """What stands between the cuts, from left to right, without the empty ones."""
    bands: list[list[Glyph]] = [[] for _ in range(len(cuts) + 1)]
    for glyph in glyphs:
        bands[bisect.bisect(cuts, center(glyph.box)[0])].append(glyph)
    return [band for band in bands if band]


def _long_verticals(rules: Sequence[Rule], least: float) -> list[Box]:
    """Vertical rules, those on one line put together, the longest first."""
    merged: list[Box] = []
    lengths: list[float] = []
    for box in sorted((rule.box for rule in rules if not rule.horizontal), key=lambda box: box.x0):
        if merged and box.x0 - merged[-1].x0 <= _SAME_LINE:
            merged[-1] = union((merged[-1], box))
            lengths[-1] += box.y1 - box.y0
        else:
            merged.append(box)
            lengths.append(box.y1 - box.y0)
    ordered = sorted(zip(lengths, merged, strict=True), key=lambda found: -found[0])
    return [box for length, box in ordered if length >= least]


def _are_regions(bands: Sequence[Sequence[Glyph]], cut: float, level: Sequence[Glyph], rules: Sequence[Rule]) -> bool:
    """Whether these are parts of a page and not columns of a table: wide enough for text, with nothing across the cut
    that makes them."""
    whole = union(glyph.box for glyph in level)
    if any(glyph.box.x0 + 1 < cut < glyph.box.x1 - 1 for glyph in level):
        return False
    crossing = [rule.box for rule in rules if rule.box.x0 < cut - _SAME_LINE and cut + _SAME_LINE < rule.box.x1]
    if any(whole.y0 < box.y0 and box.y1 < whole.y1 for box in crossing):
        return False
    least = _NARROWEST_REGION * (whole.x1 - whole.x0)
    texts = [len(band) >= _FEWEST_BESIDE and _width(band) >= least for band in bands]
    # The first may be small beside two others: the head of a page of vertical writing.
    return all(texts[1:]) and sum(texts) >= 2


def _width(glyphs: Sequence[Glyph]) -> float:
    box = union(glyph.box for glyph in glyphs)
    return box.x1 - box.x0


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
