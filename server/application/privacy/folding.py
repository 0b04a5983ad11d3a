"""One form for what is written in many: full-width digits, those of other scripts, kinds of dashes, invisible
characters. Pure, linear."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2500\u30fb\uff65"
"""Dashes, and the middle dot that parts numbers in Japanese texts, too."""


class _Folds(dict[int, str]):
    """What a code point is folded to; worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        digit = unicodedata.decimal(character, None)
        category = unicodedata.category(character)
        if digit is not None:
            folded = str(digit)
        elif character in _HYPHENS or category == "Pd":
            folded = "-"
        elif category == "Cf":
            folded = ""  # soft hyphens, joiners, marks of direction
        elif category == "Zs":
            folded = " "
        else:
            folded = unicodedata.normalize("NFKC", character)
        self[code] = folded
        return folded


_FOLDS = _Folds()


@dataclass(frozen=True, slots=True)
class FoldedText:
    """`offsets[i]` is where character `i` of `text` came from, with one more at the end; None: where it stands."""

    text: str
    offsets: Sequence[int] | None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """What `text[start:end]`, which is not empty, was folded from. Characters that were folded to nothing belong to
        what stands around them only when they lie within."""
        if self.offsets is None:
            return start, end
        return self.offsets[start], self.offsets[end - 1] + 1


def folded(text: str) -> FoldedText:
    """NFKC by the character, beside what `_Folds` says. ASCII stays as it is."""
    if text.isascii():
        return FoldedText(text, None)
    folds = {character: _FOLDS[ord(character)] for character in set(text)}
    if all(len(fold) == 1 for fold in folds.values()):
        return FoldedText(text.translate(_FOLDS), None)
    parts: list[str] = []
    offsets: list[int] = []
    for at, character in enumerate(text):
        fold = folds[character]
        parts.append(fold)
        offsets.extend([at] * len(fold))
    offsets.append(len(text))
    return FoldedText("".join(parts), offsets)
