from __future__ import annotations

import calendar
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.understanding.dates import find_days
from tests.server.application.understanding.days import TODAY


def found(text: str) -> list[tuple[str, str, str]]:
    """What is found: the words, the first day, the day behind the last one."""
    return [
        (text[each.span.start : each.span.end], str(each.days.first or "-"), str(each.days.end or "-"))
        for each in find_days(text, TODAY)
    ]


@pytest.mark.parametrize(
    ("text", "words", "first", "end"),
    [
        ("on 3 May 2024, again", "on 3 May 2024", "2024-05-03", "2024-05-04"),
        ("May 3rd, 2024", "May 3rd, 2024", "2024-05-03", "2024-05-04"),
        ("the 21st of march 1999", "21st of march 1999", "1999-03-21", "1999-03-22"),
        ("2024/5/3", "2024/5/3", "2024-05-03", "2024-05-04"),
        ("in Sept. 2023", "in Sept. 2023", "2023-09-01", "2023-10-01"),
        ("2024-02", "2024-02", "2024-02-01", "2024-03-01"),
        ("Q4 2023", "Q4 2023", "2023-10-01", "2024-01-01"),
        ("from 2023", "from 2023", "2023-01-01", "2024-01-01"),
        ("since March 2024", "since March 2024", "2024-03-01", "-"),
        ("after March 2024", "after March 2024", "2024-04-01", "-"),
        ("before the 3 May 2024", "before the 3 May 2024", "-", "2024-05-03"),
        ("until 2023", "until 2023", "-", "2024-01-01"),
        ("between March 2024 and 2 June 2024", "between March 2024 and 2 June 2024", "2024-03-01", "2024-06-03"),
        ("2021 - 2023", "2021 - 2023", "2021-01-01", "2024-01-01"),
        ("yesterday", "yesterday", "2026-11-20", "2026-11-21"),
        ("last week", "last week", "2026-11-09", "2026-11-16"),
        ("this quarter", "this quarter", "2026-10-01", "2027-01-01"),
        ("last quarter", "last quarter", "2026-07-01", "2026-10-01"),
        ("last month", "last month", "2026-10-01", "2026-11-01"),
        ("the past 7 days", "past 7 days", "2026-11-15", "2026-11-22"),
        ("in the last two weeks", "in the last two weeks", "2026-11-08", "2026-11-22"),
        ("last three months", "last three months", "2026-08-22", "2026-11-22"),
        ("2024年5月3日以降", "2024年5月3日以降", "2024-05-03", "-"),
        ("2024年5月より前", "2024年5月より前", "-", "2024-05-01"),
        ("令和6年4月から2024年6月までに", "令和6年4月から2024年6月まで", "2024-04-01", "2024-07-01"),
        ("令和元年", "令和元年", "2019-01-01", "2020-01-01"),
        ("2023年度", "2023年度", "2023-04-01", "2024-04-01"),
        ("平成30年の12月まで", "平成30年の12月まで", "-", "2019-01-01"),
        ("先月の", "先月", "2026-10-01", "2026-11-01"),
        ("一昨年", "一昨年", "2024-01-01", "2025-01-01"),
        ("おととい", "おととい", "2026-11-19", "2026-11-20"),
        ("過去3か月", "過去3か月", "2026-08-22", "2026-11-22"),
        ("2021年〜2023年", "2021年〜2023年", "2021-01-01", "2024-01-01"),
    ],
)
def test_dates_as_people_write_them(text: str, words: str, first: str, end: str) -> None:
    assert found(text) == [(words, first, end)]


@pytest.mark.parametrize(
    "text",
    [
        "3/4/2024", "2024-02-30", "2024-13-01", "E-2023", "2023-A7", "12023", "2,024", "version 2.2021", "1850",
        "平成40年", "令和0年", "the last word", "March", "may 5", "PX-2000", "RFC2119",
    ],
)  # fmt: skip
def test_what_names_no_day_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_several_dates_stand_in_order() -> None:
    assert [words for words, _, _ in found("yesterday, 3 May 2024 and after 2025")] == [
        "yesterday",
        "3 May 2024",
        "after 2025",
    ]


@given(st.dates(date(1900, 1, 1), date(2099, 12, 30)))
def test_every_day_is_read_in_every_form(day: date) -> None:
    month, short = calendar.month_name[day.month], calendar.month_abbr[day.month]
    for text in (
        day.isoformat(),
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{short}. {day.day} {day.year}".upper(),
        f"{day.year}年{day.month}月{day.day}日",
    ):
        [(words, first, end)] = found(text)
        assert (words, first, end) == (text, str(day), str(day + timedelta(days=1)))


@given(
    st.text(st.sampled_from("2019年月日 -/.,まで以前からbefore may since last week令和元〜間ßİ過去3か月"), max_size=60)
)
def test_spans_lie_apart_and_in_order(text: str) -> None:
    spans = [each.span for each in find_days(text, TODAY)]
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    for days in find_days(text, TODAY):
        assert days.days.first is None or days.days.end is None or days.days.first < days.days.end


def test_ranges_that_run_backwards_are_two_dates() -> None:
    assert [words for words, _, _ in found("from 2023 to 2021")] == ["from 2023", "2021"]
