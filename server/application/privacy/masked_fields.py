"""Masks answers in fields so that they stay JSON: in a string the word stands where the personal data stood; a number
that is personal data becomes a string, which has the word. Pure."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from server.application.privacy.finding import find_pii
from server.application.privacy.masking import MASKS, MaskedText, mask_pii, replaced
from server.domain.privacy import PiiKind, PiiSpan

_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")
_VALUE = re.compile(r'"(?P<string>(?:[^"\\]|\\.)*)"|-?[0-9][0-9.eE+-]*')


def mask_fields(text: str, kinds: Collection[PiiKind]) -> MaskedText:
    """Of a JSON document; text that is none, as a refusal is, is masked as text. The spans of words in the place of
    numbers have the quotes in them. A schema that wants a number there is not kept to."""
    if not kinds or not _is_json(text):
        return mask_pii(text, kinds)
    values = list(_VALUE.finditer(text))
    ends = [value.end() for value in values]
    cuts: list[PiiSpan] = []
    words: list[str] = []
    # What an escape is written with is no letter of the word behind it.
    for found in find_pii(_ESCAPE.sub(lambda escape: " " * len(escape.group()), text), kinds):
        for value in values[bisect.bisect_right(ends, found.start) :]:
            if value.start() >= found.end:
                break
            if value["string"] is None:
                start, end, word = value.start(), value.end(), f'"{MASKS[found.kind]}"'
            else:
                start, end = max(found.start, value.start("string")), min(found.end, value.end("string"))
                word = MASKS[found.kind]
            if start < end and (not cuts or cuts[-1].end <= start):
                cuts.append(PiiSpan(start, end, found.kind))
                words.append(word)
    return replaced(text, cuts, words)


def mask_kept(text: str, kinds: Collection[PiiKind]) -> MaskedText:
    """Of an answer of which it is not known whether it is in fields. A number alone is taken for text."""
    return mask_fields(text, kinds) if text[:1] in ("{", "[", '"') else mask_pii(text, kinds)


@dataclass(slots=True)
class FieldsMasker:
    """As TextMasker, for an answer in fields: no part of one is of use, so all of it comes at the end."""

    kinds: frozenset[PiiKind]
    whole: MaskedText = field(default_factory=lambda: MaskedText(""))
    settled: int = 0
    _text: str = ""

    def add(self, piece: str) -> str:
        self._text += piece
        return ""

    def rest(self) -> str:
        """Nothing, when it is asked again."""
        if self.settled == len(self._text):
            return ""
        self.whole, self.settled = mask_fields(self._text, self.kinds), len(self._text)
        return self.whole.text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
