from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.query import MAX_QUERY_CHARACTERS
from server.application.understanding import understand
from server.application.understanding.filters import MOST_NAMES, MOST_PROPOSED
from server.domain.conditions import Created, Tagged
from tests.server.application.understanding.days import TODAY


def said(query: str) -> list[tuple[str, object]]:
    """The words, and the tag or the days that they say."""
    return [
        (query[each.span.start : each.span.end], _value(each.condition)) for each in understand(query, TODAY).proposed
    ]


def _value(condition: object) -> object:
    if isinstance(condition, Tagged):
        return condition.tags[0]
    assert isinstance(condition, Created)
    return tuple(
        "-" if bound is None else datetime.fromtimestamp(bound, UTC).isoformat()[:10]
        for bound in (condition.not_before_unix_s, condition.before_unix_s)
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("#finance travel costs", [("#finance", "finance")]),
        ("costs #2024-plan, #旅費", [("#2024-plan", "2024-plan"), ("#旅費", "旅費")]),
        ("files tagged as urgent", [("tagged as urgent", "urgent")]),
        ('notes labelled "very urgent"', [('labelled "very urgent"', "very urgent")]),
        ("papers with the tag draft", [("with the tag draft", "draft")]),
        ("「緊急」タグの資料", [("「緊急」タグ", "緊急")]),
        ("タグが「緊急」の資料", [("タグが「緊急」", "緊急")]),
        ("issue #12, C# and a&#39; b", []),
        ("documents from last week", [("from last week", ("2026-11-09", "2026-11-16"))]),
        ("What was uploaded since May 2024?", [("since May 2024", ("2024-05-01", "-"))]),
        ("Files added to the archive in 2023 about pumps", [("in 2023", ("2023-01-01", "2024-01-01"))]),
        ("yesterday's files", [("yesterday", ("2026-11-20", "2026-11-21"))]),
        ("先月アップロードされた文書", [("先月", ("2026-10-01", "2026-11-01"))]),
        ("2024年5月以降に登録された資料", [("2024年5月以降", ("2024-05-01", "-"))]),
        ("昨日のファイル", [("昨日", ("2026-11-20", "2026-11-21"))]),
        ("What happened in 2019?", []),
        ("How many documents were signed between 2019 and 2021?", []),
        ("2019年の売上はいくらですか", []),
        ("昨年の地震について", []),
    ],
)
def test_filters_that_a_question_says(query: str, expected: list[tuple[str, object]]) -> None:
    assert said(query) == expected


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ('What does "Safety Manual" say about ladders?', {"Safety Manual"}),
        ("in travel-policy_2023.pdf, who pays for taxis?", {"travel-policy_2023.pdf"}),
        ("What does the employee handbook say about remote work?", {"employee handbook", "remote work"}),
        ("「就業規則」の第3条", {"就業規則"}),
        ("旅費規程2024では日当はいくらですか", {"旅費規程2024"}),
    ],
)
def test_words_that_may_be_names(query: str, names: set[str]) -> None:
    mentions = understand(query, TODAY).names
    assert names <= {each.name for each in mentions}
    assert all(query[each.span.start : each.span.end].strip() == each.name for each in mentions)


@pytest.mark.parametrize("query", ["handbook", "What is the fee?", "経費は何ですか", 'files tagged "very urgent"'])
def test_single_words_and_tags_are_no_names(query: str) -> None:
    assert understand(query, TODAY).names == ()


@given(
    st.text(
        st.sampled_from('#「」『』"“”a1 -_.年月日先タグ documentsfrom2023/pdfş規程まで'), max_size=MAX_QUERY_CHARACTERS
    )
)
def test_spans_are_of_the_query_and_names_are_bounded(query: str) -> None:
    found = understand(query, TODAY)
    assert len(found.names) <= MOST_NAMES
    assert len(found.proposed) <= MOST_PROPOSED
    for span in [each.span for each in found.proposed] + [each.span for each in found.names]:
        assert 0 <= span.start < span.end <= len(query)
    for each in found.proposed:
        assert not any(name.span.start < each.span.end and each.span.start < name.span.end for name in found.names)
