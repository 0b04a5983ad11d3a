"""From pages to one flow of runs: running heads left out, what a page break or a column parted put together. Pure."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from server.application.line_joining import starts_item
from server.application.sentences import ends_sentence
from server.domain.documents import Block, BlockKind, Line, Page

_MARGIN = 0.12
_FEWEST_PAGES = 3
_RUNNING_SHARE = 0.4
_LONGEST_RUNNING = 120
_SAME_HEIGHT = 3.0
_DEEPEST_HEAD = 4
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(
    r"[-–—\[(（ ]*(?:page|p\.?|seite)? ?(\d{1,4})(?: ?(?:/|／|of) ?\d{1,4}| ?(?:ページ|頁))?[-–—\])） ]*", re.IGNORECASE
)
_CONTINUED = re.compile(r"continued|cont[’']?d\b|続き|つづき|つづく|（続）", re.IGNORECASE)
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
    """All lines with text, in order, but those that a page's head or foot repeats on many pages, and page numbers."""
    running = _running_lines(pages)
    runs: list[Run] = []
    for page in pages:
        for block in page.blocks:
            margin = [_in_margin(page, line) for line in block.lines]
            # The first row of a table that fills the page is its head, not the page's.
            droppable = block.kind is not BlockKind.TABLE or all(margin)
            lines = tuple(
                PlacedLine(line, page.number)
                for line, outside in zip(block.lines, margin, strict=True)
                if line.text.strip() and not (droppable and outside and _shape(line) in running)
            )
            if lines:
                _append(runs, block, lines)
    return runs


def head_rows(rows: Sequence[Line]) -> int:
    """How many rows are the head of a table: the first, and where the first have less than half of the others' cells
    (a title, a head over several columns), those down to the first whole row."""
    filled = [sum(bool(cell.strip()) for cell in row.text.split("|")) for row in rows[:_DEEPEST_HEAD]]
    whole = next(number for number, count in enumerate(filled) if count * 2 > max(filled))
    return whole + 1 if whole + 1 < len(rows) else 1


def _append(runs: list[Run], block: Block, lines: tuple[PlacedLine, ...]) -> None:
    if block.kind is BlockKind.TABLE:
        above = _table_above(runs, lines)
        if above is not None:
            del runs[above + 1 :]
            last = runs[above]
            head = {row.line.text for row in last.lines[: head_rows([row.line for row in last.lines])]}
            fresh = tuple(itertools.dropwhile(lambda row: row.line.text in head, lines))
            runs[above] = Run(last.kind, last.level, last.lines + fresh)
            return
    elif block.kind is BlockKind.PARAGRAPH and runs and _parted(runs[-1], lines) and _goes_on(runs[-1], lines[0]):
        runs[-1] = Run(runs[-1].kind, runs[-1].level, runs[-1].lines + lines)
        return
    runs.append(Run(block.kind, block.level, lines))


def _table_above(runs: Sequence[Run], lines: Sequence[PlacedLine]) -> int | None:
    """The place of the table that goes on with these rows: with as many columns, at the end of the page or column
    before; between the two may stand a line that says so."""
    for place in range(len(runs) - 1, max(len(runs) - 3, -1), -1):
        run = runs[place]
        if run.kind is BlockKind.TABLE:
            return place if _parted(run, lines) and _cells(run.lines[0]) == _cells(lines[0]) else None
        if len(run.lines) > 1 or not _CONTINUED.search(run.lines[0].line.text):
            return None
    return None


def _parted(last: Run, lines: Sequence[PlacedLine]) -> bool:
    """Whether a page or a column ends between the two."""
    above, below = last.lines[-1], lines[0]
    if above.line.box is None or below.line.box is None:
        return False
    if above.page != below.page:
        return below.page == above.page + 1
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
    """Shapes of lines that stand in the margins of many pages; and of those that three pages close to each other have
    at the same height (the head of a chapter), or two if they are numbers that go on as the pages do."""
    places: dict[str, list[tuple[int, float, Line]]] = defaultdict(list)
    for page in pages:
        for block in page.blocks:
            for line in block.lines:
                if line.box is not None and _in_margin(page, line):
                    places[_shape(line)].append((page.number, line.box.y0, line))
    least = max(_FEWEST_PAGES, _RUNNING_SHARE * len(pages))
    return frozenset(
        shape
        for shape, found in places.items()
        if (len(pages) >= _FEWEST_PAGES and len({number for number, _, _ in found}) >= least)
        or _is_chapter_head(found)
        or _counts_pages(found)
    )


def _is_chapter_head(found: Sequence[tuple[int, float, Line]]) -> bool:
    """On three pages with at most one between two of them (heads often stand on every second), at one height."""
    return any(
        last[0] - first[0] <= 2 * (_FEWEST_PAGES - 1)
        and len({number for number, _, _ in found[at : at + _FEWEST_PAGES]}) == _FEWEST_PAGES
        and max(y for _, y, _ in found[at : at + _FEWEST_PAGES]) - min(y for _, y, _ in found[at : at + _FEWEST_PAGES])
        <= _SAME_HEIGHT
        for at, (first, last) in enumerate(zip(found, found[_FEWEST_PAGES - 1 :], strict=False))
    )


def _counts_pages(found: Sequence[tuple[int, float, Line]]) -> bool:
    """Whether lines that are hardly more than a number count the pages."""
    offsets = [
        int(matched[1]) - number for number, _, line in found if (matched := _PAGE_NUMBER.fullmatch(line.text.strip()))
    ]
    return len(offsets) == len(found) > 1 and len(set(offsets)) == 1


def _in_margin(page: Page, line: Line) -> bool:
    if line.box is None or page.height <= 0 or len(line.text) > _LONGEST_RUNNING:
        return False
    return line.box.y1 < _MARGIN * page.height or line.box.y0 > (1 - _MARGIN) * page.height


def _shape(line: Line) -> str:
    return _DIGITS.sub("#", " ".join(line.text.split()))
