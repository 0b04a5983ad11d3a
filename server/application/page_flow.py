"""From pages to one flow of runs: running heads left out, what a page break or a column parted put together. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from server.application.line_joining import starts_item
from server.application.sentences import ends_sentence
from server.domain.documents import Block, BlockKind, Line, Page

_MARGIN = 0.12
_FEWEST_PAGES = 3
_RUNNING_SHARE = 0.4
_LONGEST_RUNNING = 120
_DIGITS = re.compile(r"\d+")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class PlacedLine:
    line: Line
    page: int


@dataclass(frozen=True, slots=True)
class Run:
    """A block that may go over pages."""

    kind: BlockKind
    level: int
    lines: tuple[PlacedLine, ...]


def flow(pages: Sequence[Page]) -> list[Run]:
    """All lines with text, in order, but those that a page's head or foot repeats on many pages."""
    running = _running_lines(pages)
    runs: list[Run] = []
    for page in pages:
        for block in page.blocks:
            lines = tuple(
                PlacedLine(line, page.number)
                for line in block.lines
                if line.text.strip() and not (_in_margin(page, line) and _shape(line) in running)
            )
            if lines:
                _append(runs, block, lines)
    return runs


def _append(runs: list[Run], block: Block, lines: tuple[PlacedLine, ...]) -> None:
    last = runs[-1] if runs else None
    if last is not None and _parted(last, lines) and block.kind is BlockKind.TABLE and last.kind is BlockKind.TABLE:
        if _cells(last.lines[0]) == _cells(lines[0]):
            repeated = last.lines[0].line.text == lines[0].line.text
            runs[-1] = Run(last.kind, last.level, last.lines + lines[repeated:])
            return
    elif last is not None and block.kind is BlockKind.PARAGRAPH and _parted(last, lines) and _goes_on(last, lines[0]):
        runs[-1] = Run(last.kind, last.level, last.lines + lines)
        return
    runs.append(Run(block.kind, block.level, lines))


def _parted(last: Run, lines: Sequence[PlacedLine]) -> bool:
    """Whether a page or a column ends between the two."""
    above, below = last.lines[-1], lines[0]
    if above.page != below.page:
        return below.page == above.page + 1
    if above.line.box is None or below.line.box is None:
        return False
    return below.line.box.y1 < above.line.box.y0


def _goes_on(last: Run, line: PlacedLine) -> bool:
    """Whether a sentence is open at the end of `last` and `line` can continue it."""
    text = line.line.text.lstrip()
    if last.kind not in (BlockKind.PARAGRAPH, BlockKind.LIST) or ends_sentence(last.lines[-1].line.text):
        return False
    return text[0].islower() or (_UNSPACED.match(text) is not None and not starts_item(text))


def _cells(row: PlacedLine) -> int:
    return row.line.text.count("|")


def _running_lines(pages: Sequence[Page]) -> frozenset[str]:
    """Shapes of lines that stand in the margins of many pages."""
    if len(pages) < _FEWEST_PAGES:
        return frozenset()
    counts: Counter[str] = Counter()
    for page in pages:
        counts.update({_shape(line) for block in page.blocks for line in block.lines if _in_margin(page, line)})
    least = max(_FEWEST_PAGES, _RUNNING_SHARE * len(pages))
    return frozenset(shape for shape, count in counts.items() if count >= least)


def _in_margin(page: Page, line: Line) -> bool:
    if line.box is None or page.height <= 0 or len(line.text) > _LONGEST_RUNNING:
        return False
    return line.box.y1 < _MARGIN * page.height or line.box.y0 > (1 - _MARGIN) * page.height


def _shape(line: Line) -> str:
    return _DIGITS.sub("#", " ".join(line.text.split()))
