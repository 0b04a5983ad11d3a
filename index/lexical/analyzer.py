"""Text to tokens, the same way for chunks and queries.

NFKC and case folding; then, per run of characters: words in the Latin alphabet lose their accents and are stemmed
(Snowball English); Han, kana and Hangul give each two adjacent characters, and text with Han or kana in addition
Sudachi's short units in normalized spelling, without particles and auxiliaries; other words stay as they are. Commas
between thousands are no part of a number; any other character that is no letter or digit separates.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import Stemmer
import sudachipy

ANALYZER = "nfkc-fold-latin/snowball-en/sudachi-core-a+bigrams-in-sequence/2"
"""Changes whenever tokens change: an index made by another analyzer is refused."""

_HAN_OR_KANA = (
    r"\u3005-\u3007\u3041-\u3096\u309d-\u309e\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
_HANGUL = r"\uac00-\ud7a3"
_UNSPACED = _HAN_OR_KANA + _HANGUL
_LETTER = rf"[^\W_{_UNSPACED}]"
_RUN = re.compile(
    rf"(?P<unspaced>[{_UNSPACED}]+)"
    rf"|(?P<word>[0-9]{{1,3}}(?:,[0-9]{{3}})+(?![0-9]){_LETTER}*|{_LETTER}+(?:['’](?:s|t|re|ve|ll|d|m)\b)?)"
)
_UNSPACED_RUN = re.compile(f"[{_UNSPACED}]+")
_SUDACHI = re.compile(f"[{_HAN_OR_KANA}]")
_LATIN = re.compile(r"[a-z\u00df-\u024f\u1e00-\u1eff]+(?:'[a-z]+)?$")
_ACCENTED = re.compile(r"[\u00df-\u024f\u1e00-\u1eff]")
_UNDECOMPOSED = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "æ": "ae", "œ": "oe"})
_GRAMMATICAL = frozenset({"助詞", "助動詞", "補助記号", "記号", "空白"})
_PIECE_CHARACTERS = 8_000
"""Sudachi refuses more than 49,149 bytes at once."""
_LONGEST_TOKEN = 200
_WORDS_KEPT = 1 << 16

_stemming = threading.Lock()
_english: Any = Stemmer.Stemmer("english", 0)  # without its own cache: `_word` has one


class TokenSpan(NamedTuple):
    """A token, and where in the folded text it comes from."""

    token: str
    start: int
    end: int


class Analyzer:
    """Safe to use from many threads. Making one loads Sudachi's dictionary (0.15 s, memory-mapped)."""

    def __init__(self) -> None:
        self._dictionary = sudachipy.Dictionary(dict="core")
        self._is_grammatical = self._dictionary.pos_matcher(lambda parts: parts[0] in _GRAMMATICAL)
        self._of_thread = threading.local()

    def tokens(self, text: str) -> list[str]:
        """What a text is found by, with repeats: words and pairs of characters in their order, then Sudachi's units.

        None contains white space. Cost: 1 ms per 1,000 characters of Japanese, 0.1 ms of English.
        """
        folded = fold(text)
        return _words_and_pairs(folded, alone=False) + self._units(folded)

    def stream(self, *texts: str) -> str:
        """What the index keeps of a chunk's texts: lines of tokens separated by spaces. Each text has a line with its
        sequence, and the last line has the units of all. Tokens of two lines do not follow one another."""
        folded = [fold(text) for text in texts]
        lines = [" ".join(_words_and_pairs(text, alone=True)) for text in folded]
        lines.append(" ".join([unit for text in folded for unit in self._units(text)]))
        return "\n".join(filter(None, lines))

    def sequence(self, text: str) -> list[str]:
        """One token for each word, and for each character of a run without spaces: the pair that begins with it, or if
        it is the last of its run, it alone. So a run is found in a longer one by its own sequence without the last."""
        return _words_and_pairs(fold(text), alone=True)

    def unit_spans(self, folded: str) -> list[TokenSpan]:
        """Sudachi's units of a folded text that has Han or kana."""
        return [
            TokenSpan(unit, first + morpheme.begin(), first + morpheme.end())
            for first, morpheme in self._content_words(folded)
            for unit in _units(morpheme.normalized_form())
        ]

    def _content_words(self, folded: str) -> Iterator[tuple[int, Any]]:
        """Sudachi's morphemes of Han or kana, each with the place that its offsets count from. Each must be read before
        the next one is asked for."""
        if not _SUDACHI.search(folded):
            return
        tokenize, kept = self._tokenizer()
        for first in range(0, len(folded), _PIECE_CHARACTERS):
            for morpheme in tokenize(folded[first : first + _PIECE_CHARACTERS], out=kept):
                if not self._is_grammatical(morpheme) and _SUDACHI.search(morpheme.raw_surface()):
                    yield first, morpheme

    def _units(self, folded: str) -> list[str]:
        units: list[str] = []
        for _, morpheme in self._content_words(folded):
            units += _units(morpheme.normalized_form())
        return units

    def _tokenizer(self) -> tuple[Any, Any]:
        """This thread's tokenizer and a list for its results: one must not be used by two threads."""
        own: tuple[Any, Any] | None = getattr(self._of_thread, "tokenizer", None)
        if own is None:
            tokenizer = self._dictionary.tokenizer(sudachipy.SplitMode.A, fields={"pos", "normalized_form"})
            own = self._of_thread.tokenizer = (tokenizer.tokenize, tokenizer.tokenize(""))
        return own


def fold(text: str) -> str:
    """The text in NFKC without case. Its length can differ."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def word_spans(folded: str, wanted: Collection[str]) -> Iterator[TokenSpan]:
    """Words of a folded text whose tokens are wanted, without runs of Han, kana and Hangul, in their order."""
    if not wanted:
        return
    initials = {token[0] for token in wanted}
    for run in _RUN.finditer(folded):
        word = run["word"]
        # Stemming changes ends of words only, folding of accents no ASCII letter: few words have to be stemmed.
        if word is not None and (word[0] in initials or not word[0].isascii()):
            token = _word(word)
            if token in wanted:
                yield TokenSpan(token, run.start(), run.end())


def is_unspaced(character_or_token: str) -> bool:
    """Whether it consists of Han, kana or Hangul."""
    return _UNSPACED_RUN.fullmatch(character_or_token) is not None


def _words_and_pairs(folded: str, *, alone: bool) -> list[str]:
    """alone: whether the last character of each run without spaces is given as a token of its own, too."""
    tokens: list[str] = []
    for run in _RUN.finditer(folded):
        characters = run["unspaced"]
        if characters is None:
            tokens.append(_word(run["word"]))
        else:
            count = len(characters) if alone else max(len(characters) - 1, 1)
            tokens += [characters[i : i + 2] for i in range(count)]
    return tokens


@lru_cache(_WORDS_KEPT)
def _word(word: str) -> str:
    plain = word.replace("’", "'").replace(",", "")
    is_latin = _LATIN.match(plain)
    if _ACCENTED.search(plain):
        decomposed = unicodedata.normalize("NFD", plain.translate(_UNDECOMPOSED))
        plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    if not is_latin:
        return plain.partition("'")[0][:_LONGEST_TOKEN]
    with _stemming:  # the stemmer keeps the word in its own fields
        return str(_english.stemWord(plain))[:_LONGEST_TOKEN]


@lru_cache(_WORDS_KEPT)
def _units(normalized_form: str) -> tuple[str, ...]:
    return tuple(unit[:_LONGEST_TOKEN] for unit in normalized_form.casefold().split())
