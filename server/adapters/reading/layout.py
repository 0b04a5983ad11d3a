"""From the content of a page to its blocks in reading order. Pure.

The steps: glyphs become pieces, ruled tables are taken out, columns of prose are told apart (in bands between what
runs across them), and in each column rows become lines, aligned tables, headings, lists and paragraphs.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from server.adapters.reading.geometry import FrameMap, Glyph, Piece, Rule, center, is_unspaced, union
from server.adapters.reading.pdf_content import PageContent
from server.adapters.reading.pieces import find_pieces, join_pieces, rows_of
from server.adapters.reading.tables import Table, find_aligned_tables, find_ruled_tables
from server.application.line_joining import starts_item
from server.application.sentences import ends_sentence
from server.domain.documents import Block, BlockKind, Box, Line

_HEADING_LEVELS = ((1.7, 1), (1.3, 2), (1.12, 3))
_BOLD_LEVEL = 4
_LONGEST_HEADING = 160
_LONGEST_BOLD_HEADING = 80
_MOST_HEADING_LINES = 3
# A new paragraph begins where the distance of two lines exceeds the usual one by this factor.
_PARAGRAPH_PITCH = 1.3
_SAME_SIZE = 0.08
_FEWEST_COLUMN_ROWS = 4
_MOST_CROSSING = 0.35
_COLUMN_WIDTH = 18
_LEADER = re.compile(r"[ ]?[.．・…·]{5,}[ ]?")
# '4.2.1 Title', '第三章 …': headings of the size of the text around them.
_SECTION = re.compile(
    r"(?:\d{1,2}((?:\.\d{1,2}){1,4})\.?\s+[^\d\s]|第[0-9０-９一二三四五六七八九十百]{1,4}[章節款](?![のにをはがとで]))"
)
_SECTION_LEVEL = 3
_LONGEST_SECTION = 0.75
_LETTER = re.compile(r"[^\W\d_]")


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
        blocks.extend(_turned_back(block, back) for block in _blocks(framed, rules, 0.0 if place else body))
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


def _blocks(glyphs: Sequence[Glyph], rules: Sequence[Rule], body: float) -> list[Block]:
    tables, pieces = find_ruled_tables(find_pieces(glyphs), rules)
    blocks: list[Block] = []
    for column in _columns([*pieces, *tables]):
        blocks.extend(_column_blocks(column, body))
    return blocks


# --- columns -----------------------------------------------------------------------------------------------------

_Item = Piece | Table


def _columns(items: list[_Item]) -> list[list[_Item]]:
    """Items parted into columns, in reading order."""
    gutter = _gutter(items)
    if gutter is None:
        return [items] if items else []
    across = sorted((item for item in items if item.box.x0 < gutter < item.box.x1), key=lambda item: item.box.y0)
    beside = [item for item in items if not item.box.x0 < gutter < item.box.x1]
    parted: list[list[_Item]] = []
    crossing: list[_Item] = []
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


def _sides(items: list[_Item], gutter: float) -> list[list[_Item]]:
    left = [item for item in items if item.box.x1 <= gutter]
    right = [item for item in items if item.box.x1 > gutter]
    return _columns(left) + _columns(right)


def _gutter(items: Sequence[_Item]) -> float | None:
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


def _is_prose_column(items: Sequence[_Item]) -> bool:
    """Whether these look like lines of running text: enough of them, long, and most of them full."""
    pieces = [item for item in items if isinstance(item, Piece)]
    if len(pieces) < _FEWEST_COLUMN_ROWS:
        return False
    widths = [piece.box.x1 - piece.box.x0 for piece in pieces]
    letters = statistics.median(2 * len(p.text) if is_unspaced(p.text[0]) else len(p.text) for p in pieces)
    return letters >= _COLUMN_WIDTH and statistics.median(widths) >= 0.5 * (max(widths))


def _side_by_side(left: Sequence[_Item], right: Sequence[_Item]) -> bool:
    a, b = union(item.box for item in left), union(item.box for item in right)
    return min(a.y1, b.y1) - max(a.y0, b.y0) > 0.3 * min(a.y1 - a.y0, b.y1 - b.y0)


# --- blocks of a column ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TextLine:
    text: str
    box: Box
    size: float
    bold: bool


def _column_blocks(items: Sequence[_Item], body: float) -> list[Block]:
    rows = rows_of(item for item in items if isinstance(item, Piece))
    parts: list[tuple[float, list[_TextLine] | Table]] = [
        (item.box.y0, item) for item in items if isinstance(item, Table)
    ]
    tops = [union(piece.box for piece in row).y0 for row in rows]
    at = 0
    for start, end, table in [*find_aligned_tables(rows), (len(rows), len(rows), None)]:
        parts.extend((tops[n], [_text_line(rows[n])]) for n in range(at, start))
        if table is not None:
            parts.append((tops[start], table))
        at = end
    parts.sort(key=lambda part: part[0])
    blocks: list[Block] = []
    lines: list[_TextLine] = []
    for _, part in parts:
        if isinstance(part, Table):
            blocks.extend(_text_blocks(lines, body))
            lines = []
            blocks.append(_table_block(part))
        else:
            lines.extend(part)
    return blocks + _text_blocks(lines, body)


def _text_line(row: Sequence[Piece]) -> _TextLine:
    longest = max(row, key=lambda piece: len(piece.text))
    bold = sum(len(piece.text) for piece in row if piece.bold) * 2 > sum(len(piece.text) for piece in row)
    return _TextLine(_LEADER.sub(" … ", join_pieces(row)), union(piece.box for piece in row), longest.size, bold)


def _table_block(table: Table) -> Block:
    return Block(BlockKind.TABLE, tuple(Line(row.markdown(), row.box) for row in table.rows))


def _text_blocks(lines: Sequence[_TextLine], body: float) -> list[Block]:
    if not lines:
        return []
    pitch = _usual_pitch(lines)
    right = max(line.box.x1 for line in lines)
    left = min(line.box.x0 for line in lines)
    groups: list[list[_TextLine]] = []
    closed = False  # whether the last group is a heading of a section, which takes no more lines
    for line in lines:
        section = _section_level(line, left, right) > 0 and body > 0
        if groups and not closed and not section and not _begins_block(groups[-1], line, pitch, right):
            groups[-1].append(line)
        else:
            groups.append([line])
        closed = section
    return [_block(group, body, _section_level(group[0], left, right)) for group in groups]


def _section_level(line: _TextLine, left: float, right: float) -> int:
    """The level of a short line that begins with the number of a section; 0 for other lines."""
    found = _SECTION.match(line.text)
    if found is None or line.box.x1 - left > _LONGEST_SECTION * (right - left) or " … " in line.text:
        return 0
    return 0 if ends_sentence(line.text) else _SECTION_LEVEL + (found.group(1) or "").count(".")


def _usual_pitch(lines: Sequence[_TextLine]) -> float:
    """The usual distance of two lines, in heights of a line."""
    pitches = [
        (below.box.y0 - above.box.y0) / max(above.box.y1 - above.box.y0, 1.0)
        for above, below in itertools.pairwise(lines)
        if below.box.y0 > above.box.y0 and abs(below.size - above.size) <= _SAME_SIZE * above.size
    ]
    near = [pitch for pitch in pitches if pitch < 2.2]
    return statistics.quantiles(near, n=4)[0] if len(near) > 3 else min(near, default=1.3)


def _begins_block(group: Sequence[_TextLine], line: _TextLine, pitch: float, right: float) -> bool:
    last = group[-1]
    height = max(last.box.y1 - last.box.y0, 1.0)
    if abs(line.size - last.size) > _SAME_SIZE * last.size or line.bold != last.bold:
        return True
    distance = (line.box.y0 - last.box.y0) / height
    if not 0 < distance <= _PARAGRAPH_PITCH * max(pitch, 1.0) or starts_item(line.text):
        return True
    indented = line.box.x0 - min(other.box.x0 for other in group[-2:])
    if len(group) > 1 or not starts_item(group[0].text):
        unfinished = right - last.box.x1 > 0.15 * (right - last.box.x0)
        if unfinished and ends_sentence(last.text):
            return True
        if 0.8 * line.size < indented < 4 * line.size and ends_sentence(last.text):
            return True
    return False


def _block(lines: Sequence[_TextLine], body: float, section_level: int) -> Block:
    made = tuple(Line(line.text, line.box) for line in lines)
    text = " ".join(line.text for line in lines)
    level = _heading_level(lines, text, body) or (section_level if body > 0 else 0)
    if level:
        return Block(BlockKind.HEADING, made, level)
    return Block(BlockKind.LIST if starts_item(text) else BlockKind.PARAGRAPH, made)


def _heading_level(lines: Sequence[_TextLine], text: str, body: float) -> int:
    if len(lines) > _MOST_HEADING_LINES or len(text) > _LONGEST_HEADING or not _LETTER.search(text) or body <= 0:
        return 0
    if text.endswith(("。", "、", ",", ";")) or (text.endswith(".") and len(text) > 30):
        return 0
    ratio = statistics.median(line.size for line in lines) / body
    for least, level in _HEADING_LEVELS:
        if ratio >= least:
            return level
    bold = len(lines) == 1 and lines[0].bold and ratio >= 0.95 and len(text) <= _LONGEST_BOLD_HEADING
    return _BOLD_LEVEL if bold and not ends_sentence(text) and not starts_item(text) else 0
