"""From the lines that OCR reads to a page of blocks. Pure."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import replace

from server.application.line_joining import starts_item
from server.application.page_layout.blocks import TypeSizes, column_blocks
from server.application.page_layout.geometry import Piece
from server.application.ports import PageImage, RecognizedImage
from server.application.sentences import ends_sentence
from server.domain.documents import Block, BlockKind, Box, Line, Page

# The heights of recognized boxes vary with the letters in them, and bold print cannot be told.
_SAME_SIZE = 0.28
_HEADING_LEVELS = ((1.6, 1), (1.22, 2))
_TITLE_LEVEL = 3
_TITLE_WIDTH = 0.45
_LONGER_BELOW = 1.5


def page_from_recognition(image: PageImage, recognized: RecognizedImage) -> Page:
    """Boxes become the page's units. Lines stay in the order in which they come, which is reading order, but for lines
    beside each other, which become one; larger lines become headings, aligned cells tables."""
    lines = [line for line in recognized.lines if line.text.strip()]
    confidence = statistics.fmean(line.confidence for line in lines) if lines else 1.0
    pieces = [_piece(line.text, line.box, image.scale) for line in lines]
    return Page(image.number, image.width, image.height, tuple(_blocks(pieces)), confidence, recognized=True)


def _piece(text: str, box: Box, scale: float) -> Piece:
    placed = Box(box.x0 / scale, box.y0 / scale, box.x1 / scale, box.y1 / scale)
    return Piece(" ".join(text.split()), placed, placed.y1 - placed.y0, bold=False, glyphs=())


def _blocks(pieces: Sequence[Piece]) -> list[Block]:
    blocks: list[Block] = []
    for vertical, found in itertools.groupby(pieces, _is_vertical):
        run = list(found)
        blocks.extend(_vertical_blocks(run) if vertical else _upright_blocks(run))
    return blocks


def _vertical_blocks(pieces: Sequence[Piece]) -> list[Block]:
    """Laid out in a frame in which the lines follow each other downwards: vertical writing goes to the left, a page
    that lies on its side may go to the right."""
    to_the_right = pieces[-1].box.x0 > pieces[0].box.x0
    sign = 1 if to_the_right else -1

    def turned(box: Box) -> Box:
        low, high = sorted((sign * box.x0, sign * box.x1))
        return Box(box.y0, low, box.y1, high)

    def turned_back(line: Line) -> Line:
        if line.box is None:
            return line
        low, high = sorted((sign * line.box.y0, sign * line.box.y1))
        return replace(line, box=Box(low, line.box.x0, high, line.box.x1))

    framed = [replace(piece, box=turned(piece.box), size=piece.box.x1 - piece.box.x0) for piece in pieces]
    return [replace(block, lines=tuple(map(turned_back, block.lines))) for block in _upright_blocks(framed)]


def _upright_blocks(pieces: Sequence[Piece]) -> list[Block]:
    sizes = TypeSizes(_body(pieces), _SAME_SIZE, _HEADING_LEVELS)
    blocks: list[Block] = []
    for column in _columns(pieces):
        width = max(piece.box.x1 for piece in column) - min(piece.box.x0 for piece in column)
        blocks.extend(_with_titles(column_blocks(column, sizes), width))
    return blocks


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


def _columns(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Runs of lines that go down the page: where the next line stands higher up, another column begins."""
    columns: list[list[Piece]] = []
    for piece in pieces:
        if columns and piece.box.y1 > columns[-1][-1].box.y0:
            columns[-1].append(piece)
        else:
            columns.append([piece])
    return columns
