"""Plain text as blocks. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from server.application.line_joining import starts_item
from server.application.sentences import ends_sentence
from server.domain.documents import Block, BlockKind, Line

_LONGEST_HEADING = 70
_LONGEST_WRAPPED = 160
_FULL = 0.6
_NUMBERED = re.compile(r"(?:\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+\S|第[0-9０-９一二三四五六七八九十百]{1,4}[章条節編款部])")
_UNDERLINE = re.compile(r"\s*([=\-~*_])\1{3,}\s*$")
_WIDE = re.compile("[\u1100-\u11ff\u2e80-\uffe6]")


def read_plain_text(text: str, titled: bool = True) -> tuple[Block, ...]:
    """The blocks of a text file; its first line may be its title where it is `titled`. Paragraphs are parted by empty
    lines. Lines that were wrapped at a width belong to one paragraph; other lines stay lines. Headings are told where
    they are plain: underlined, numbered, in capitals."""
    blocks: list[Block] = []
    for paragraph in _paragraphs(text):
        blocks.extend(_blocks(paragraph, first=titled and not blocks))
    return tuple(blocks)


def _paragraphs(text: str) -> list[list[str]]:
    paragraphs: list[list[str]] = [[]]
    for line in text.replace("\f", "\n\n").split("\n"):
        if line.strip():
            paragraphs[-1].append(line.rstrip())
        elif paragraphs[-1]:
            paragraphs.append([])
    return [lines for lines in paragraphs if lines]


def _blocks(lines: list[str], first: bool) -> list[Block]:
    made: list[Block] = []
    if len(lines) > 1 and _UNDERLINE.match(lines[1]) and not _UNDERLINE.match(lines[0]):
        made.append(_block(BlockKind.HEADING, lines[:1], 1 if "=" in lines[1] else 2))
        lines = lines[2:]
    elif _is_heading(lines, first):
        return [_block(BlockKind.HEADING, lines, 1 if first else 2)]
    lines = [line for line in lines if not _UNDERLINE.match(line)]
    if not lines:
        return made
    if _is_wrapped(lines):
        return [*made, _block(BlockKind.PARAGRAPH, lines)]
    if len(lines) == 1 and not starts_item(lines[0]):
        return [*made, _block(BlockKind.PARAGRAPH, lines)]
    return [*made, *(_block(BlockKind.LIST, [line]) for line in lines)]


def _block(kind: BlockKind, lines: Sequence[str], level: int = 0) -> Block:
    return Block(kind, tuple(Line(line.strip(), None) for line in lines), level)


def _is_heading(lines: Sequence[str], first: bool) -> bool:
    if len(lines) != 1:
        return False
    line = lines[0].strip()
    if _width(line) > _LONGEST_HEADING or ends_sentence(line) or (starts_item(line) and not _NUMBERED.match(line)):
        return False
    capitals = line.isupper() and sum(character.isalpha() for character in line) > 3
    return first or capitals or _NUMBERED.match(line) is not None


def _is_wrapped(lines: Sequence[str]) -> bool:
    """Whether a paragraph's lines end because of the width of the page: all but the last are nearly as long as the
    longest, and none begins an item."""
    if len(lines) < 2 or any(starts_item(line) for line in lines[1:]) or any("\t" in line for line in lines):
        return False
    if not any(ends_sentence(line) for line in lines) and len(lines) < 4:
        return False  # a title, an address
    widths = [_width(line) for line in lines]
    longest = max(widths)
    broken = sum(not ends_sentence(line) for line in lines[:-1])
    return 30 <= longest <= _LONGEST_WRAPPED and min(widths[:-1]) >= _FULL * longest and broken * 2 >= len(lines) - 1


def _width(text: str) -> int:
    return len(text) + len(_WIDE.findall(text))
