"""From the content of a page of a PDF to its blocks in reading order. Pure.

Glyphs become pieces, ruled tables are taken out, columns of prose are told apart, and the lines of each become blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

from server.adapters.reading.pdf_content import PageContent
from server.application.page_layout.blocks import TypeSizes, column_blocks
from server.application.page_layout.columns import find_columns
from server.application.page_layout.geometry import FrameMap, Glyph, Rule, center, is_unspaced
from server.application.page_layout.pieces import find_pieces
from server.application.page_layout.tables import find_ruled_tables
from server.domain.documents import Block, Box


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
    ordered = sorted(content.turned.items(), key=lambda item: -len(item[1]))
    for place, (turn, glyphs) in enumerate(ordered):
        upright = 90 if turn == 0 and _is_vertical(glyphs) else turn
        there, back = _frame(upright, content.width, content.height)
        framed = [replace(glyph, box=there(glyph.box)) for glyph in glyphs]
        rules = [Rule(there(rule.box)) for rule in content.rules]
        blocks.extend(_turned_back(block, back) for block in _blocks(framed, rules, TypeSizes(0.0 if place else body)))
    return tuple(blocks)


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
