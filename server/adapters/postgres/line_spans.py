"""Spans of texts as JSON. Of lines: `[start, end, page]`, followed by the four numbers of the box where there is one.
Of words in the place of personal data: `[start, end, kind]`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from server.domain.documents import Box, LineSpan
from server.domain.privacy import PiiKind, PiiSpan


def encode_line_spans(spans: Sequence[LineSpan]) -> str:
    return json.dumps([[span.start, span.end, span.page, *_corners(span.box)] for span in spans], separators=(",", ":"))


def decode_line_spans(rows: Sequence[Sequence[Any]]) -> tuple[LineSpan, ...]:
    return tuple(LineSpan(row[0], row[1], row[2], Box(*row[3:]) if len(row) > 3 else None) for row in rows)


def encode_masked(spans: Sequence[PiiSpan]) -> str:
    return json.dumps([[span.start, span.end, span.kind.value] for span in spans], separators=(",", ":"))


def decode_masked(rows: Sequence[Sequence[Any]]) -> tuple[PiiSpan, ...]:
    return tuple(PiiSpan(start, end, PiiKind(kind)) for start, end, kind in rows)


def _corners(box: Box | None) -> tuple[float, ...]:
    """Rounded to a hundredth of a point or pixel."""
    return () if box is None else tuple(round(value, 2) for value in (box.x0, box.y0, box.x1, box.y1))
