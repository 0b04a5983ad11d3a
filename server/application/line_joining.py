"""How the lines of a page become running text, without losing where each of them went. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from server.domain.documents import Line

_UNSPACED = re.compile("[\u2e80-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")
_BULLET = r"[•●○■□◆◇▪▫‣⁃◦∙・※➢➤✓✔–—*+-]"
_NUMBER = r"[(（]?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5}|[①-⑳]|[ア-ン]|[一二三四五六七八九十]{1,3})[)）.．、]"
_ITEM = re.compile(
    rf"\s*(?:{_BULLET}\s*|{_NUMBER}\s+|{_NUMBER}(?=[^\x00-\x7f])|[①-⑳]|[(（](?:\d{{1,3}}|[a-z])[)）])(?=\S)"
)


@dataclass(frozen=True, slots=True)
class JoinedLine:
    """Code points `start` to `end` of the joined text are line number `line`."""

    start: int
    end: int
    line: int


def starts_item(text: str) -> bool:
    """Whether a line begins with a bullet or a number of a list."""
    return _ITEM.match(text) is not None


def join_lines(lines: Sequence[Line]) -> tuple[str, list[JoinedLine]]:
    """Lines as one paragraph: with a space between them, none beside a character of a script without spaces, and a word
    that was parted by a hyphen made whole (its hyphen belongs to no line then). Lines without text are left out."""
    text = ""
    places: list[JoinedLine] = []
    for number, line in enumerate(lines):
        part = " ".join(line.text.split())
        if not part:
            continue
        if places:
            last = places[-1]
            if _parted(text, part):
                text = text[:-1]
                places[-1] = JoinedLine(last.start, last.end - 1, last.line)
            elif not (_UNSPACED.match(text[-1]) or _UNSPACED.match(part[0]) or _open_hyphen(text, part)):
                text += " "
        places.append(JoinedLine(len(text), len(text) + len(part), number))
        text += part
    return text, [place for place in places if place.start < place.end]


def _parted(text: str, following: str) -> bool:
    """'exam-' + 'ple': a lower-case letter on both sides of the hyphen."""
    return len(text) > 1 and text[-1] in "-\u00ad\u2010" and text[-2].islower() and following[0].islower()


def _open_hyphen(text: str, following: str) -> bool:
    """'2019-' + '2020', 'Anglo-' + 'Saxon': the hyphen stays, and no space follows it."""
    return len(text) > 1 and text[-1] in "-\u2010" and text[-2].isalnum() and following[0].isalnum()
