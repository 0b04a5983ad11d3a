"""What in a sentence can be looked up word for word: its numbers with their units, and its names.

A sentence most of whose words stand in a passage may still say another year or another person; these are compared
exactly. Pure; English and Japanese.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from server.application.english_words import ONES, SCALES, TEENS, TENS

_KANJI_DIGITS = {digit: value for value, digit in enumerate("〇一二三四五六七八九")}
_KANJI_TENS = {"十": 10, "百": 100, "千": 1_000}
_MYRIADS = {"万": 10**4, "億": 10**8, "兆": 10**12}
_SPELLED = (*ONES, *TEENS, TENS[0])
_WORDS = {word: Decimal(value) for value, word in enumerate(_SPELLED)}
_SCALES = {scale: 1_000**power for power, scale in enumerate(SCALES, 1)}
_SPELLED_NUMBER = re.compile(rf"\b({'|'.join(_SPELLED)})\b")
_GROUPED = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_KANJI_NUMERAL = re.compile(
    r"(?<![\d〇一二三四五六七八九十百千万億兆])[〇一二三四五六七八九十百千][〇一二三四五六七八九十百千万億兆]*"
)
_DIGITS = re.compile(rf"{_GROUPED}(?:[十百千万億兆]+(?:{_GROUPED}|[一二三四五六七八九])?)*")
_MINUS = re.compile(r"(?<![A-Za-z\d)\]])[-\u2212]$|(?:マイナス|零下|氷点下)$")
_PART = re.compile(r"[\d.]+|[〇一二三四五六七八九]+|[十百千万億兆]")
_SCALE = re.compile(rf"[\s-]?({'|'.join(_SCALES)})\b")
# Written in kanji these are adverbs as a rule: enough, at one time, once, most.
_ADVERB = re.compile(r"(?<![\d〇一二三四五六七八九十百千万億兆])(?:十分(?![間後前])|一時(?!間)|一度|一番)")
_ERA = re.compile(r"(明治|大正|昭和|平成|令和)(\d{1,2}|元|[一二三四五六七八九十]{1,3})年")
_YEAR_BEFORE = {"明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018}
_UNIT = re.compile(
    r"\s?(%|パーセント|年間|年度|[かヶカ]月|時間|週間|メートル|キロ|トン|[年月日時分秒人円個本回度枚台件歳位番倍割階]|[a-z]+)"
)
_SAME_UNIT = {
    "パーセント": "%", "percent": "%", "メートル": "m", "meters": "m", "metres": "m", "meter": "m", "metre": "m",
    "kilometers": "km", "kilometres": "km", "kilometer": "km", "kilometre": "km", "kilograms": "kg", "kilogram": "kg",
    "mi": "miles", "mile": "miles", "foot": "feet", "ft": "feet", "year": "years", "month": "months", "week": "weeks",
    "day": "days", "hour": "hours", "minute": "minutes", "second": "seconds", "dollar": "dollars", "euro": "euros",
    "pound": "pounds", "crown": "crowns", "か月": "ヶ月", "カ月": "ヶ月", "年度": "年",
}  # fmt: skip
_UNITS = frozenset(_SAME_UNIT.values()) | {
    *("年間", "時間", "週間", "キロ", "トン", "cm", "mm", "g", "yen"),
    *"月日時分秒人円個本回度枚台件歳位番倍割階",
}
_LATIN_WORD = re.compile(r"[^\W\d_\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_KATAKANA_WORD = re.compile(r"[\u30a1-\u30fa][\u30a1-\u30fa\u30fc]{2,}")
_BEFORE_SENTENCE = re.compile(r"(?:^|[.!?:;。\n]|[\"“‘「『(（])\s*$")
_OPENERS = {
    *("the", "a", "an", "this", "that", "these", "those", "its", "his", "her", "their", "our", "my"),
    *("in", "on", "at", "by", "for", "from", "no", "yes"),
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """`unit` is empty where none of those known follows the number."""

    number: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Facts:
    """`quantities` and `names` are what a text claims: numbers in digits, or in kanji before a unit; words with a
    capital inside a sentence, and words in katakana. `numbers` and `words` are what can be looked up in it: besides
    these every numeral, and every word in Latin letters, folded."""

    quantities: frozenset[Quantity]
    names: frozenset[str]
    numbers: frozenset[Quantity]
    words: frozenset[str]

    def foreign_to(self, source: Facts) -> bool:
        """Whether a claimed number or name is not in `source`. A number agrees with one of the same unit, or if one of
        the two has no unit; a name in katakana with a word that it is part of."""
        if not all(name in source.words or _within(name, source.words) for name in self.names):
            return True
        return not all(any(_agree(claimed, known) for known in source.numbers) for claimed in self.quantities)


def facts_of(text: str) -> Facts:
    """Years of Japanese eras are years of the common era; 三千, 3千 and 3,000 are the same number, as are 2 million and
    2,000,000. Cost: some microseconds a word."""
    plain = unicodedata.normalize("NFKC", text)
    dated = _ERA.sub(_common_year, plain.casefold())
    digits = frozenset(_digits(dated))
    kanji = frozenset(_kanji(dated))
    claimed = frozenset(_kanji(_ADVERB.sub(" ", dated)))
    words = _LATIN_WORD.findall(plain)
    spelled = frozenset(_spelled(dated))
    katakana = frozenset(_KATAKANA_WORD.findall(plain))
    return Facts(
        quantities=digits | frozenset(each for each in claimed if each.unit),
        names=frozenset(_names(plain)) | katakana,
        # "5 degrees below zero" says what "-5 degrees" says; the other way round it would not do.
        numbers=digits | kanji | spelled | frozenset(Quantity(abs(each.number), each.unit) for each in digits),
        words=frozenset(map(_folded_name, words)) | katakana,
    )


def _within(name: str, words: frozenset[str]) -> bool:
    """A katakana word may be a part of a longer one."""
    return _KATAKANA_WORD.fullmatch(name) is not None and any(name in word for word in words)


def _agree(claimed: Quantity, known: Quantity) -> bool:
    return claimed.number == known.number and (claimed.unit == known.unit or not (claimed.unit and known.unit))


def _digits(folded: str) -> Iterator[Quantity]:
    for match in _DIGITS.finditer(folded):
        number, end = _scaled(_value(match.group().replace(",", "")), folded, match.end())
        if _MINUS.search(folded, max(0, match.start() - 4), match.start()):
            number = -number
        yield Quantity(number, _unit_at(folded, end))


def _spelled(folded: str) -> Iterator[Quantity]:
    for match in _SPELLED_NUMBER.finditer(folded):
        yield Quantity(_scaled(_WORDS[match.group()], folded, match.end())[0], "")


def _scaled(number: Decimal, folded: str, at: int) -> tuple[Decimal, int]:
    """The number, times a million or the like if that follows, and where it ends."""
    scale = _SCALE.match(folded, at)
    return (number * _SCALES[scale.group(1)], scale.end()) if scale else (number, at)


def _kanji(folded: str) -> Iterator[Quantity]:
    for match in _KANJI_NUMERAL.finditer(folded):
        yield Quantity(_value(match.group()), _unit_at(folded, match.end()))


def _value(numeral: str) -> Decimal:
    """Of digits, kanji (also side by side, as in 二〇一〇) or both, as in 1億2千万."""
    total = below_myriad = digits = Decimal(0)
    for part in _PART.findall(numeral):
        if part in _KANJI_TENS:
            below_myriad += max(digits, Decimal(1)) * _KANJI_TENS[part]
            digits = Decimal(0)
        elif part in _MYRIADS:
            total += max(below_myriad + digits, Decimal(1)) * _MYRIADS[part]
            below_myriad = digits = Decimal(0)
        else:
            digits = Decimal("".join(str(_KANJI_DIGITS.get(character, character)) for character in part))
    return total + below_myriad + digits


def _common_year(era: re.Match[str]) -> str:
    name, year = era.groups()
    count = 1 if year == "元" else _value(year)
    return f" {_YEAR_BEFORE[name] + count}年"


def _unit_at(folded: str, at: int) -> str:
    found = _UNIT.match(folded, at)
    unit = _SAME_UNIT.get(found.group(1), found.group(1)) if found else ""
    return unit if unit in _UNITS else ""


def _names(plain: str) -> Iterator[str]:
    for match in _LATIN_WORD.finditer(plain):
        word = match.group()
        if not word[0].isupper() or len(word) == 1:
            continue
        # Any word has a capital at the beginning of a sentence; two in a row are a name there, too, but for articles.
        opens = _BEFORE_SENTENCE.search(plain, max(0, match.start() - 3), match.start()) is not None
        after = plain[match.end() : match.end() + 2]
        followed = after[:1] == " " and after[1:].isupper()
        if not opens or (followed and word.casefold() not in _OPENERS):
            yield _folded_name(word)


def _folded_name(word: str) -> str:
    """Without case and the s of a plural or a genitive."""
    folded = word.casefold()
    return folded[:-1] if len(folded) > 3 and folded.endswith("s") and not folded.endswith("ss") else folded
