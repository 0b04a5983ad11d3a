from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.answerability import AnswerabilityOptions, ConfidenceOptions, answerability, confidence
from server.application.evidence import Evidence, EvidenceOptions, absent_share, coverages, excerpt
from server.domain.passages import BranchScore, RankedPassage
from tests.server.application.doubles import passage

FERRY = "The harbour lies in the north. The ferry Sanderling carries 610 passengers. It was built in 2009."
TICKET = "A ticket costs 47 crowns. Children travel free."


def ranked(text: str, score: float = 1.0, cosine: float = 0.85) -> RankedPassage:
    return RankedPassage(passage("x", text), score, BranchScore(1, cosine), BranchScore(1, score))


def evidence(question: str, *passages: RankedPassage) -> Evidence:
    return Evidence(question, passages, EvidenceOptions())


def best(found: Evidence) -> str:
    return found.sentences[int(np.argmax(found.scores))].text


def test_the_sentence_that_shares_most_with_the_question_comes_first() -> None:
    assert best(evidence("What does the Sanderling carry?", ranked(FERRY), ranked(TICKET, 0.9))).startswith("The ferry")
    assert best(evidence("What does a ticket cost?", ranked(FERRY), ranked(TICKET, 0.9))) == "A ticket costs 47 crowns."


def test_where_sentences_share_as_much_the_better_passage_wins() -> None:
    assert best(evidence("Is it raining?", ranked("Yes.", 0.5), ranked("No.", 1.0))) == "No."


def test_spans_are_those_of_the_passages() -> None:
    passages = [ranked(FERRY), ranked(TICKET)]
    for sentence in evidence("ferry", *passages).sentences:
        text = passages[sentence.passage].passage.text
        assert text[sentence.span.start : sentence.span.end] == sentence.text


@given(st.integers(1, 60))
def test_an_excerpt_keeps_the_best_and_its_budget(most: int) -> None:
    found = evidence("What does a ticket cost?", ranked(FERRY), ranked(TICKET, 0.9))
    kept = excerpt(found.sentences, found.scores, most)
    assert best(found) in [sentence.text for sentence in kept]
    assert kept[0].passage == 1, "the passage with the best sentence comes first"
    assert sum(len(sentence.text) // 4 for sentence in kept[1:]) <= most
    order = [(sentence.passage != 1, sentence.span.start) for sentence in kept]
    assert order == sorted(order)


def test_rare_words_cover_more() -> None:
    sentences = ["The ferry sails.", "The ferry rests.", "A ferry has a master."]
    held = coverages("Who is the master of the ferry?", sentences)
    assert held[2] > held[0] == held[1] > 0


def judged(text: str, rival: float = 0.8, count: int = 9) -> float:
    return judged_among([ranked(text), *(ranked("Opening hours of the terminal.", rival, rival) for _ in range(count))])


def test_words_that_no_candidate_has_are_absent() -> None:
    passages = [ranked("The library opens at nine."), ranked("The terminal.")]
    assert absent_share("When does the library open?", passages) == 0.0
    assert absent_share("When does the museum open?", passages) > 0.5
    assert absent_share("When does the museum open?", []) == 1.0


def judged_among(candidates: list[RankedPassage]) -> float:
    held = evidence("When does the library open?", *candidates[:1]).coverages
    absent = absent_share("When does the library open?", candidates)
    return answerability(candidates[:1], candidates, held, absent, AnswerabilityOptions()).probability


def test_an_answer_is_likelier_where_the_questions_words_stand_and_nothing_else_is_as_near() -> None:
    assert judged("The library opens at nine.") > 0.5 > judged("The terminal is closed.")
    assert judged("The library opens at nine.") > judged("The library opens at nine.", rival=0.85)


def test_few_candidates_are_no_reason_to_refuse() -> None:
    assert judged("The library opens at nine.", count=0) > 0.5
    assert judged("The library opens at nine.", rival=0.85, count=4) > 0.5, "the same in five places"
    other = [replace(each, passage=replace(each.passage, language="ja")) for each in [ranked("港。", 0.8, 0.8)] * 9]
    alone, beside = (judged_among([ranked("The library opens at nine."), *rest]) for rest in ([], other))
    assert alone == beside, "nothing leads passages in another language"
    assert answerability([], [], np.zeros(0), 1.0, AnswerabilityOptions()).probability == 0.0


def test_without_a_dense_branch_the_words_decide() -> None:
    def judged(text: str) -> float:
        only = RankedPassage(passage("x", text), 1.0, None, BranchScore(1, 7.0))
        held = evidence("When does the library open?", only).coverages
        return answerability([only], [only], held, 0.0, AnswerabilityOptions()).probability

    assert judged("The library opens at nine.") > 0.5 > AnswerabilityOptions().threshold > judged("It is closed.")


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_confidence_grows_with_what_it_is_made_of(low: float, high: float, other: float) -> None:
    low, high = sorted((low, high))
    options = ConfidenceOptions()
    assert 0 < confidence(low, other, options) <= confidence(high, other, options) < 1
    assert 0 < confidence(other, low, options) <= confidence(other, high, options) < 1
    assert 0 < confidence(other, None, options) < 1
    assert confidence(other, low, options, drafted=True) < confidence(other, low, options)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Describe how the tug found the container.", "The tug found the container."),
        ("フェリーの航路を説明してください。", "フェリーの航路は三つある。"),
    ],
)
def test_what_is_to_be_done_is_no_content(question: str, text: str) -> None:
    assert coverages(question, [text, "|"])[0] == 1.0
    assert coverages("Explain.", ["Explain."])[0] == 1.0
