from __future__ import annotations

import pytest

from server.application.prompting import TEMPLATES, not_in_documents, phrase_request, sentences_request
from server.domain.passages import Passage


def passage(text: str, *headings: str) -> Passage:
    return Passage("c", "d", "name", 1, text, headings, "en", (), ())


def test_passages_come_first_in_their_order_and_the_question_last() -> None:
    request = sentences_request("Who?", [passage("one"), passage("two")], "en", max_tokens=50, seed=3)
    assert request.prompt.index("one") < request.prompt.index("two") < request.prompt.index("Who?")
    assert request.prompt.endswith("Who?")
    assert (request.max_tokens, request.seed, request.temperature) == (50, 3, 0.0)


def test_the_same_passages_begin_the_same_prompt() -> None:
    first, second = (sentences_request(q, [passage("text " * 40)], "ja", max_tokens=9).prompt for q in ("何？", "誰？"))
    assert first[:-3] == second[:-3]


def test_texts_are_taken_literally() -> None:
    request = sentences_request("Why {passages}?", [passage("a {question} b {0} %s")], "en", max_tokens=9)
    assert "a {question} b {0} %s" in request.prompt
    assert request.prompt.endswith("Why {passages}?")


def test_passages_stand_under_their_headings() -> None:
    request = sentences_request("Why?", [passage("Adult 14", "5 Fares", "Ferries")], "en", max_tokens=9)
    assert "5 Fares > Ferries\nAdult 14" in request.prompt


@pytest.mark.parametrize("language", sorted(TEMPLATES))
def test_every_language_has_its_own_words(language: str) -> None:
    assert sentences_request("?", [passage("x")], language, max_tokens=9).prompt.count("x") >= 1
    assert not_in_documents(language) == TEMPLATES[language].not_in_documents


def test_other_languages_are_asked_in_english() -> None:
    arguments = ("Wer?", [passage("x")])
    assert sentences_request(*arguments, "de", max_tokens=9) == sentences_request(*arguments, "en", max_tokens=9)


@pytest.mark.parametrize("language", sorted(TEMPLATES))
def test_a_phrase_is_asked_for_after_the_same_examples(language: str) -> None:
    first, second = (phrase_request(q, ["one {question}", "two"], language, max_tokens=200) for q in ("何？", "誰？"))
    assert "one {question}\ntwo" in first.prompt
    assert "何？" in first.prompt and first.prompt.replace("何？", "誰？") == second.prompt
    assert (first.stop, first.max_tokens) == (("\n",), 48)
    assert phrase_request("?", ["x"], language, max_tokens=5).max_tokens == 5
