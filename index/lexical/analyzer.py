"""Text to tokens, the same way for chunks and queries.

NFKC and case folding; then, per run of characters: words in the Latin alphabet are stemmed (Snowball English); Han,
kana and Hangul give each two adjacent characters, and text with Han or kana in addition Sudachi's short units in
normalized spelling, without particles and auxiliaries; other words stay as they are.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import lru_cache
from typing import Any

import snowballstemmer
import sudachipy

ANALYZER = "nfkc-fold/snowball-en/sudachi-core-a+bigrams/1"
"""Changes whenever tokens change: an index made by another analyzer is refused."""

_HAN_OR_KANA = (
    r"\u3005-\u3007\u3041-\u3096\u309d-\u309e\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
_HANGUL = r"\uac00-\ud7a3"
_UNSPACED = _HAN_OR_KANA + _HANGUL
_RUN = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|(?P<word>[^\W_{_UNSPACED}]+(?:['’](?:s|t|re|ve|ll|d|m)\b)?)")
_SUDACHI = re.compile(f"[{_HAN_OR_KANA}]")
_LATIN = re.compile(r"[a-z\u00df-\u024f\u1e00-\u1eff]+(?:'[a-z]+)?$")
_GRAMMATICAL = frozenset({"助詞", "助動詞", "補助記号", "記号", "空白"})
_PIECE_CHARACTERS = 8_000
"""Sudachi refuses more than 49,149 bytes at once."""
_LONGEST_TOKEN = 200
_STEMS_KEPT = 1 << 16

_stemming = threading.Lock()
_english: Any = snowballstemmer.stemmer("english")


@lru_cache(_STEMS_KEPT)
def _stem(word: str) -> str:
    with _stemming:  # the stemmer keeps the word in its own fields
        return str(_english.stemWord(word))


class Analyzer:
    """Safe to use from many threads. Making one loads Sudachi's dictionary (0.15 s, memory-mapped)."""

    def __init__(self) -> None:
        self._dictionary = sudachipy.Dictionary(dict="core")
        self._of_thread = threading.local()

    def tokens(self, text: str) -> list[str]:
        """The tokens, with repeats: words and bigrams in the order of the text, then Sudachi's units.

        None contains white space. Cost: 1.5 ms per 1,000 characters of Japanese, 0.2 ms of English.
        """
        folded = _folded(text)
        units = self._units(folded) if _SUDACHI.search(folded) else []
        return [token[:_LONGEST_TOKEN] for token in _runs(folded) + units]

    def surface_tokens(self, text: str) -> list[str]:
        """The tokens without Sudachi's units, which depend on what stands around the text: what a text that contains
        this one has for certain."""
        return [token[:_LONGEST_TOKEN] for token in _runs(_folded(text))]

    def _units(self, text: str) -> list[str]:
        tokenizer = getattr(self._of_thread, "tokenizer", None)
        if tokenizer is None:  # one tokenizer must not be used by two threads
            tokenizer = self._of_thread.tokenizer = self._dictionary.tokenizer(sudachipy.SplitMode.A)
        units = []
        for start in range(0, len(text), _PIECE_CHARACTERS):
            for morpheme in tokenizer.tokenize(text[start : start + _PIECE_CHARACTERS]):
                if _SUDACHI.search(morpheme.surface()) and morpheme.part_of_speech()[0] not in _GRAMMATICAL:
                    units += morpheme.normalized_form().casefold().split()
        return units


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _runs(folded: str) -> list[str]:
    tokens: list[str] = []
    for run in _RUN.finditer(folded):
        tokens += _bigrams(run["unspaced"]) if run["unspaced"] else [_word(run["word"])]
    return tokens


def _bigrams(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]


def _word(word: str) -> str:
    straight = word.replace("’", "'")
    return _stem(straight) if _LATIN.match(straight) else straight.partition("'")[0]
