"""Pages as bytes, for keeping what was read. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from server.domain.documents import Block, BlockKind, Box, Line, Page

# Changes when the bytes or their meaning do: older records are then made anew.
RECORD_VERSION = "1"

# Not storable as text in PostgreSQL, or not encodable in UTF-8.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(page: Page) -> Page:
    """The page with each character that no database takes replaced by U+FFFD; lengths stay."""
    blocks = tuple(replace(block, lines=tuple(map(_storable_line, block.lines))) for block in page.blocks)
    return replace(page, blocks=blocks)


def encode_page(page: Page) -> bytes:
    blocks = [
        [block.kind.value, block.level, [[line.text, *_corners(line.box)] for line in block.lines]]
        for block in page.blocks
    ]
    fields = [page.number, page.width, page.height, page.confidence, page.recognized, blocks]
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def decode_page(record: bytes) -> Page:
    number, width, height, confidence, recognized, blocks = json.loads(record)
    return Page(number, width, height, tuple(map(_block, blocks)), confidence, recognized)


def _block(fields: Any) -> Block:
    kind, level, lines = fields
    return Block(
        BlockKind(kind), tuple(Line(line[0], Box(*line[1:]) if len(line) > 1 else None) for line in lines), level
    )


def _corners(box: Box | None) -> tuple[float, ...]:
    return () if box is None else (box.x0, box.y0, box.x1, box.y1)


def _storable_line(line: Line) -> Line:
    return replace(line, text=_UNSTORABLE.sub("\ufffd", line.text)) if _UNSTORABLE.search(line.text) else line
