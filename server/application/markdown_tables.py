"""Rows of tables as text: one line of Markdown each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from server.domain.documents import Block, BlockKind, Line


def markdown_row(cells: Iterable[str]) -> str:
    """Cells in their order, on one line. A bar in a cell becomes a slash: what reads rows parts cells by bars."""
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "/") for cell in cells) + " |"


def table_block(rows: Sequence[Sequence[str]]) -> Block:
    """A table without boxes. Rows are filled up to the longest one."""
    width = max(map(len, rows), default=0)
    return Block(BlockKind.TABLE, tuple(Line(markdown_row([*row, *[""] * (width - len(row))]), None) for row in rows))
