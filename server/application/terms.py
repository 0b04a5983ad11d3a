"""The words that carry a text's content, for judging whether one text supports another.

Not for searching: the index has an analyzer of its own.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import Stemmer

_LATIN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_KANJI = re.compile(r"[\u4e00-\u9fff\u3005]+")
_KATAKANA = re.compile(r"[\u30a1-\u30fa\u30fc]{2,}")
_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\u3005]+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")

_STOP_WORDS = frozenset(
    re.findall(
        r"[a-z]+",
        """
    a about after all also am an and any are as at be because been before being between both but by can could did do
    does doing down during each few for from further had has have having he her here hers him his how i if in into is
    it its just many me more most much my no nor not of off on once only or other our out over own same she should so
    some such than that the their them then there these they this those through to too under until up us very was we
    were what when where which while who whom whose why will with would you your
    """,
    )
)
_STEMMER = Stemmer.Stemmer("english")


@dataclass(frozen=True, slots=True)
class Terms:
    """`words`: stemmed Latin words without stop words, pairs of kanji and whole katakana words. `numbers`: digits with
    decimals, without thousands separators."""

    words: frozenset[str]
    numbers: frozenset[str]

    @property
    def all(self) -> frozenset[str]:
        return self.words | self.numbers


def terms_of(text: str) -> Terms:
    """Cost: about a microsecond per character for new words; stems are cached."""
    folded = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text).casefold())
    numbers = frozenset(match.group().rstrip(".,") for match in _NUMBER.finditer(folded))
    words = {_stem(word) for word in _LATIN.findall(_JAPANESE.sub(" ", folded)) if word not in _STOP_WORDS}
    words.update(_KATAKANA.findall(folded))
    for run in _KANJI.findall(folded):
        words.update(run[i : i + 2] for i in range(max(1, len(run) - 1)))
    return Terms(frozenset(words), numbers)


def rarity(terms: Iterable[str], texts: Sequence[frozenset[str]]) -> dict[str, float]:
    """What each term tells: the logarithm of the texts per text that holds it. Terms that none holds tell most."""
    return {term: math.log(1.0 + len(texts) / (0.5 + sum(term in text for text in texts))) for term in terms}


@lru_cache(maxsize=16_384)
def _stem(word: str) -> str:
    stem: str = _STEMMER.stemWord(word)
    return stem
