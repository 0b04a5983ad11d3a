"""Tables as a reader can read them: each cell behind the head of its column.

A reader has learned from sentences. "| Sanderling | 2008 | 610 |" says nothing to it, "Ship: Sanderling, Built: 2008,
Passengers: 610." does. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from server.domain.passages import TextSpan

_LINE = re.compile(r"[^\n]*\n?")
_CELL = re.compile(r"[^|\s](?:[^|\n]*[^|\s])?")
_RULE = re.compile(r"\s*\|?[\s:|-]*-[\s:|-]*\|?\s*")


@dataclass(frozen=True, slots=True)
class _Piece:
    """The spoken text's characters from `start` on are the passage's from `origin` on, as many as `length`."""

    start: int
    origin: int
    length: int


@dataclass(frozen=True, slots=True)
class SpokenText:
    text: str
    _pieces: Sequence[_Piece]

    def place(self, start: int, end: int) -> TextSpan | None:
        """Where the passage has the characters of `text` from `start` to before `end`; None for what is not one piece
        of it: heads of columns, and more than one cell."""
        for piece in self._pieces:
            if piece.start <= start and end <= piece.start + piece.length:
                shift = piece.origin - piece.start
                return TextSpan(start + shift, end + shift)
        return None


def spoken(text: str) -> SpokenText:
    """Rows of Markdown become sentences, with the first row of each table as its head; all else stays as it is."""
    if "|" not in text:
        return SpokenText(text, (_Piece(0, 0, len(text)),))
    said: list[str] = []
    pieces: list[_Piece] = []
    length = 0

    def say(words: str, origin: int | None = None) -> None:
        nonlocal length
        if origin is not None:
            pieces.append(_Piece(length, origin, len(words)))
        said.append(words)
        length += len(words)

    for is_table, run in groupby(_lines(text), key=lambda line: line[1].startswith("|")):
        lines = list(run)
        rows = [(start, line) for start, line in lines if not _RULE.fullmatch(line)] if is_table else []
        if len(rows) < 2:
            say(text[lines[0][0] : lines[-1][0] + len(lines[-1][1])], lines[0][0])
            continue
        heads = [cell for _, cell in _cells(*rows[0])]
        for row in rows[1:]:
            before = ""
            for head, cell in zip_longest(heads, _cells(*row), fillvalue=None):
                if cell is None or not cell[1]:
                    continue
                say(f"{before}{head}: " if head else before)
                say(cell[1], cell[0])
                before = ", "
            say(".\n")
    return SpokenText("".join(said), tuple(pieces))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Each with its break, and where it begins."""
    return ((line.start(), line.group()) for line in _LINE.finditer(text) if line.group())


def _cells(start: int, row: str) -> list[tuple[int, str]]:
    """Each with where it begins in the text; empty ones have no characters."""
    found = []
    begin = row.index("|") + 1
    while (end := row.find("|", begin)) >= 0:
        cell = _CELL.search(row, begin, end)
        found.append((start + cell.start(), cell.group()) if cell else (start + begin, ""))
        begin = end + 1
    return found
