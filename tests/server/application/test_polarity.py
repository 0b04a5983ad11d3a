"""What texts deny is told by their words."""

from __future__ import annotations

import pytest

from server.application.polarity import negates, truth_of


@pytest.mark.parametrize(
    "text",
    [
        "Dogs are not allowed.",
        "Dogs aren't allowed.",
        "Dogs aren’t allowed.",
        "There is no café on board.",
        "Smoking is prohibited.",
        "It cannot be cancelled.",
        "It runs without a crew.",
        "Neither dogs nor cats may come.",
        "犬は乗船できません。",
        "犬は乗船できない。",
        "喫煙は禁止です。",
        "返金は不可。",
        "犬は乗せず、猫は乗せる。",
    ],
)
def test_what_denies(text: str) -> None:
    assert negates(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Dogs are allowed.",
        "Not only dogs are allowed.",
        "It is no doubt open.",
        "It stands at No. 5, Harbour Street.",
        "It is not prohibited.",
        "It is never without a crew.",
        "A notable knot; nothingness.",
        "犬は乗船できます。",
        "予約しなければなりません。",
        "予約しなければならない。",
        "席が少ない。",
        "料金は無料です。",
    ],
)
def test_what_does_not(text: str) -> None:
    assert not negates(text)


def test_words_that_are_true_or_false() -> None:
    told = [truth_of(value) for value in (True, False, "Yes", " no ", "はい", "いいえ", "maybe", "", 1, 0, None)]
    assert told == [True, False, True, False, True, False, None, None, None, None, None]
