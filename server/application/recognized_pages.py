"""From the lines that OCR reads to a page of blocks. Pure."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from server.application.line_joining import starts_item
from server.application.model_ports import RecognizedCharacter, RecognizedImage, RecognizedLine
from server.application.page_layout.blocks import TypeSizes, column_blocks
from server.application.page_layout.columns import Item
from server.application.page_layout.geometry import FrameMap, Glyph, Piece, Rule, center
from server.application.page_layout.tables import find_ruled_tables, holds
from server.application.reading_ports import PageImage
from server.application.sentences import ends_sentence
from server.domain.documents import Block, BlockKind, Box, Line, Page

# The heights of recognized boxes vary with the letters in them, and bold print cannot be told.
_SAME_SIZE = 0.28
_HEADING_LEVELS = ((1.6, 1), (1.22, 2))
_TITLE_LEVEL = 3
_TITLE_WIDTH = 0.45
_LONGER_BELOW = 1.5
_CELL_GAP = 0.55
# Radians. Less is as good as level; more is a photograph at an angle, whose boxes tell too little.
_LEAST_SKEW = 0.002
_MOST_SKEW = 0.2
_LEAST_SIDE = 0.3


def page_from_recognition(image: PageImage, recognized: RecognizedImage) -> Page:
    """Boxes become the page's units. Lines stay in the order in which they come, which is reading order, but for lines
    beside each other, which become one; larger lines become headings, cells between rules or in columns tables. A page
    that lies a little askew is laid out level, and its boxes are turned back."""
    lines = [line for line in recognized.lines if line.text.strip()]
    confidence = statistics.fmean(line.confidence for line in lines) if lines else 1.0
    skew = recognized.skew if _LEAST_SKEW < abs(recognized.skew) < _MOST_SKEW else 0.0
    level = _Level(skew, image.width / 2, image.height / 2)
    pieces = [_piece(line, image.scale, level) for line in lines]
    rules = [level.rule(*(end / image.scale for end in ends)) for ends in recognized.rules]
    blocks = tuple(_moved(block, level.back) for block in _blocks(pieces, rules))
    return Page(image.number, image.width, image.height, blocks, confidence, recognized=True)


@dataclass(frozen=True, slots=True)
class _Level:
    """The page turned by `skew` around a point, so that its rows are level. Boxes are upright rectangles around text on
    both sides, so they are taken for those of rectangles that lie as askew as the page."""

    skew: float
    x: float
    y: float

    def box(self, box: Box) -> Box:
        if self.skew == 0:
            return box
        width, height = box.x1 - box.x0, box.y1 - box.y0
        cos, sin = math.cos(self.skew), abs(math.sin(self.skew))
        inner = (width * cos - height * sin) / (cos**2 - sin**2), (height * cos - width * sin) / (cos**2 - sin**2)
        # A short line may have been found less askew than the page.
        return self._around(box, -self.skew, max(inner[0], _LEAST_SIDE * width), max(inner[1], _LEAST_SIDE * height))

    def back(self, box: Box) -> Box:
        if self.skew == 0:
            return box
        width, height = box.x1 - box.x0, box.y1 - box.y0
        cos, sin = math.cos(self.skew), abs(math.sin(self.skew))
        return self._around(box, self.skew, width * cos + height * sin, width * sin + height * cos)

    def rule(self, x0: float, y0: float, x1: float, y1: float) -> Rule:
        (ax, ay), (bx, by) = self._turned(x0, y0, -self.skew), self._turned(x1, y1, -self.skew)
        return Rule(Box(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)))

    def _around(self, box: Box, angle: float, width: float, height: float) -> Box:
        x, y = self._turned(*center(box), angle)
        return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    def _turned(self, x: float, y: float, angle: float) -> tuple[float, float]:
        cos, sin = math.cos(angle), math.sin(angle)
        return self.x + (x - self.x) * cos - (y - self.y) * sin, self.y + (x - self.x) * sin + (y - self.y) * cos


def _piece(line: RecognizedLine, scale: float, level: _Level) -> Piece:
    def placed(box: Box) -> Box:
        return level.box(Box(box.x0 / scale, box.y0 / scale, box.x1 / scale, box.y1 / scale))

    box = placed(line.box)
    size = box.y1 - box.y0
    characters = line.characters or (RecognizedCharacter(line.text, line.confidence, line.box),)
    glyphs = tuple(
        Glyph(character.text, placed(character.box), size, bold=False, spaced=before.isspace())
        for before, character in zip(("", *(character.text for character in characters)), characters, strict=False)
        if character.text.strip()
    )
    return Piece(" ".join(line.text.split()), box, size, bold=False, glyphs=glyphs)


def _blocks(pieces: Sequence[Piece], rules: Sequence[Rule]) -> list[Block]:
    blocks: list[Block] = []
    for vertical, found in itertools.groupby(pieces, _is_vertical):
        run = list(found)
        blocks.extend(_vertical_blocks(run, rules) if vertical else _upright_blocks(run, rules))
    return blocks


def _vertical_blocks(pieces: Sequence[Piece], rules: Sequence[Rule]) -> list[Block]:
    """Laid out in a frame in which the lines follow each other downwards: vertical writing goes to the left, a page
    that lies on its side may go to the right."""
    to_the_right = pieces[-1].box.x0 > pieces[0].box.x0
    sign = 1 if to_the_right else -1

    def turned(box: Box) -> Box:
        low, high = sorted((sign * box.x0, sign * box.x1))
        return Box(box.y0, low, box.y1, high)

    def turned_back(box: Box) -> Box:
        low, high = sorted((sign * box.y0, sign * box.y1))
        return Box(low, box.x0, high, box.x1)

    framed = [_in_frame(piece, turned) for piece in pieces]
    blocks = _upright_blocks(framed, [Rule(turned(rule.box)) for rule in rules])
    return [_moved(block, turned_back) for block in blocks]


def _in_frame(piece: Piece, turned: FrameMap) -> Piece:
    box = turned(piece.box)
    size = box.y1 - box.y0
    glyphs = tuple(replace(glyph, box=turned(glyph.box), size=size) for glyph in piece.glyphs)
    return replace(piece, box=box, size=size, glyphs=glyphs)


def _moved(block: Block, map_box: FrameMap) -> Block:
    return replace(
        block, lines=tuple(replace(line, box=map_box(line.box)) for line in block.lines if line.box is not None)
    )


def _upright_blocks(pieces: Sequence[Piece], rules: Sequence[Rule]) -> list[Block]:
    sizes = TypeSizes(_body(pieces), _SAME_SIZE, _HEADING_LEVELS)
    blocks: list[Block] = []
    for column in _columns(_with_tables(pieces, rules)):
        width = max(item.box.x1 for item in column) - min(item.box.x0 for item in column)
        blocks.extend(_with_titles(column_blocks(column, sizes, _CELL_GAP), width))
    return blocks


def _with_tables(pieces: Sequence[Piece], rules: Sequence[Rule]) -> list[Item]:
    """Each table between rules stands where the first of its pieces stood."""
    tables, rest = find_ruled_tables(pieces, rules)
    left = set(map(id, rest))
    waiting = list(tables)
    items: list[Item] = []
    for piece in pieces:
        if id(piece) in left:
            items.append(piece)
            continue
        here = [table for table in waiting if holds(table.box, piece.box)]
        items.extend(here)
        waiting = [table for table in waiting if table not in here]
    return items


def _with_titles(blocks: Sequence[Block], column_width: float) -> list[Block]:
    """Sizes tell few headings of a scan, so a short line above a much longer one counts as one as well."""
    titled: list[Block] = []
    for block, below in itertools.zip_longest(blocks, blocks[1:]):
        following = [*block.lines[1:], *(below.lines if below is not None else ())]
        first = block.lines[0]
        if block.kind is BlockKind.PARAGRAPH and following and _is_title(first, following[0], column_width):
            titled.append(Block(BlockKind.HEADING, (first,), _TITLE_LEVEL))
            if block.lines[1:]:
                titled.append(Block(BlockKind.PARAGRAPH, block.lines[1:]))
        else:
            titled.append(block)
    return titled


def _is_title(line: Line, below: Line, column_width: float) -> bool:
    if line.box is None or below.box is None or ends_sentence(line.text) or starts_item(line.text):
        return False
    width = line.box.x1 - line.box.x0
    return (
        width < _TITLE_WIDTH * column_width
        and below.box.x1 - below.box.x0 > _LONGER_BELOW * width
        and sum(character.isalpha() for character in line.text) * 2 > len(line.text)
    )


def _is_vertical(piece: Piece) -> bool:
    return len(piece.text) > 1 and piece.box.y1 - piece.box.y0 > 1.5 * (piece.box.x1 - piece.box.x0)


def _body(pieces: Sequence[Piece]) -> float:
    """The median height of a character's line."""
    heights = sorted((piece.size, len(piece.text)) for piece in pieces)
    half = sum(length for _, length in heights) / 2
    for height, length in heights:
        half -= length
        if half <= 0:
            return height
    return heights[-1][0]


def _columns(items: Sequence[Item]) -> list[list[Item]]:
    """Runs of items that go down the page: where the next one stands higher up, another column begins."""
    columns: list[list[Item]] = []
    for item in items:
        if columns and item.box.y1 > columns[-1][-1].box.y0:
            columns[-1].append(item)
        else:
            columns.append([item])
    return columns
