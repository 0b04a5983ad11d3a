"""Days, months, years and ranges of them as English and Japanese write them, with offsets. Pure.

Only what names a calendar day without guessing is read: `3/4/2024` could be in March or in April, and is left alone.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from server.domain.passages import TextSpan


@dataclass(frozen=True, slots=True)
class Days:
    """first <= day < end; None is no bound."""

    first: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class FoundDays:
    span: TextSpan
    days: Days


_MONTHS = {
    name: number
    for number in range(1, 13)
    for name in (calendar.month_name[number].lower(), calendar.month_abbr[number].lower())
} | {"sept": 9}
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10, "twelve": 12}
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925}
_ERA_YEARS = {"令和": 99, "平成": 31, "昭和": 64}
_MONTH = "(?:" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\b\.?"
_YEAR = r"(?:19|20)\d\d"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])"
_TH = r"(?:st|nd|rd|th)?"
_JA_YEAR = rf"(?:{_YEAR}|(?:{'|'.join(_ERAS)})(?:元|\d{{1,2}}))年度?"

# Each form of a date, the longest first where one is the beginning of another.
_FORMS = "|".join(
    (
        rf"(?P<iso>(?<!\d){_YEAR}[-/.](?:1[0-2]|0?[1-9])[-/.]{_DAY})(?![\d/.-]\d|\d)",
        rf"(?P<iso_month>(?<!\d){_YEAR}[-/](?:1[0-2]|0[1-9]))(?![\d/-])",
        rf"(?P<dmy>\b{_DAY}{_TH} (?:of )?{_MONTH},? {_YEAR})\b",
        rf"(?P<mdy>\b{_MONTH} {_DAY}{_TH},? {_YEAR})\b",
        rf"(?P<month_year>\b{_MONTH},? (?:of )?{_YEAR})\b",
        rf"(?P<quarter>\bq[1-4] (?:of )?{_YEAR}|\b{_YEAR} ?q[1-4])\b",
        r"(?P<day_word>\b(?:today|yesterday)\b|今日|本日|昨日|一昨日|おととい)",
        (
            r"(?P<near>\b(?:this|last|previous) (?:week|month|quarter|year)\b"
            "|今週|先週|今月|先月|今年|本年|去年|昨年|一昨年|おととし)"
        ),
        r"(?P<past>\b(?:(?:last|past|previous) (?:\d{1,3}|"
        + "|".join(_NUMBERS)
        + r") (?:days?|weeks?|months?|years?))\b"
        r"|(?:過去|直近|ここ)(?:の)?\d{1,3}(?:日間?|週間|か月間?|ヶ月間?|カ月間?|年間?))",
        rf"(?P<ja>{_JA_YEAR}(?:の?(?:1[0-2]|0?[1-9])月(?:の?{_DAY}日)?)?)",
        rf"(?P<year>(?<![\w.,/-]){_YEAR})(?![\w/-]|[.,]\d)",
    )
)
_ONE = re.compile(_FORMS, re.IGNORECASE)
_BETWEEN = re.compile(r"(?: (?:and|to|until|till|through) | ?[-–~〜～] ?|から)$", re.IGNORECASE)
_UNTIL_JA = re.compile("まで")


def _leading(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})(?: the)? $", re.IGNORECASE)


_RANGE_EN = _leading("between|from")
_LEAD_EN = _leading("in|on|during|within|from|of")
"""What belongs to a date and bounds nothing: "documents from 2023" are those of that year."""
_BOUNDS_BEFORE: tuple[tuple[re.Pattern[str], Callable[[Days], Days]], ...] = (
    (_leading("since|starting|as of"), lambda days: Days(days.first, None)),
    (_leading("after|later than|newer than"), lambda days: Days(days.end, None)),
    (_leading("before|earlier than|prior to|older than"), lambda days: Days(None, days.first)),
    (_leading("until|till|up to|through|by"), lambda days: Days(None, days.end)),
)
_BOUNDS_BEHIND: tuple[tuple[re.Pattern[str], Callable[[Days], Days]], ...] = (
    (re.compile("以降|以後|から"), lambda days: Days(days.first, None)),
    (re.compile("より(?:後|あと)|の後"), lambda days: Days(days.end, None)),
    (re.compile("より前|以前|の前"), lambda days: Days(None, days.first)),
    (_UNTIL_JA, lambda days: Days(None, days.end)),
)
_LONGEST_LEAD = 24
"""No bound's words are longer; looking no further back keeps the whole linear."""


def find_days(text: str, today: date) -> list[FoundDays]:
    """What `text` (normalized) says about days, in order, without overlaps; a span takes in the words that
    make a bound of it (`since March 2024`, `2024年3月以降`). Cost: linear in the text.

    `last three months` ends today; `last month` is the calendar month before this one. Weeks begin on Monday. A fiscal
    year (`2023年度`) is Japan's, from April."""
    ones = list(_ones(text, today))
    found: list[FoundDays] = []
    at = 0
    while at < len(ones):
        one = ones[at]
        following = ones[at + 1] if at + 1 < len(ones) else None
        if following is not None and (joined := _joined(text, one, following)) is not None:
            found.append(joined)
            at += 2
            continue
        found.append(_bounded(text, one))
        at += 1
    return found


def _joined(text: str, first: FoundDays, last: FoundDays) -> FoundDays | None:
    """A range, if that is what stands between the two."""
    if not _BETWEEN.match(text[first.span.end : last.span.start]):
        return None
    if first.days.first is None or last.days.end is None or last.days.end <= first.days.first:
        return None
    before = max(0, first.span.start - _LONGEST_LEAD)
    lead = _RANGE_EN.search(text[before : first.span.start])
    start = before + lead.start() if lead else first.span.start
    tail = _UNTIL_JA.match(text, last.span.end)
    return FoundDays(TextSpan(start, tail.end() if tail else last.span.end), Days(first.days.first, last.days.end))


def _bounded(text: str, one: FoundDays) -> FoundDays:
    start, end = one.span.start, one.span.end
    before = max(0, start - _LONGEST_LEAD)
    for pattern, bound in _BOUNDS_BEFORE:
        if found := pattern.search(text[before:start]):
            return FoundDays(TextSpan(before + found.start(), end), bound(one.days))
    for pattern, bound in _BOUNDS_BEHIND:
        if found := pattern.match(text, end):
            return FoundDays(TextSpan(start, found.end()), bound(one.days))
    lead = _LEAD_EN.search(text[before:start])
    return FoundDays(TextSpan(before + lead.start() if lead else start, end), one.days)


def _ones(text: str, today: date) -> Iterator[FoundDays]:
    for found in _ONE.finditer(text):
        assert found.lastgroup is not None
        days = _READERS[found.lastgroup](found.group().lower(), today)
        if days is not None:
            yield FoundDays(TextSpan(found.start(), found.end()), days)


def _day(year: int, month: int, day: int) -> Days | None:
    try:
        first = date(year, month, day)
    except ValueError:
        return None
    return Days(first, first + timedelta(days=1))


def _month(year: int, month: int, months: int = 1) -> Days:
    first = date(year, month, 1)
    return Days(first, _months_later(first, months))


def _months_later(day: date, months: int) -> date:
    """The same day of the month, or the month's last one."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _iso(text: str, today: date) -> Days | None:
    year, month, day = _numbers(text)
    return _day(year, month, day)


def _iso_month(text: str, today: date) -> Days | None:
    year, month = _numbers(text)
    return _month(year, month)


def _month_named(text: str) -> int:
    return next(_MONTHS[word] for word in re.findall("[a-z]+", text) if word in _MONTHS)


def _dmy(text: str, today: date) -> Days | None:
    day, year = _numbers(text)
    return _day(year, _month_named(text), day)


def _month_year(text: str, today: date) -> Days | None:
    return _month(_numbers(text)[0], _month_named(text))


def _quarter(text: str, today: date) -> Days | None:
    quarter, year = sorted(_numbers(text))
    return _month(year, 3 * quarter - 2, 3)


def _day_word(text: str, today: date) -> Days | None:
    back = {"yesterday": 1, "昨日": 1, "一昨日": 2, "おととい": 2}.get(text, 0)
    first = today - timedelta(days=back)
    return Days(first, first + timedelta(days=1))


def _near(text: str, today: date) -> Days | None:
    back = 2 if text in ("一昨年", "おととし") else int(text.startswith(("last", "previous", "先", "去", "昨")))
    if text.endswith(("week", "週")):
        first = today - timedelta(days=today.weekday() + 7 * back)
        return Days(first, first + timedelta(days=7))
    if text.endswith(("month", "月")):
        first = _months_later(today.replace(day=1), -back)
        return _month(first.year, first.month)
    if text.endswith("quarter"):
        first = _months_later(today.replace(month=today.month - (today.month - 1) % 3, day=1), -3 * back)
        return _month(first.year, first.month, 3)
    return _month(today.year - back, 1, 12)


def _past(text: str, today: date) -> Days | None:
    word = next((word for word in text.split() if word in _NUMBERS), "")
    count = _NUMBERS[word] if word else _numbers(text)[0]
    end = today + timedelta(days=1)
    if "day" in text or "日" in text:
        return Days(end - timedelta(days=count), end)
    if "week" in text or "週" in text:
        return Days(end - timedelta(weeks=count), end)
    years = "year" in text or "年" in text
    if years and count >= today.year:
        return None
    return Days(_months_later(end, -count * (12 if years else 1)), end)


def _ja(text: str, today: date) -> Days | None:
    era = next((era for era in _ERAS if text.startswith(era)), "")
    numbers = _numbers(text.replace("元年", "1年", 1))
    if era and not 1 <= numbers[0] <= _ERA_YEARS[era]:
        return None
    year = numbers[0] + _ERAS.get(era, 0)
    if len(numbers) == 3:
        return _day(year, numbers[1], numbers[2])
    if len(numbers) == 2:
        return _month(year, numbers[1])
    return _month(year, 4 if "年度" in text else 1, 12)


def _year(text: str, today: date) -> Days | None:
    return _month(int(text), 1, 12)


_READERS: dict[str, Callable[[str, date], Days | None]] = {
    "iso": _iso,
    "iso_month": _iso_month,
    "dmy": _dmy,
    "mdy": _dmy,
    "month_year": _month_year,
    "quarter": _quarter,
    "day_word": _day_word,
    "near": _near,
    "past": _past,
    "ja": _ja,
    "year": _year,
}
