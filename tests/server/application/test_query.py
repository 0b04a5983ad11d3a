from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.consistency import position_of, token_of
from server.application.query import (
    MAX_CONDITION_DEPTH,
    MAX_CONDITIONS,
    MAX_QUERY_CHARACTERS,
    bounded,
    checked_filter,
    checked_fusion,
    normalized_query,
)
from server.domain.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Created,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    OwnedBy,
    Tagged,
)
from server.domain.errors import InvalidField
from server.domain.passages import ConvexFusion, ReciprocalRankFusion, SearchFilter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  What\tis\n this? ", "What is this?"),
        ("ＡＢＣ　１２３", "ABC 123"),
        ("ｶﾀｶﾅ", "カタカナ"),
        ("zero\u200bwidth\x00", "zero width"),
    ],
)
def test_queries_are_folded(text: str, expected: str) -> None:
    assert normalized_query("query", text) == expected


@pytest.mark.parametrize("text", ["", "   ", "\u200b", "x" * (MAX_QUERY_CHARACTERS + 1), "x" * 10_001])
def test_empty_and_long_queries_are_refused(text: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        normalized_query("query", text)
    assert refusal.value.field == "query"


def test_the_limit_can_be_another_one() -> None:
    assert len(normalized_query("query", "x" * 700, 700)) == 700
    with pytest.raises(InvalidField, match="at most 700 characters"):
        normalized_query("query", "x" * 701, 700)


@given(st.text(min_size=1, max_size=MAX_QUERY_CHARACTERS))
def test_normalizing_twice_changes_nothing(text: str) -> None:
    try:
        once = normalized_query("query", text)
    except InvalidField:
        return
    if len(once) <= MAX_QUERY_CHARACTERS:
        assert normalized_query("query", once) == once


def test_zero_stands_for_the_default() -> None:
    assert bounded("limit", 0, 1, 100, 10) == 10
    assert bounded("limit", 100, 1, 100, 10) == 100
    for value in (-1, 101):
        with pytest.raises(InvalidField, match="limit"):
            bounded("limit", value, 1, 100, 10)


def test_filters_are_bounded() -> None:
    assert checked_filter("filter", SearchFilter(tags=("a",))).tags == ("a",)
    for conditions in (SearchFilter(tags=("",)), SearchFilter(document_ids=tuple(map(str, range(1_001))))):
        with pytest.raises(InvalidField, match=r"filter\."):
            checked_filter("filter", conditions)


def nested(levels: int) -> Condition:
    condition: Condition = Tagged(("a",))
    for _ in range(levels - 1):
        condition = Not(condition)
    return condition


@pytest.mark.parametrize(
    "condition",
    [
        AllOf(()),
        AnyOf((OfDocuments(()), Created(), OnPages(), OnPages(3), OnPages(0, 3), OnPages(3, 3), Created(7, 7))),
        OfDocuments(tuple(map(str, range(1_000)))),
        OwnedBy(tuple(map(str, range(32)))),
        AllOf((InLanguages(("ja",)),) * (MAX_CONDITIONS - 1)),
        nested(MAX_CONDITION_DEPTH),
    ],
)
def test_conditions_within_the_limits(condition: Condition) -> None:
    wanted = SearchFilter(condition=condition)
    assert checked_filter("filter", wanted) is wanted


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        (OfDocuments(tuple(map(str, range(1_001)))), ".documents.values"),
        (Tagged(tuple(map(str, range(33)))), ".tags.values"),
        (InLanguages(("",)), ".languages.values"),
        (OwnedBy(("a", "")), ".owners.values"),
        (Created(8, 7), ".created.before"),
        (Created(not_before_unix_s=2**62), ".created.not_before"),
        (Created(before_unix_s=-(2**62)), ".created.before"),
        (OnPages(-1), ".pages.first"),
        (OnPages(0, -1), ".pages.last"),
        (OnPages(4, 3), ".pages.last"),
        (AllOf((AllOf(()), AnyOf((OnPages(2, 1),)))), ".all_of.conditions[1].any_of.conditions[0].pages.last"),
        (Not(Tagged(("",))), ".not.tags.values"),
        (nested(MAX_CONDITION_DEPTH + 1), ".not" * MAX_CONDITION_DEPTH),
        (AnyOf((AllOf(()),) * MAX_CONDITIONS), f".any_of.conditions[{MAX_CONDITIONS - 1}]"),
    ],
)
def test_a_condition_that_is_refused_is_named(condition: Condition, field: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        checked_filter("filter", SearchFilter(condition=condition))
    assert refusal.value.field == "filter.condition" + field


def test_weights_are_shares() -> None:
    assert checked_fusion(ConvexFusion(1.0)) == ConvexFusion(1.0)
    for fusion in (ConvexFusion(1.1), ConvexFusion(float("nan")), ReciprocalRankFusion(60, -0.1)):
        with pytest.raises(InvalidField, match="dense_weight"):
            checked_fusion(fusion)
    with pytest.raises(InvalidField, match="k"):
        checked_fusion(ReciprocalRankFusion(1_001))


@given(st.integers(min_value=0, max_value=2**59))
def test_tokens_carry_positions(position: int) -> None:
    assert position_of(token_of(position)) == position


@pytest.mark.parametrize("token", ["7", "log-", "log-x", "log--1", "log-１", "log-" + "9" * 30])
def test_foreign_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidField, match="consistency_token"):
        position_of(token)
