from __future__ import annotations

import pytest

from server.application.prompting import TEMPLATES, generation_request, not_in_documents
from server.domain.passages import Passage


def passage(text: str, *headings: str) -> Passage:
    return Passage("c", "d", "name", 1, text, headings, "en", (), ())


def test_passages_come_first_in_their_order_and_the_question_last() -> None:
    request = generation_request("Who?", [passage("one"), passage("two")], "en", max_tokens=50, seed=3)
    assert request.prompt.index("one") < request.prompt.index("two") < request.prompt.index("Who?")
    assert request.prompt.endswith("Who?")
    assert (request.max_tokens, request.seed, request.temperature) == (50, 3, 0.0)


def test_the_same_passages_begin_the_same_prompt() -> None:
    first, second = (
        generation_request(q, [passage("text " * 40)], "ja", max_tokens=9).prompt for q in ("何？", "誰？")
    )
    assert first[:-3] == second[:-3]


def test_texts_are_taken_literally() -> None:
    request = generation_request("Why {passages}?", [passage("a {question} b {0} %s")], "en", max_tokens=9)
    assert "a {question} b {0} %s" in request.prompt
    assert request.prompt.endswith("Why {passages}?")


def test_passages_stand_under_their_headings() -> None:
    request = generation_request("Why?", [passage("Adult 14", "5 Fares", "Ferries")], "en", max_tokens=9)
    assert "5 Fares > Ferries\nAdult 14" in request.prompt


@pytest.mark.parametrize("language", sorted(TEMPLATES))
def test_every_language_has_its_own_words(language: str) -> None:
    assert generation_request("?", [passage("x")], language, max_tokens=9).prompt.count("x") >= 1
    assert not_in_documents(language) == TEMPLATES[language].not_in_documents


def test_other_languages_are_asked_in_english() -> None:
    arguments = ("Wer?", [passage("x")])
    assert generation_request(*arguments, "de", max_tokens=9) == generation_request(*arguments, "en", max_tokens=9)
