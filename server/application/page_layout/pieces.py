"""From glyphs to pieces of text, and from pieces to rows. Pure."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

from server.application.page_layout.geometry import Glyph, Piece, center, is_unspaced, same_row, union
from server.domain.documents import Box

# Gaps, in sizes of the font.
_WORD_GAP = 0.22
_UNSPACED_GAP = 0.6
_UNSPACED_MARKED_GAP = 0.3
_PIECE_GAP = 0.95
_OVERLAP = 0.5
# So many gaps of a line that differ by no more than this factor are those of justified text.
_JUSTIFIED_GAPS = 3
_JUSTIFIED = 1.8


def find_pieces(glyphs: Sequence[Glyph]) -> list[Piece]:
    """Glyphs (in the file's order) grouped into pieces, whatever the order in which the pieces were drawn."""
    runs: list[list[Glyph]] = []
    for glyph in glyphs:
        if runs and _continues(runs[-1][-1], glyph):
            runs[-1].append(glyph)
        else:
            runs.append([glyph])
    return [piece for row in rows_of([make_piece(run) for run in runs]) for piece in _merged(row)]


def make_piece(glyphs: Sequence[Glyph]) -> Piece:
    """A piece of glyphs in their order. At least one."""
    return Piece(
        text=_text(glyphs),
        box=union(glyph.box for glyph in glyphs),
        size=statistics.median(glyph.size for glyph in glyphs),
        bold=sum(glyph.bold for glyph in glyphs) * 2 > len(glyphs),
        glyphs=tuple(glyphs),
    )


def parted_at_gaps(piece: Piece, least: float) -> list[Piece]:
    """The piece cut where a gap between its glyphs is at least so many times its size, but for a line of words that are
    all as far apart: justified text."""
    gaps = [glyph.box.x0 - last.box.x1 for last, glyph in itertools.pairwise(piece.glyphs)]
    cuts = [at for at, gap in enumerate(gaps, start=1) if gap >= least * piece.size]
    if not cuts:
        return [piece]
    parts = [
        replace(make_piece(piece.glyphs[a:b]), size=piece.size)
        for a, b in itertools.pairwise((0, *cuts, len(piece.glyphs)))
    ]
    between = [gap for gap, glyph in zip(gaps, piece.glyphs[1:], strict=True) if glyph.spaced]
    alike = len(between) >= _JUSTIFIED_GAPS and max(between) <= _JUSTIFIED * min(between)
    words = sum(not any(map(str.isdigit, part.text)) for part in parts)
    return [piece] if alike and words * 2 > len(parts) else parts


def rows_of(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Pieces that stand beside each other, rows from top to bottom, each from left to right."""
    rows: list[list[Piece]] = []
    boxes: list[Box] = []
    for piece in sorted(pieces, key=lambda piece: center(piece.box)[1]):
        # Only the last few rows can still be level with a piece that comes next in order.
        for at in range(len(rows) - 1, max(len(rows) - 4, -1), -1):
            if same_row(boxes[at], piece.box):
                rows[at].append(piece)
                break
        else:
            rows.append([piece])
            boxes.append(piece.box)
    return [sorted(row, key=lambda piece: piece.box.x0) for row in rows]


def join_pieces(row: Sequence[Piece]) -> str:
    """The text of pieces beside each other (from left to right)."""
    text = ""
    for piece in row:
        unspaced = text != "" and is_unspaced(text[-1]) and is_unspaced(piece.text[0])
        text += piece.text if not text or unspaced else " " + piece.text
    return text


def _continues(last: Glyph, glyph: Glyph) -> bool:
    size = max(last.size, glyph.size)
    gap = glyph.box.x0 - last.box.x1
    return -_OVERLAP * size <= gap <= _PIECE_GAP * size and same_row(last.box, glyph.box)


def _merged(row: list[Piece]) -> list[Piece]:
    groups: list[list[Piece]] = []
    for piece in row:
        size = piece.size
        last = groups[-1][-1].glyphs[-1] if groups else None
        if last is not None and -_OVERLAP * size <= piece.box.x0 - last.box.x1 <= _PIECE_GAP * max(size, last.size):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return [
        group[0] if len(group) == 1 else make_piece([glyph for piece in group for glyph in piece.glyphs])
        for group in groups
    ]


def _text(glyphs: Sequence[Glyph]) -> str:
    parts: list[str] = []
    last: Glyph | None = None
    for glyph in glyphs:
        if last is not None and _space_between(last, glyph):
            parts.append(" ")
        parts.append(glyph.text)
        last = glyph
    return "".join(parts)


def _space_between(last: Glyph, glyph: Glyph) -> bool:
    gap = glyph.box.x0 - last.box.x1
    size = min(last.size, glyph.size)
    before, after = is_unspaced(last.text[-1]), is_unspaced(glyph.text[0])
    if before and after:
        return gap > (_UNSPACED_MARKED_GAP if glyph.spaced else _UNSPACED_GAP) * size
    if before or after:
        return glyph.spaced and gap > _WORD_GAP * size
    return glyph.spaced or gap > _WORD_GAP * size
