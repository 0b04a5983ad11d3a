"""The lines of a column as headings, paragraphs, lists and tables. Pure."""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from server.application.line_joining import starts_item
from server.application.page_layout.columns import Item
from server.application.page_layout.geometry import Piece, union
from server.application.page_layout.pieces import join_pieces, parted_at_gaps, rows_of
from server.application.page_layout.tables import Table, find_aligned_tables, line_up
from server.application.sentences import ends_sentence
from server.domain.documents import Block, BlockKind, Box, Line

_BOLD_LEVEL = 4
_LONGEST_HEADING = 160
_LONGEST_BOLD_HEADING = 80
_MOST_HEADING_LINES = 3
# A new paragraph begins where the distance of two lines exceeds the usual one by this factor.
_PARAGRAPH_PITCH = 1.3
_LEADER = re.compile(r"[ ]?[.．・…·]{5,}[ ]?")
# '4.2.1 Title', '第三章 …': headings of the size of the text around them.
_SECTION = re.compile(
    r"(?:\d{1,2}((?:\.\d{1,2}){1,4})\.?\s+[^\d\s]|第[0-9０-９一二三四五六七八九十百]{1,4}[章節款](?![のにをはがとで]))"
)
# 'Table 3: Fares', 'Figure 7-26. Nuts', '表２－１ …', '図3'; not 'Table 3 shows that …', nor '表３のように …'.
_CAPTION = re.compile(
    r"(?:table|figure|fig\.|exhibit|chart)\s+[A-Z]?\d{1,3}(?:[.\-–]\d{1,3})*\s*(?:[.:—–|]|\(|$|(?-i:[A-Z]))"
    r"|[(（【\[]?(?:図表|図|表|写真)\s?[0-9０-９]{1,3}(?:[.\-－‐–・][0-9０-９]{1,3})*(?:[\s:：.．）)】\]]|$)",
    re.IGNORECASE,
)
_MOST_CAPTION_LINES = 4
_SECTION_LEVEL = 3
_LONGEST_SECTION = 0.75
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class TypeSizes:
    """`body` is the usual font size of the document, 0 if nothing on the page is a heading. Lines whose sizes differ by
    a share of `same` are of one size; a line that is larger than the body by a factor of `levels` is a heading."""

    body: float
    same: float = 0.08
    levels: tuple[tuple[float, int], ...] = ((1.7, 1), (1.3, 2), (1.12, 3))


@dataclass(frozen=True, slots=True)
class _TextLine:
    text: str
    box: Box
    size: float
    bold: bool


def column_blocks(items: Sequence[Item], sizes: TypeSizes, cell_gap: float = math.inf) -> list[Block]:
    """Blocks from top to bottom. A piece may hold several cells of a table: gaps of at least `cell_gap` of its size are
    between them."""
    rows = rows_of(item for item in items if isinstance(item, Piece))
    parts: list[tuple[float, list[_TextLine] | Table]] = [
        (item.box.y0, item) for item in items if isinstance(item, Table)
    ]
    tops = [union(piece.box for piece in row).y0 for row in rows]
    at = 0
    for start, end, table in [*find_aligned_tables(_cells(rows, cell_gap)), (len(rows), len(rows), None)]:
        parts.extend((tops[n], [_text_line(rows[n])]) for n in range(at, start))
        if table is not None:
            parts.append((tops[start], table))
        at = end
    parts.sort(key=lambda part: part[0])
    blocks: list[Block] = []
    lines: list[_TextLine] = []
    for _, part in parts:
        if isinstance(part, Table):
            blocks.extend(_text_blocks(lines, sizes))
            lines = []
            blocks.append(_table_block(part))
        else:
            lines.extend(part)
    return blocks + _text_blocks(lines, sizes)


def _cells(rows: Sequence[Sequence[Piece]], gap: float) -> list[Sequence[Piece]]:
    """The rows, parted at gaps where that makes a table whose cells line up: spaces of justified text may be as wide,
    but do not stand below each other."""
    parted = [[cell for piece in row for cell in parted_at_gaps(piece, gap)] for row in rows]
    cells = list(rows)
    for start, end, _ in find_aligned_tables(parted):
        if line_up(parted[start:end]):
            cells[start:end] = parted[start:end]
    return cells


def _text_line(row: Sequence[Piece]) -> _TextLine:
    longest = max(row, key=lambda piece: len(piece.text))
    bold = sum(len(piece.text) for piece in row if piece.bold) * 2 > sum(len(piece.text) for piece in row)
    return _TextLine(_LEADER.sub(" … ", join_pieces(row)), union(piece.box for piece in row), longest.size, bold)


def _table_block(table: Table) -> Block:
    return Block(BlockKind.TABLE, tuple(Line(row.markdown(), row.box) for row in table.rows))


def _text_blocks(lines: Sequence[_TextLine], sizes: TypeSizes) -> list[Block]:
    if not lines:
        return []
    pitch = _usual_pitch(lines, sizes)
    right = max(line.box.x1 for line in lines)
    left = min(line.box.x0 for line in lines)
    groups: list[list[_TextLine]] = []
    closed = False  # whether the last group is a heading of a section, which takes no more lines
    for line in lines:
        section = _section_level(line, left, right) > 0 and sizes.body > 0
        if groups and not closed and not section and not _begins_block(groups[-1], line, pitch, right, sizes):
            groups[-1].append(line)
        else:
            groups.append([line])
        closed = section
    return [_block(group, sizes, _section_level(group[0], left, right)) for group in groups]


def _section_level(line: _TextLine, left: float, right: float) -> int:
    """The level of a short line that begins with the number of a section; 0 for other lines."""
    found = _SECTION.match(line.text)
    if found is None or line.box.x1 - left > _LONGEST_SECTION * (right - left) or " … " in line.text:
        return 0
    return 0 if ends_sentence(line.text) else _SECTION_LEVEL + (found.group(1) or "").count(".")


def _usual_pitch(lines: Sequence[_TextLine], sizes: TypeSizes) -> float:
    """The usual distance of two lines, in heights of a line."""
    pitches = [
        (below.box.y0 - above.box.y0) / max(above.box.y1 - above.box.y0, 1.0)
        for above, below in itertools.pairwise(lines)
        if below.box.y0 > above.box.y0 and abs(below.size - above.size) <= sizes.same * above.size
    ]
    near = [pitch for pitch in pitches if pitch < 2.2]
    return statistics.quantiles(near, n=4)[0] if len(near) > 3 else min(near, default=1.3)


def _begins_block(group: Sequence[_TextLine], line: _TextLine, pitch: float, right: float, sizes: TypeSizes) -> bool:
    last = group[-1]
    height = max(last.box.y1 - last.box.y0, 1.0)
    if abs(line.size - last.size) > sizes.same * last.size or line.bold != last.bold:
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


def _block(lines: Sequence[_TextLine], sizes: TypeSizes, section_level: int) -> Block:
    made = tuple(Line(line.text, line.box) for line in lines)
    text = " ".join(line.text for line in lines)
    if len(lines) <= _MOST_CAPTION_LINES and _CAPTION.match(text):
        return Block(BlockKind.CAPTION, made)
    level = _heading_level(lines, text, sizes) or (section_level if sizes.body > 0 else 0)
    if level:
        return Block(BlockKind.HEADING, made, level)
    return Block(BlockKind.LIST if starts_item(text) else BlockKind.PARAGRAPH, made)


def _heading_level(lines: Sequence[_TextLine], text: str, sizes: TypeSizes) -> int:
    if len(lines) > _MOST_HEADING_LINES or len(text) > _LONGEST_HEADING or not _LETTER.search(text) or sizes.body <= 0:
        return 0
    if text.endswith(("。", "、", ",", ";")) or (text.endswith(".") and len(text) > 30):
        return 0
    ratio = statistics.median(line.size for line in lines) / sizes.body
    for least, level in sizes.levels:
        if ratio >= least:
            return level
    bold = len(lines) == 1 and lines[0].bold and ratio >= 0.95 and len(text) <= _LONGEST_BOLD_HEADING
    return _BOLD_LEVEL if bold and not ends_sentence(text) and not starts_item(text) else 0
