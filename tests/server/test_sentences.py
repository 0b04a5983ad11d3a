"""Sentence boundaries, as examples and as properties."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.sentences import ends_sentence, split_sentences


def sentences(text: str) -> list[str]:
    return [text[span.start : span.end] for span in split_sentences(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["The ratio is 3.5 at No. 5.", "Dr. Smith agreed.", "See example.com for v1.2!"],
        ['"Really?" she asked.', "He left the U.S.", "The rest joined the U.S. Army."],
        ["Fact one.[1]", "Fact two. [2]", "Fact three (see Fig. 3).", "J. R. Smith came."],
        ["At 5 p.m.", "The shop closes.", "Wait... what?", "Yes, e.g. this one."],
        ["1. Install it.", "Then run it."],
        ["(All of it.)", "He said “no.”", "Then he left."],
    ],
)
def test_english(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["彼は「はい。そうです。」と答えた。", "次の文です！", "本当？", "はい（注。ここまで）。"],
        ["「終わり。」", "彼は去った。", "値は3.5である．", "次は4．5だ。"],
        ["料金は1,200円です.", "次は無料です。"],
        ["「閉じない。", "括弧。", "次。"],
    ],
)
def test_japanese(expected: list[str]) -> None:
    assert sentences("".join(expected)) == expected


def test_lines_and_table_rows_end_sentences() -> None:
    text = "Intro without stop\n- item one\n| a. B | c |\n|---|---|\n| d. E | e |\r\nLast. One"
    assert sentences(text) == ["Intro without stop", "- item one", "| a. B | c |", "| d. E | e |", "Last.", "One"]


@pytest.mark.parametrize("text", ["", " \n\t ", "\u3000"])
def test_nothing_in_nothing(text: str) -> None:
    assert split_sentences(text) == []


@given(st.text(alphabet="ab .。！?!「」()\n|-3A１．…あ漢", max_size=120))
def test_every_character_is_in_exactly_one_sentence(text: str) -> None:
    spans = split_sentences(text)
    assert all(span.start < span.end for span in spans)
    assert all(left.end <= right.start for left, right in itertools.pairwise(spans))
    outside = text
    for span in reversed(spans):
        outside = outside[: span.start] + outside[span.end :]
    assert not set(outside) - set(" \n|-")


@pytest.mark.parametrize(
    ("text", "ends"), [("Done.", True), ("Done.)", True), ("終わり。」", True), ("Not yet", False), ("まだ、", False)]
)
def test_ends_sentence(text: str, ends: bool) -> None:
    assert ends_sentence(text) is ends
