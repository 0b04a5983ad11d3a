"""From the lines that OCR reads to a page of blocks. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from server.application.line_joining import starts_item
from server.application.ports import PageImage, RecognizedImage, RecognizedLine
from server.domain.documents import Block, BlockKind, Box, Line, Page

# A new block begins where the gap between two lines exceeds this share of their thickness, …
_LARGEST_GAP = 0.9
# … where their thickness differs by more than this factor, …
_LARGEST_RATIO = 1.35
# … or where they share less than this part of the shorter one's extent (columns).
_SMALLEST_OVERLAP = 0.3
# A block of few, thicker lines is a heading: (least ratio to the page's usual thickness, level).
_HEADING_LEVELS = ((1.7, 1), (1.4, 2))
_MOST_HEADING_LINES = 2
_LONGEST_HEADING = 120


def page_from_recognition(image: PageImage, recognized: RecognizedImage) -> Page:
    """Lines stay in the order in which they come, which is reading order; boxes become the page's units."""
    lines = [_placed(line, image.scale) for line in recognized.lines if line.text.strip()]
    usual = statistics.median(line.thickness for line in lines) if lines else 0.0
    confidence = statistics.fmean(line.confidence for line in recognized.lines) if recognized.lines else 1.0
    blocks = tuple(_block(run, usual) for run in _runs(lines))
    return Page(image.number, image.width, image.height, blocks, confidence, recognized=True)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A line and its place: `along` where it begins and ends in writing direction, `across` over its thickness, growing
    in the direction in which lines follow each other (down; to the left in vertical writing)."""

    line: Line
    vertical: bool
    along: tuple[float, float]
    across: tuple[float, float]

    @property
    def thickness(self) -> float:
        return self.across[1] - self.across[0]


def _placed(line: RecognizedLine, scale: float) -> _Placed:
    box = Box(line.box.x0 / scale, line.box.y0 / scale, line.box.x1 / scale, line.box.y1 / scale)
    vertical = len(line.text) > 1 and box.y1 - box.y0 > 1.5 * (box.x1 - box.x0)
    placed = Line(line.text, box)
    if vertical:
        return _Placed(placed, True, (box.y0, box.y1), (-box.x1, -box.x0))
    return _Placed(placed, False, (box.x0, box.x1), (box.y0, box.y1))


def _runs(lines: Sequence[_Placed]) -> list[list[_Placed]]:
    runs: list[list[_Placed]] = []
    for line in lines:
        if runs and _goes_on(runs[-1][-1], line):
            runs[-1].append(line)
        else:
            runs.append([line])
    return runs


def _goes_on(last: _Placed, line: _Placed) -> bool:
    if last.vertical is not line.vertical or starts_item(line.line.text):
        return False
    thin, thick = sorted((last.thickness, line.thickness))
    if thick > _LARGEST_RATIO * thin:
        return False
    gap = line.across[0] - last.across[1]
    overlap = min(last.along[1], line.along[1]) - max(last.along[0], line.along[0])
    shorter = min(last.along[1] - last.along[0], line.along[1] - line.along[0])
    return -thick < gap <= _LARGEST_GAP * thick and overlap >= _SMALLEST_OVERLAP * shorter


def _block(run: Sequence[_Placed], usual: float) -> Block:
    lines = tuple(placed.line for placed in run)
    if starts_item(lines[0].text):
        return Block(BlockKind.LIST, lines)
    if len(lines) <= _MOST_HEADING_LINES and sum(len(line.text) for line in lines) <= _LONGEST_HEADING:
        thickness = min(placed.thickness for placed in run)
        for ratio, level in _HEADING_LEVELS:
            if thickness >= ratio * usual:
                return Block(BlockKind.HEADING, lines, level)
    return Block(BlockKind.PARAGRAPH, lines)
