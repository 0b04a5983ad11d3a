"""Tables: by their rules, or by columns that line up. Pure."""

from __future__ import annotations

import bisect
import itertools
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from server.application.markdown_tables import markdown_row
from server.application.page_layout.geometry import Piece, Rule, center, is_unspaced, same_row, union
from server.application.page_layout.pieces import join_pieces, make_piece, rows_of
from server.domain.documents import Box

_TOUCH = 3.0
_SHORTEST_RULE = 8.0
_RULE_SHARE = 0.3
_ROW_RULE_SHARE = 0.2
"""Lower: below a head over some of the columns there is a short rule."""
_LONGEST_CELL = 200
_LONGEST_VALUE = 12
_MOST_RULES = 1500
_MOST_GAPPED_LINES = 0.4

# Without rules: rows are closer than this many heights of a row, columns further apart than this many font sizes.
_ROW_PITCH = 2.3
_LONGEST_PROSE_CELL = 32
_FULL_CELL = 0.6
_SAME_SIZE = 0.25
_FLUSH = 3.0
_COVERED = 0.2
_LINED_UP = 0.75
_LINED_UP_REACH = 0.25

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    cells: tuple[str, ...]
    box: Box

    def markdown(self) -> str:
        return markdown_row(self.cells)


@dataclass(frozen=True, slots=True)
class Table:
    rows: tuple[Row, ...]
    box: Box


def find_ruled_tables(pieces: Sequence[Piece], rules: Sequence[Rule]) -> tuple[list[Table], list[Piece]]:
    """Tables with at least 2 x 2 cells between rules, and the pieces outside them."""
    tables: list[Table] = []
    rest = list(pieces)
    for group in _connected([rule for rule in rules if _length(rule) >= _SHORTEST_RULE][:_MOST_RULES]):
        grid = _Grid.of(group)
        if grid is None:
            continue
        inside = [piece for piece in rest if holds(grid.box, piece.box)]
        table = grid.fill(inside)
        if table is not None:
            taken = set(map(id, inside))
            rest = [piece for piece in rest if id(piece) not in taken]
            tables.append(table)
    return tables, rest


def find_aligned_tables(rows: Sequence[Sequence[Piece]]) -> list[tuple[int, int, Table]]:
    """Runs of rows (from, to exclusive) whose pieces form columns of short cells. Rows from top to bottom."""
    found: list[tuple[int, int, Table]] = []
    at = 0
    while at < len(rows):
        end = _aligned_end(rows, at) if len(rows[at]) > 1 else at
        columns = _columns(rows[at:end])
        if end - at >= 2 and _is_tabular(rows[at:end], len(columns)):
            found.append((at, end, _aligned_table(rows[at:end], columns)))
            at = end
        else:
            at += 1
    return found


def line_up(rows: Sequence[Sequence[Piece]]) -> bool:
    """Whether the cells of most columns begin, end or are centred at one place."""
    columns = _columns(rows)
    cells: dict[int, list[Piece]] = defaultdict(list)
    for row in rows:
        for piece in row:
            cells[_column_of(columns, piece)].append(piece)
    shares = [_flush_share(column) for column in cells.values() if len(column) > 2]
    return bool(shares) and statistics.mean(shares) >= _LINED_UP


def _flush_share(pieces: Sequence[Piece]) -> float:
    boxes = np.array([(piece.box.x0, piece.box.x1, center(piece.box)[0]) for piece in pieces])
    reach = _LINED_UP_REACH * statistics.median(piece.size for piece in pieces)
    return float((np.abs(boxes - np.median(boxes, axis=0)) <= reach).mean(axis=0).max())


# --- with rules --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Grid:
    xs: list[float]
    ys: list[float]
    verticals: list[Box]
    box: Box

    @classmethod
    def of(cls, rules: Sequence[Rule]) -> _Grid | None:
        horizontals = [rule.box for rule in rules if rule.horizontal]
        verticals = [rule.box for rule in rules if not rule.horizontal]
        if len(horizontals) < 2 or not verticals:
            return None
        box = union(rule.box for rule in rules)
        xs = _positions(((v.x0 + v.x1) / 2, v.y1 - v.y0) for v in verticals)
        ys = _positions(((h.y0 + h.y1) / 2, h.x1 - h.x0) for h in horizontals)
        columns = _edges(xs, _RULE_SHARE * (box.y1 - box.y0), box.x0, box.x1)
        rows = _edges(ys, _ROW_RULE_SHARE * (box.x1 - box.x0), box.y0, box.y1)
        if len(columns) < 3 or len(rows) < 3:
            return None
        return cls(columns, rows, verticals, box)

    def fill(self, pieces: Sequence[Piece]) -> Table | None:
        cells: dict[tuple[int, int], list[Piece]] = defaultdict(list)
        for piece in pieces:
            row = _slot(self.ys, center(piece.box)[1])
            for column, part in self._parts(piece):
                cells[row, column].append(part)
        if _is_coarse(cells.values()):
            return None
        rows = [row for index in range(len(self.ys) - 1) for row in self._rows(index, cells)]
        used = {column for _, column in cells}
        lengths = [len(cell) for row in rows for cell in row.cells if cell]
        full = sum(1 for row in rows if sum(map(bool, row.cells)) > 1)
        if len(rows) < 2 or len(used) < 2 or full * 2 < len(rows) or statistics.mean(lengths) > _LONGEST_CELL:
            return None
        kept = sorted(used)
        trimmed = tuple(Row(tuple(row.cells[column] for column in kept), row.box) for row in rows)
        return Table(trimmed, self.box)

    def _parts(self, piece: Piece) -> Iterable[tuple[int, Piece]]:
        """The piece, cut where it runs over a vertical rule."""
        y = center(piece.box)[1]
        cuts = [x for x in self.xs[1:-1] if piece.box.x0 < x < piece.box.x1 and self._ruled(x, y)]
        for _, group in itertools.groupby(piece.glyphs, lambda glyph: bisect.bisect(cuts, center(glyph.box)[0])):
            part = make_piece(list(group))
            yield _slot(self.xs, part.box.x0 + 1 if len(cuts) == 0 else center(part.box)[0]), part

    def _ruled(self, x: float, y: float) -> bool:
        return any(abs((v.x0 + v.x1) / 2 - x) <= _TOUCH and v.y0 <= y <= v.y1 for v in self.verticals)

    def _rows(self, index: int, cells: dict[tuple[int, int], list[Piece]]) -> list[Row]:
        width = len(self.xs) - 1
        lines = {column: rows_of(cells[index, column]) for column in range(width) if (index, column) in cells}
        if not lines:
            return []
        counts = {len(found) for found in lines.values()}
        count = counts.pop()
        if not counts and count > 1 and len(lines) > 1 and _level(list(lines.values()), count):
            # Rules between the columns alone: every line is a row.
            return [self._row({column: [found[n]] for column, found in lines.items()}) for n in range(count)]
        return [self._row(part) for part in _parted_by_values(lines)]

    def _row(self, lines: dict[int, list[list[Piece]]]) -> Row:
        texts = [_cell_text(lines.get(column, [])) for column in range(len(self.xs) - 1)]
        return Row(tuple(texts), union(piece.box for found in lines.values() for line in found for piece in line))


def _parted_by_values(lines: dict[int, list[list[Piece]]]) -> list[dict[int, list[list[Piece]]]]:
    """The lines between two rules as rows, where columns of values (numbers, marks) stand beside wrapped text: a row
    begins at each line that all of these columns have. What stands above the first is a row of its own."""
    values = [found for found in lines.values() if len(found) > 1 and all(_is_value(line) for line in found)]
    counts = Counter(map(len, values)).most_common(1)
    if not counts or counts[0][1] < 2:
        return [lines]
    level = [found for found in values if len(found) == counts[0][0]]
    tops = [min(center(line[0].box)[1] for line in row) for row in zip(*level, strict=True)]
    if not all(same_row(line[0].box, level[0][n][0].box) for found in level for n, line in enumerate(found)):
        return [lines]
    parts: list[dict[int, list[list[Piece]]]] = [defaultdict(list) for _ in range(len(tops) + 1)]
    for column, found in lines.items():
        for line in found:
            half = (line[0].box.y1 - line[0].box.y0) / 2
            parts[bisect.bisect(tops, center(line[0].box)[1] + half)][column].append(line)
    return [part for part in parts if part]


def _is_value(line: Sequence[Piece]) -> bool:
    """A number, with its unit at most, or a mark."""
    text = join_pieces(line)
    letters = sum(map(str.isalpha, text))
    return len(text) <= _LONGEST_VALUE and (letters == 0 or (letters <= 2 and any(map(str.isdigit, text))))


def _is_coarse(cells: Iterable[Sequence[Piece]]) -> bool:
    """Whether many lines inside the cells have gaps as wide as between columns: a frame around tables, not a table."""
    lines = [line for cell in cells for line in rows_of(cell)]
    return sum(len(line) > 1 for line in lines) > _MOST_GAPPED_LINES * len(lines)


def _level(columns: list[list[list[Piece]]], count: int) -> bool:
    """Whether the n-th lines of all columns stand beside each other, for at least 3 lines."""
    boxes = [[union(piece.box for piece in line) for line in column] for column in columns]
    return count > 2 and all(same_row(column[n], boxes[0][n]) for column in boxes for n in range(count))


def _cell_text(lines: Sequence[Sequence[Piece]]) -> str:
    text = ""
    for line in lines:
        part = join_pieces(line)
        unspaced = text != "" and is_unspaced(text[-1]) and is_unspaced(part[0])
        text += part if not text or unspaced else " " + part
    return text


def _length(rule: Rule) -> float:
    return max(rule.box.x1 - rule.box.x0, rule.box.y1 - rule.box.y0)


def _connected(rules: Sequence[Rule]) -> list[list[Rule]]:
    """Groups of rules that touch each other."""
    if not rules:
        return []
    boxes = np.array([(r.box.x0, r.box.y0, r.box.x1, r.box.y1) for r in rules], np.float64)
    lows, highs = boxes[:, :2] - _TOUCH, boxes[:, 2:] + _TOUCH
    unseen = np.ones(len(rules), np.bool_)
    groups = []
    for start in range(len(rules)):
        if not unseen[start]:
            continue
        unseen[start] = False
        group = [start]
        for member in group:  # grows while it is walked
            touching = unseen & np.all((lows <= highs[member]) & (highs >= lows[member]), axis=1)
            unseen &= ~touching
            group.extend(np.flatnonzero(touching).tolist())
        groups.append([rules[index] for index in group])
    return groups


def _positions(places: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Positions within reach of each other become one; (position, summed length), in order."""
    merged: list[tuple[float, float]] = []
    for position, length in sorted(places):
        if merged and position - merged[-1][0] <= _TOUCH:
            merged[-1] = (merged[-1][0], merged[-1][1] + length)
        else:
            merged.append((position, length))
    return merged


def _edges(positions: Iterable[tuple[float, float]], least: float, low: float, high: float) -> list[float]:
    """Positions of long enough rules, with the outer borders of the group."""
    kept = [position for position, length in positions if length >= least]
    if not kept or kept[0] - low > _TOUCH:
        kept.insert(0, low)
    if high - kept[-1] > _TOUCH:
        kept.append(high)
    return kept


def _slot(edges: Sequence[float], at: float) -> int:
    return min(max(bisect.bisect(edges, at) - 1, 0), len(edges) - 2)


def holds(outer: Box, inner: Box) -> bool:
    """Whether the middle of one box is inside the other."""
    x, y = center(inner)
    return outer.x0 - _TOUCH <= x <= outer.x1 + _TOUCH and outer.y0 - _TOUCH <= y <= outer.y1 + _TOUCH


# --- without rules -----------------------------------------------------------------------------------------------


def _aligned_end(rows: Sequence[Sequence[Piece]], start: int) -> int:
    """The end of the longest run of rows from `start` that keeps at least two columns; its last row has two cells."""
    columns = _columns(rows[start : start + 1])
    size = _row_size(rows[start])
    end = start + 1
    for at in range(start + 1, len(rows)):
        above, row = union(p.box for p in rows[at - 1]), union(p.box for p in rows[at])
        height = max(min(above.y1 - above.y0, row.y1 - row.y0), 1.0)
        if row.y0 - above.y0 > _ROW_PITCH * height or not _is_of_size(rows[at], size):
            break
        merged = _merge(columns, [(piece.box.x0, piece.box.x1) for piece in rows[at]])
        if len(merged) < 2 or len(merged) < len(columns) - 1:
            break
        columns = merged
        if len(rows[at]) > 1:
            end = at + 1
    return end


def _row_size(row: Sequence[Piece]) -> float:
    return statistics.median(piece.size for piece in row)


def _is_of_size(row: Sequence[Piece], size: float) -> bool:
    """By its first piece or by most of them: heights of recognized pieces vary, and small print may stand beside."""
    return any(abs(found - size) <= _SAME_SIZE * size for found in (row[0].size, _row_size(row)))


def _columns(rows: Sequence[Sequence[Piece]]) -> list[Span]:
    """Columns as spans. Rows with the most pieces say where they are. A piece of another row that reaches over several
    (a head, a cell beside empty ones) does not make them one, nor does a head in the middle above two of them."""
    columns: list[Span] = []
    most = max(map(len, rows), default=0)
    for row in sorted(rows, key=len, reverse=True):
        for piece in row:
            span = (piece.box.x0, piece.box.x1)
            met = [column for column in columns if _overlap(column, span) >= 0]
            if len(row) == most or not met or (len(met) == 1 and (len(row) * 2 > most or _flush(met[0], span))):
                columns = _merge(columns, [span])
    return columns


def _overlap(a: Span, b: Span) -> float:
    """Negative: the distance."""
    return min(a[1], b[1]) - max(a[0], b[0])


def _flush(a: Span, b: Span) -> bool:
    return min(abs(a[0] - b[0]), abs(a[1] - b[1])) <= _FLUSH


def _column_of(columns: Sequence[Span], piece: Piece) -> int:
    """The first that it covers a good part of, else the nearest."""
    span = (piece.box.x0, piece.box.x1)
    for number, column in enumerate(columns):
        if _overlap(column, span) > _COVERED * min(column[1] - column[0], span[1] - span[0]):
            return number
    return max(range(len(columns)), key=lambda number: _overlap(columns[number], span))


def _merge(columns: Sequence[Span], spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for x0, x1 in sorted([*columns, *spans]):
        if merged and x0 <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], x1))
        else:
            merged.append((x0, x1))
    return merged


def _is_tabular(rows: Sequence[Sequence[Piece]], columns: int) -> bool:
    if columns < 2:
        return False
    several = [row for row in rows if len(row) > 1]
    if len(several) < (3 if columns == 2 else 2) or len(several) * 2 < len(rows):
        return False
    firsts = statistics.median(_width(row[0].text) for row in several)
    others = statistics.median(_width(piece.text) for row in several for piece in row[1:])
    if columns == 2:
        # A hanging number or bullet beside running text is a list.
        return 3 < firsts <= _LONGEST_PROSE_CELL and others <= _LONGEST_PROSE_CELL
    return others <= _LONGEST_PROSE_CELL and firsts <= 2 * _LONGEST_PROSE_CELL


def _width(text: str) -> int:
    return sum(2 if is_unspaced(character) else 1 for character in text)


def _goes_on(
    above: tuple[list[list[Piece]], Box], cells: Sequence[list[Piece]], box: Box, columns: Sequence[Span]
) -> bool:
    """Whether a line is the rest of a cell above it: close below, alone in its line, with no room left above. (With
    several cells and none in the first column, a line is one more row under the name in that column.)"""
    filled = [number for number, cell in enumerate(cells) if cell]
    if filled[0] == 0 or box.y0 - above[1].y1 >= 0.5 * (box.y1 - box.y0):
        return False
    x0, x1 = columns[filled[0]]
    upper = above[0][filled[0]]
    full = bool(upper) and upper[-1].box.x1 - x0 >= _FULL_CELL * (x1 - x0)
    return full and len(filled) == 1 and not _is_value(cells[filled[0]])


def _aligned_table(rows: Sequence[Sequence[Piece]], columns: Sequence[Span]) -> Table:
    made: list[tuple[list[list[Piece]], Box]] = []
    for row in rows:
        cells: list[list[Piece]] = [[] for _ in columns]
        for piece in row:
            cells[_column_of(columns, piece)].append(piece)
        box = union(piece.box for piece in row)
        if made and _goes_on(made[-1], cells, box, columns):
            above, above_box = made[-1]
            made[-1] = ([a + b for a, b in zip(above, cells, strict=True)], union((above_box, box)))
        else:
            made.append((cells, box))
    table = tuple(Row(tuple(_cell_text(rows_of(cell)) for cell in cells), box) for cells, box in made)
    return Table(table, union(row.box for row in table))
