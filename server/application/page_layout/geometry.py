"""Glyphs, pieces of text and rules on a page, in the frame in which they are laid out.

All coordinates have their origin at the top left and y growing downwards, in PDF points. Text that runs another way
(turned pages, vertical Japanese) is laid out in a frame in which it runs from left to right, and its boxes are turned
back at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from server.domain.documents import Box

# Scripts written without spaces between words (kana, Han, full-width forms), where lines join without a space.
_UNSPACED = re.compile("[\u2e80-\u303f\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")

FrameMap = Callable[[Box], Box]


def is_unspaced(character: str) -> bool:
    return character >= "\u2e80" and _UNSPACED.match(character) is not None


@dataclass(frozen=True, slots=True)
class Glyph:
    """One character. `size` is the font's size in points; `spaced` says that the file has white space before it."""

    text: str
    box: Box
    size: float
    bold: bool
    spaced: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight horizontal or vertical line, drawn or the edge of a filled rectangle. Its box may have no area."""

    box: Box

    @property
    def horizontal(self) -> bool:
        return self.box.x1 - self.box.x0 >= self.box.y1 - self.box.y0


@dataclass(frozen=True, slots=True)
class Piece:
    """Glyphs on one baseline without a gap between them as wide as the gap between columns."""

    text: str
    box: Box
    size: float
    bold: bool
    glyphs: tuple[Glyph, ...]


def center(box: Box) -> tuple[float, float]:
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def union(boxes: Iterable[Box]) -> Box:
    """The smallest box around all (at least one)."""
    every = list(boxes)
    return Box(
        min(box.x0 for box in every),
        min(box.y0 for box in every),
        max(box.x1 for box in every),
        max(box.y1 for box in every),
    )


def same_row(a: Box, b: Box) -> bool:
    """Whether the two overlap vertically by more than half of the lower one's height."""
    overlap = min(a.y1, b.y1) - max(a.y0, b.y0)
    return overlap > 0.5 * min(a.y1 - a.y0, b.y1 - b.y0)
