"""The numbers and bullets of Word's lists, which are not in the text but are counted by whoever shows it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType

from lxml import etree

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_LEVELS = 9
BULLET = "-"
_PLACE = re.compile(r"%([1-9])")
_KANJI = "〇一二三四五六七八九"
_AIUEO = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセス"
_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
_MOST_ROMAN = 3999


@dataclass(frozen=True, slots=True)
class _Level:
    style: str
    text: str
    start: int


@dataclass(slots=True)
class _List:
    levels: dict[int, _Level] = field(default_factory=dict)


class Numbering:
    """Counts as the paragraphs come: `next_marker` once for each, in their order."""

    def __init__(self, part: etree._Element | None) -> None:
        """`part` is the root of numbering.xml; None if there is none."""
        self._lists: dict[str, _List] = {}
        self._counted_by: dict[str, str] = {}
        self._counts: dict[str, list[int]] = {}
        if part is None:
            return
        abstract = {one.get(_W + "abstractNumId", ""): _levels(one) for one in part.findall(_W + "abstractNum")}
        for number in part.findall(_W + "num"):
            key = number.get(_W + "numId", "")
            base = _value(number, "abstractNumId")
            levels = dict(abstract.get(base, {}))
            restarted = False
            for override in number.findall(_W + "lvlOverride"):
                at, start = _whole(override.get(_W + "ilvl")), _value(override, "startOverride")
                if at in levels and start.isdigit():
                    levels[at] = _Level(levels[at].style, levels[at].text, int(start))
                    restarted = True
            self._lists[key] = _List(levels)
            # Lists of one kind go on counting, unless one says where it starts.
            self._counted_by[key] = key if restarted else f"kind {base}"

    def next_marker(self, number: str, level: int) -> str:
        """What stands before the paragraph: a number as it is written, a hyphen for any bullet; empty without one."""
        levels = self._lists.get(number, _List()).levels
        if level not in levels:
            return ""
        counts = self._counts.setdefault(self._counted_by[number], [])
        for at in range(len(counts), level + 1):
            # A level that was passed over counts as begun; the one asked for is raised below.
            start = levels[at].start if at in levels else 1
            counts.append(start if at < level else start - 1)
        del counts[level + 1 :]
        counts[level] += 1
        own = levels[level]
        if own.style == "bullet":
            return BULLET
        return _PLACE.sub(lambda place: _shown(counts, levels, int(place[1]) - 1), own.text).strip()


def _shown(counts: list[int], levels: dict[int, _Level], at: int) -> str:
    if at >= len(counts) or at not in levels:
        return ""
    return _STYLES.get(levels[at].style, str)(counts[at])


def _levels(abstract: etree._Element) -> dict[int, _Level]:
    levels: dict[int, _Level] = {}
    for one in abstract.findall(_W + "lvl"):
        at, start = _whole(one.get(_W + "ilvl")), _value(one, "start")
        if 0 <= at < _LEVELS:
            levels[at] = _Level(_value(one, "numFmt"), _value(one, "lvlText"), int(start) if start.isdigit() else 1)
    return levels


def _value(container: etree._Element, name: str) -> str:
    child = container.find(_W + name)
    return "" if child is None else child.get(_W + "val", "")


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 5 else -1


def _roman(number: int) -> str:
    if not 0 < number <= _MOST_ROMAN:
        return str(number)
    text = ""
    for value, letters in (
        *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")),
        *((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
    ):
        text += letters * (number // value)
        number %= value
    return text


def _letter(number: int) -> str:
    """a to z, aa to zz, aaa to zzz, as Word writes them."""
    return chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, 20) if number > 0 else str(number)


def _kanji(number: int) -> str:
    if not 0 < number < 100:
        return str(number)
    tens, ones = divmod(number, 10)
    return (_KANJI[tens] if tens > 1 else "") + ("十" if tens else "") + (_KANJI[ones] if ones else "")


def _from(characters: str) -> Callable[[int], str]:
    return lambda number: characters[number - 1] if 0 < number <= len(characters) else str(number)


_STYLES: MappingProxyType[str, Callable[[int], str]] = MappingProxyType(
    {
        "none": lambda _: "",
        "decimalZero": lambda number: f"{number:02}",
        "decimalFullWidth": lambda number: str(number).translate(_FULL_WIDTH),
        "decimalEnclosedCircle": _from("①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"),
        "lowerRoman": _roman,
        "upperRoman": lambda number: _roman(number).upper(),
        "lowerLetter": _letter,
        "upperLetter": lambda number: _letter(number).upper(),
        "japaneseCounting": _kanji,
        "ideographDigital": _kanji,
        "chineseCounting": _kanji,
        "aiueo": _from(_AIUEO),
        "aiueoFullWidth": _from(_AIUEO),
        "iroha": _from(_IROHA),
        "irohaFullWidth": _from(_IROHA),
    }
)
