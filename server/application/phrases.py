"""Finds a phrase that a model wrote in the passages' own words.

What is shown is the passage's spelling, so that a short answer is a quotation and cannot hold a number or a name of the
model's own. Compared are words (in Japanese: characters) after NFKC, without case and punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from server.domain.passages import TextSpan

_CJK = r"\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff"
_KANJI_NUMERALS = "〇一二三四五六七八九十百千万億兆"
# A numeral is one word, however it is written: 500 does not stand in 1,500, nor 五 in 十五, nor 1930 in 1930s.
_WORD = re.compile(rf"(?:\d+(?:[.,]\d+)*|[{_KANJI_NUMERALS}])+(?:(?:st|nd|rd|th|s)\b)?|[{_CJK}]|[^\W_{_CJK}]+")
_IS_CJK = re.compile(f"[{_CJK}]")
_SCALE = re.compile(r"[ -](?:thousand|million|billion|trillion)\b", re.IGNORECASE)
_ARTICLES = frozenset(("a", "an", "the"))
_BEFORE = "$£€¥#"
_MINUS = "-\u2212－"
_AFTER = "%％℃°"
_PAIRS = {"「": "」", "『": "』", "（": "）", "(": ")", "“": "”", '"': '"', "《": "》", "〈": "〉"}
_LONGER = 2
"""By how many words a likely window may be longer or shorter than the draft."""


class _Word(NamedTuple):
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Quotation:
    """`span` of text number `text` says what a draft said: `likeness` is their F1 over words, 1 for the same words."""

    text: int
    span: TextSpan
    likeness: float


class Phrasebook:
    """Texts to find phrases in. Cost: about a microsecond a character, once, and a tenth of that for each phrase."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = tuple(texts)
        self._words = tuple(_words(text) for text in texts)

    def quotations(self, draft: str, least_likeness: float) -> list[Quotation]:
        """Where the draft stands word for word, in the order of the texts; else the one span that is most like it, if
        its likeness reaches `least_likeness`. Empty for a draft without words."""
        said = words_of(draft)
        if not said:
            return []
        exact = [self._quotation(number, found, 1.0) for number, found in self._exact(said)]
        return exact or self._likely(said, least_likeness)

    def _exact(self, said: Sequence[str]) -> Iterator[tuple[int, tuple[int, int]]]:
        for number, words in enumerate(self._words):
            for at in range(len(words) - len(said) + 1):
                if all(words[at + offset].text == word for offset, word in enumerate(said)):
                    yield number, (at, at + len(said))

    def _likely(self, said: Sequence[str], least: float) -> list[Quotation]:
        wanted = Counter(said)
        numbers = frozenset(filter(_is_number, said))
        best: Quotation | None = None
        for number, words in enumerate(self._words):
            for length in range(max(1, len(said) - _LONGER), len(said) + _LONGER + 1):
                for at in range(len(words) - length + 1):
                    if words[at].text not in wanted or words[at + length - 1].text not in wanted:
                        continue
                    window = Counter(word.text for word in words[at : at + length])
                    if not numbers <= window.keys():
                        continue  # another number is another answer, however like the rest is
                    shared = sum((window & wanted).values())
                    likeness = 2 * shared / (length + len(said))
                    if likeness >= least and (best is None or likeness > best.likeness):
                        best = self._quotation(number, (at, at + length), likeness)
        return [best] if best is not None else []

    def _quotation(self, number: int, found: tuple[int, int], likeness: float) -> Quotation:
        words, text = self._words[number], self._texts[number]
        start, end = words[found[0]].start, words[found[1] - 1].end
        return Quotation(number, _with_brackets(text, with_signs(text, start, end)), likeness)


def without_frame(draft: str) -> str:
    """A phrase without what models put around one: white space, quotation marks around all of it, a full stop."""
    phrase = draft.strip()
    if phrase[:1] in _PAIRS and phrase.endswith(_PAIRS[phrase[0]]):
        phrase = phrase[1:-1]
    return phrase.rstrip("。．.").strip()


def words_of(text: str) -> list[str]:
    """As they are compared, without articles in front."""
    return _without_articles([word.text for word in _words(text)])


def _words(text: str) -> list[_Word]:
    """Words of the folded text with their places in the original."""
    folded: list[str] = []
    origin: list[int] = []
    for at, character in enumerate(text):
        plain = unicodedata.normalize("NFKC", character).casefold()
        folded.append(plain)
        origin.extend([at] * len(plain))
    found = _WORD.finditer("".join(folded))
    # A number is one word, so that 5 is not found in 5,792; groups of digits may be written in either way.
    return [_Word(each.group().replace(",", ""), origin[each.start()], origin[each.end() - 1] + 1) for each in found]


def _without_articles(words: list[str]) -> list[str]:
    while len(words) > 1 and words[0] in _ARTICLES:
        words = words[1:]
    return words


def with_signs(text: str, start: int, end: int) -> TextSpan:
    """Signs of currency, minus and per cent belong to a number, and so does a million behind it. start, end: of words
    in `text`."""
    number = text[start].isdecimal()
    if start and text[start - 1] in _BEFORE:
        start -= 1
    if number and start and text[start - 1] in _MINUS and not _goes_on(text, start - 2):
        start -= 1
    if text[end - 1].isdecimal():
        scale = _SCALE.match(text, end)
        end = scale.end() if scale else end
    if end < len(text) and text[end] in _AFTER:
        end += 1
    return TextSpan(start, end)


def _with_brackets(text: str, span: TextSpan) -> TextSpan:
    """Brackets belong to what they enclose."""
    enclosed = span.start and span.end < len(text) and _PAIRS.get(text[span.start - 1]) == text[span.end]
    return TextSpan(span.start - 1, span.end + 1) if enclosed else span


def _goes_on(text: str, at: int) -> bool:
    """Whether what stands there makes the hyphen behind it one between two parts: 3-5, A-5."""
    return at >= 0 and text[at].isalnum() and not _IS_CJK.match(text[at])


def _is_number(word: str) -> bool:
    return word[0].isdecimal() or word[0] in _KANJI_NUMERALS
