"""From the content of a page of a PDF to its blocks in reading order. Pure.

Glyphs become pieces, ruled tables are taken out, columns of prose are told apart, and the lines of each become blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from server.adapters.reading.pdf_content import PageContent
from server.application.page_layout.blocks import TypeSizes, column_blocks
from server.application.page_layout.columns import find_columns, part_by_rules
from server.application.page_layout.geometry import FrameMap, Glyph, Rule, center, is_unspaced
from server.application.page_layout.pieces import find_pieces
from server.application.page_layout.tables import find_ruled_tables
from server.domain.documents import Block, Box

# Drawn turned by a quarter where text goes down.
_LYING_MARKS = frozenset("ー－―‐–—～〜…‥|｜=＝()（）「」『』【】〔〕[]<>〈〉《》:：;；")


def body_size(contents: Iterable[PageContent]) -> float:
    """The size of most characters, to the half point; 0 without characters."""
    counts: dict[float, int] = {}
    for content in contents:
        for glyphs in content.turned.values():
            for glyph in glyphs:
                size = round(glyph.size * 2) / 2
                counts[size] = counts.get(size, 0) + 1
    return max(counts, key=lambda size: counts[size]) if counts else 0.0


def lay_out(content: PageContent, body: float) -> tuple[Block, ...]:
    """Blocks of a page, boxes in points of the page as it is seen. `body` is the usual font size of the document."""
    blocks: list[Block] = []
    # What runs in the direction of most of the page comes first; the rest (stamps, labels of axes) has no headings.
    for place, (turn, glyphs) in enumerate(_directions(content.turned)):
        sizes = TypeSizes(0.0 if place else body)
        vertical = turn == 0 and _is_vertical(glyphs)
        there, back = _frame(90 if vertical else turn, content.width, content.height)
        rules = [Rule(there(rule.box)) for rule in content.rules]
        placed = [replace(glyph, box=there(glyph.box)) for glyph in glyphs] if turn or vertical else glyphs
        for framed in part_by_rules(placed, rules):
            blocks.extend(_region_blocks(framed, rules, sizes, back, vertical))
    return tuple(blocks)


def _directions(turned: Mapping[int, Sequence[Glyph]]) -> list[tuple[int, Sequence[Glyph]]]:
    """Glyphs by their direction, most first. Marks that lie down in vertical writing belong to the text around them."""
    (turn, glyphs), *others = sorted(turned.items(), key=lambda item: -len(item[1])) or [(0, [])]
    marks = [other for other in others if all(glyph.text in _LYING_MARKS for glyph in other[1])]
    whole = [*glyphs, *itertools.chain.from_iterable(lying for _, lying in marks)]
    return [(turn, whole), *(other for other in others if other not in marks)]


def _region_blocks(
    framed: Sequence[Glyph], rules: Sequence[Rule], sizes: TypeSizes, back: FrameMap, vertical: bool
) -> list[Block]:
    """Blocks of one region of a page, turned back. On a page of vertical writing, one may run across (its head)."""
    if vertical:
        upright = [replace(glyph, box=back(glyph.box)) for glyph in framed]
        if not _is_vertical(upright):
            return _blocks(upright, [Rule(back(rule.box)) for rule in rules], sizes)
    return [_turned_back(block, back) for block in _blocks(framed, rules, sizes)]


def _is_vertical(glyphs: Sequence[Glyph]) -> bool:
    """Whether characters stand below each other: Japanese in columns."""
    down = across = 0
    for last, glyph in itertools.pairwise(glyphs):
        if is_unspaced(last.text[-1]) and is_unspaced(glyph.text[0]):
            (ax, ay), (bx, by) = center(last.box), center(glyph.box)
            down += 0 < by - ay < 2.5 * glyph.size and abs(bx - ax) < 0.5 * glyph.size
            across += 0 < bx - ax < 2.5 * glyph.size and abs(by - ay) < 0.5 * glyph.size
    return down > 20 and down > across


def _frame(turn: int, width: float, height: float) -> tuple[FrameMap, FrameMap]:
    """Into the frame in which text of this direction runs from left to right, and back."""
    match turn:
        case 90:
            return (
                lambda b: Box(b.y0, width - b.x1, b.y1, width - b.x0),
                lambda b: Box(width - b.y1, b.x0, width - b.y0, b.x1),
            )
        case 180:

            def around(b: Box) -> Box:
                return Box(width - b.x1, height - b.y1, width - b.x0, height - b.y0)

            return around, around
        case 270:
            return (
                lambda b: Box(height - b.y1, b.x0, height - b.y0, b.x1),
                lambda b: Box(b.y0, height - b.x1, b.y1, height - b.x0),
            )
        case _:
            return (lambda b: b), (lambda b: b)


def _turned_back(block: Block, back: FrameMap) -> Block:
    return replace(
        block, lines=tuple(replace(line, box=back(line.box)) for line in block.lines if line.box is not None)
    )


def _blocks(glyphs: Sequence[Glyph], rules: Sequence[Rule], sizes: TypeSizes) -> list[Block]:
    tables, pieces = find_ruled_tables(find_pieces(glyphs), rules)
    return [block for column in find_columns([*pieces, *tables]) for block in column_blocks(column, sizes)]
