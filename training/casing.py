"""Capitals for English texts that were put into small letters.

A word is a name if other texts write it with a capital within sentences more often than without, or never write it
small (Lita et al., 2003, "tRuEcasIng", without its context).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_WITHIN = re.compile(r"(?<=[a-z,] )[^\W\d_]+")
_WORD = re.compile(r"[^\W\d_]+")
_GENITIVE = re.compile(r"(?<=['’])S\b")


class Casing:
    def __init__(self, texts: Iterable[str]) -> None:
        """texts: with capitals where they belong; titles and headings would mislead."""
        self._capital: Counter[str] = Counter()
        self._small: Counter[str] = Counter()
        for text in texts:
            for word in _WITHIN.findall(text):
                counted = self._capital if word[0].isupper() else self._small
                counted[word.lower()] += 1

    def restored(self, text: str) -> str:
        """`text`, of the same length, with capitals for names and for its first letter."""
        named = _GENITIVE.sub("s", _WORD.sub(self._written, text))
        return _capital(named[:1]) + named[1:]

    def _written(self, found: re.Match[str]) -> str:
        word = found.group()
        known = self._small[word]
        is_name = self._capital[word] > known or not known
        return _capital(word) if is_name and len(word) > 1 else word


def _capital(word: str) -> str:
    """As it was if it would get longer, as by ß."""
    written = word.capitalize()
    return written if len(written) == len(word) else word
