"""Where in a text the characters of its normalized form come from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_HANGUL_VOWELS_AND_FINALS = range(0x1160, 0x1200)
_KNOWN_CLUSTERS = 1 << 14
_USUAL = ((0x20, 0x7E), (0x3001, 0x3002), (0x300C, 0x300F), (0x3041, 0x3096), (0x30A1, 0x30FC), (0x4E00, 0x9FFF))
"""First and last of the ranges of characters that most texts are made of: none of them joins another, and a table
leaves nearly all of them as they are."""


class Aligned(NamedTuple):
    """text: normalized. starts, ends: int32[len(text)]; character i comes from the characters starts[i] to before
    ends[i] of the given text, and neither falls from one character to the next."""

    text: str
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]


class Aligner:
    """Follows what `E5Tokenizer.normalize` does. Safe to share between threads.

    A text is parted where no character can be composed with what stands before it (Unicode Standard Annex 15, section
    9): the normalized form of the whole is that of the parts, one behind the other.
    """

    def __init__(self, table: Mapping[int, str], normalize: Callable[[str], str]) -> None:
        self._removed = frozenset(chr(code_point) for code_point, replacement in table.items() if not replacement)
        joining = {chr(each) for each, replacement in table.items() if replacement and _composes(replacement[0])}
        self._joining = self._removed | joining
        usual = chain.from_iterable(range(first, last + 1) for first, last in _USUAL)
        kept = re.escape("".join(chr(each) for each in usual if each not in table))
        self._usual = re.compile(f"[{kept}]+" if kept else "(?!)")
        self._normalized = lru_cache(maxsize=_KNOWN_CLUSTERS)(normalize)

    def align(self, text: str) -> Aligned:
        """A tenth of a microsecond for each usual character, two for others (a busy machine)."""
        pieces: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        start, size = 0, len(text)
        while start < size:
            end = self._end_of_usual(text, start)
            if end > start:
                normalized = text[start:end]
                starts.extend(range(start, end))
                ends.extend(range(start + 1, end + 1))
            else:
                end = start + 1
                while end < size and self.joins(text[end]):
                    end += 1
                normalized = self._normalized(text[start:end])
                if normalized == text[start:end]:
                    starts.extend(range(start, end))
                    ends.extend(range(start + 1, end + 1))
                else:
                    first, last = self._kept(text, start, end)
                    starts.extend([first] * len(normalized))
                    ends.extend([last] * len(normalized))
            pieces.append(normalized)
            start = end
        return _with_single_blanks(Aligned("".join(pieces), np.array(starts, np.int32), np.array(ends, np.int32)))

    def _end_of_usual(self, text: str, start: int) -> int:
        """`start`, or behind usual characters from there on that stay as they are."""
        run = self._usual.match(text, start)
        if run is None:
            return start
        # What stands behind the last may join it.
        return run.end() if run.end() == len(text) else run.end() - 1

    def joins(self, character: str) -> bool:
        """Whether it can become one with what stands before it; so can what normalization removes, with what follows
        it."""
        return character in self._joining or _composes(character)

    def _kept(self, text: str, start: int, end: int) -> tuple[int, int]:
        """Without what is removed at either end."""
        while start < end - 1 and text[start] in self._removed:
            start += 1
        while start < end - 1 and text[end - 1] in self._removed:
            end -= 1
        return start, end


def _with_single_blanks(aligned: Aligned) -> Aligned:
    """Of several the first stays."""
    if "  " not in aligned.text:
        return aligned
    blank = blanks(aligned.text)
    kept = ~blank
    kept[0] = True
    kept[1:] |= ~blank[:-1]
    text = "".join(character for character, stays in zip(aligned.text, kept, strict=True) if stays)
    return Aligned(text, aligned.starts[kept], aligned.ends[kept])


def blanks(text: str) -> npt.NDArray[np.bool_]:
    """Where spaces are."""
    found: npt.NDArray[np.bool_] = np.frombuffer(text.encode("utf-32-le"), "<u4") == ord(" ")
    return found


def _composes(character: str) -> bool:
    """Every character that is composed with one before it is a mark, or a vowel or final consonant of Hangul."""
    return unicodedata.category(character)[0] == "M" or ord(character) in _HANGUL_VOWELS_AND_FINALS
