from __future__ import annotations

import pytest

from server.application.attribution import Attribution, AttributionOptions
from server.application.terms import terms_of
from server.domain.passages import Passage


def passage(text: str, chunk_id: str = "c1", headings: tuple[str, ...] = ()) -> Passage:
    return Passage(chunk_id, "d1", "doc", 1, text, headings, "en", (), ())


FERRY = passage("The ferry Sanderling was built in 2009. It carries 610 passengers. Its master is Ida Brandt.")
TICKETS = passage("A ticket costs 47 crowns in the high season. Children travel free.", "c2")
PORT = passage("沖波港のターミナル長は榊原直樹です。駐車料金は1日700円です。", "c3")


def attribution(question: str, *passages: Passage) -> Attribution:
    return Attribution(question, passages, AttributionOptions())


@pytest.mark.parametrize(
    ("question", "sentence", "source", "quote"),
    [
        (
            "How many passengers may the Sanderling carry?",
            "The Sanderling carries 610 passengers.",
            FERRY,
            "It carries 610 passengers.",
        ),
        ("How many passengers may the Sanderling carry?", "610.", FERRY, "It carries 610 passengers."),
        ("What does a ticket cost?", "It costs 47 crowns.", TICKETS, "A ticket costs 47 crowns in the high season."),
        ("駐車料金は1日いくらですか。", "駐車料金は1日700円です。", PORT, "駐車料金は1日700円です。"),
        ("ターミナル長は誰ですか。", "榊原直樹です。", PORT, "沖波港のターミナル長は榊原直樹です。"),
        ("駐車料金は1日いくらですか。", "７００円です。", PORT, "駐車料金は1日700円です。"),
    ],
)
def test_supported_sentences_cite_the_sentence_that_says_so(
    question: str, sentence: str, source: Passage, quote: str
) -> None:
    support = attribution(question, TICKETS, FERRY, PORT).support(sentence)
    assert support is not None
    assert support.passage is source
    assert source.text[support.span.start : support.span.end] == quote
    assert 0.0 < support.score <= 1.0


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("How many passengers may the Sanderling carry?", "The Sanderling carries 611 passengers."),
        ("Who is the master of the Sanderling?", "The master is Karl Lindqvist."),
        ("Who owns the Sanderling?", "The Sanderling is owned by a bank."),
        ("When was the ferry built?", "I do not know."),
        ("駐車料金は1日いくらですか。", "駐車料金は1日800円です。"),
        ("What does a ticket cost?", ""),
    ],
)
def test_what_the_passages_do_not_say_is_not_supported(question: str, sentence: str) -> None:
    assert attribution(question, TICKETS, FERRY, PORT).support(sentence) is None


def test_numbers_from_different_passages_do_not_add_up() -> None:
    sentence = "The ferry was built in 2009 and a ticket costs 47 crowns."
    assert attribution("Tell me about the ferry.", FERRY, TICKETS).support(sentence) is None


def test_the_higher_ranked_passage_wins_a_draw() -> None:
    copy = passage(FERRY.text, "c9")
    support = attribution("Who is the master?", copy, FERRY).support("Ida Brandt.")
    assert support is not None
    assert support.passage is copy


def test_headings_count_as_part_of_the_passage() -> None:
    row = passage("| Sanderling | 610 |", headings=("Passenger ferries",))
    assert attribution("What is the capacity?", row).support("The passenger ferry Sanderling has 610.") is not None


def test_what_no_passage_has_is_foreign() -> None:
    attributed = attribution("Tell me about the ferry.", FERRY, TICKETS)
    assert attributed.is_foreign("It carries 611 passengers.")
    assert attributed.is_foreign("Its master is Karl Brandt.")
    assert not attributed.is_foreign("It is the fastest ship of all.")


@pytest.mark.parametrize(
    ("text", "words", "numbers"),
    [
        ("The ferries carried 1,234.5 tons.", {"ferri", "carri", "ton"}, {"1234.5"}),
        ("駐車料金は１日７００円", {"駐車", "車料", "料金", "日", "円"}, {"1", "700"}),
        ("ターミナル長", {"ターミナル", "長"}, set()),
        ("the of and", set(), set()),
    ],
)
def test_terms(text: str, words: set[str], numbers: set[str]) -> None:
    terms = terms_of(text)
    assert (set(terms.words), set(terms.numbers)) == (words, numbers)
