"""Texts of our own; what is to be found in them is marked: `[[kind|text]]`. A snippet a line, `\\n` for line breaks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from server.domain.privacy import PiiKind, PiiSpan

_MARK = re.compile(r"\[\[(\w+)\|(.*?)\]\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Snippet:
    text: str
    spans: tuple[PiiSpan, ...]


def snippets() -> list[Snippet]:
    lines = (Path(__file__).parent / "snippets.txt").read_text("utf-8").splitlines()
    return [_snippet(line.replace("\\n", "\n")) for line in lines]


def _snippet(marked: str) -> Snippet:
    text, spans, at = "", list[PiiSpan](), 0
    for mark in _MARK.finditer(marked):
        text += marked[at : mark.start()]
        spans.append(PiiSpan(len(text), len(text) + len(mark[2]), PiiKind(mark[1])))
        text += mark[2]
        at = mark.end()
    return Snippet(text + marked[at:], tuple(spans))
