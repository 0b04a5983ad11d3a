"""A question that refers to the one before gets its words; one that stands alone stays as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.follow_ups import WordsOfTheLastQuestion, completed
from server.application.query import MAX_QUERY_CHARACTERS
from server.domain.conversations import PastTurn

FERRY = "How many passengers does the ferry Sanderling carry?"


@pytest.mark.parametrize(
    ("question", "before", "asked"),
    [
        ("When was it built?", FERRY, "When was it built? (passengers ferry Sanderling carry)"),
        ("And why?", FERRY, "And why? (passengers ferry Sanderling carry)"),
        ("What does a ticket for the ferry and its crew cost?", FERRY, "{} (passengers Sanderling carry)"),
        ("Who told you that?", "Is the pier 47.5 m long?", "{} (pier 47.5 m long)"),
        ("What does the bridge that crosses the river cost?", FERRY, "{}"),
        ("How long is the pier?", FERRY, "{}"),
        ("それはいつ建造されましたか", "フェリー「いそしぎ」の定員は何名ですか", "{} (フェリー 定員 何名)"),
        ("では料金は?", "桟橋の長さは47メートルですか", "{} (桟橋 長 47 メートル)"),
        ("桟橋の長さは?", "フェリーの定員は?", "{}"),
        ("Why?", "Who?", "{}"),
    ],
)
def test_what_is_asked(question: str, before: str, asked: str) -> None:
    assert completed(question, before) == asked.format(question)


async def test_what_a_chain_of_questions_refers_to_is_handed_on() -> None:
    rules = WordsOfTheLastQuestion()
    assert await rules.rewritten("When was it built?", []) == "When was it built?"
    second = await rules.rewritten("When was it built?", [PastTurn(FERRY)])
    third = await rules.rewritten("By whom?", [PastTurn(FERRY), PastTurn("When was it built?", second)])
    assert third == "By whom? (built passengers ferry Sanderling carry)"


@given(st.text(min_size=1, max_size=MAX_QUERY_CHARACTERS), st.text(max_size=MAX_QUERY_CHARACTERS))
def test_it_stays_a_question_of_allowed_length(question: str, before: str) -> None:
    asked = completed(question, before)
    assert asked.startswith(question) and len(asked) <= MAX_QUERY_CHARACTERS
