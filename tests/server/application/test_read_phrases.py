from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.answer_ports import ReadSpan
from server.application.read_phrases import ReadOptions, ReadPhrases
from server.domain.passages import RankedPassage
from tests.server.application.doubles import passage

FERRY = "The ferry Sanderling carries 610 passengers. It was built in 2009."
TICKET = "A ticket costs 47 crowns."


def ranked(text: str, score: float = 1.0) -> RankedPassage:
    return RankedPassage(passage(text[:8], text), score, None, None)


def read(
    passages: Sequence[RankedPassage],
    spans: Sequence[Sequence[ReadSpan]],
    options: ReadOptions | None = None,
    coverages: Sequence[float] = (),
) -> ReadPhrases:
    return ReadPhrases(passages, np.array(coverages or [1.0] * len(passages)), spans, options or ReadOptions())


def span(text: str, phrase: str, score: float) -> ReadSpan:
    start = text.index(phrase)
    return ReadSpan(start, start + len(phrase), score)


def anything(phrase: str) -> bool:
    return True


def test_the_best_phrase_comes_with_its_sentence_and_its_share() -> None:
    found = read([ranked(FERRY)], [(span(FERRY, "610 passengers", 3.0), span(FERRY, "2009", 3.0))], ReadOptions())
    best = found.likeliest(anything)
    assert best is not None
    assert FERRY[best.span.start : best.span.end] == "610 passengers"
    assert FERRY[best.sentence.start : best.sentence.end] == "The ferry Sanderling carries 610 passengers."
    assert best.probability == pytest.approx(0.5)
    assert found.strongest == 3.0


def test_a_passage_that_fits_less_has_to_be_surer() -> None:
    passages = [ranked(FERRY, 1.0), ranked(TICKET, 0.5)]
    spans = [(span(FERRY, "2009", 5.0),), (span(TICKET, "47 crowns", 6.0),)]
    for weight, chosen in ((0.0, 1), (8.0, 0)):
        best = read(passages, spans, ReadOptions(passage_score=weight)).likeliest(anything)
        assert best is not None and best.passage == chosen


def test_a_passage_that_lacks_what_is_asked_about_has_to_be_surer() -> None:
    passages = [ranked(FERRY), ranked(TICKET)]
    spans = [(span(FERRY, "2009", 5.0),), (span(TICKET, "47 crowns", 6.0),)]
    for coverages, chosen in (([1.0, 1.0], 1), ([1.0, 0.5], 0)):
        best = read(passages, spans, coverages=coverages).likeliest(anything)
        assert best is not None and best.passage == chosen


def test_a_phrase_that_cannot_answer_gives_way_to_the_next() -> None:
    found = read([ranked(FERRY)], [(span(FERRY, "610", 3.0), span(FERRY, "2009", 1.0))])
    best = found.likeliest(lambda phrase: phrase == "2009")
    assert best is not None and FERRY[best.span.start : best.span.end] == "2009"
    assert found.likeliest(lambda phrase: False) is None


def test_a_phrase_of_two_sentences_is_supported_by_both() -> None:
    best = read([ranked(FERRY)], [(span(FERRY, "passengers. It", 3.0),)]).likeliest(anything)
    assert best is not None and (best.sentence.start, best.sentence.end) == (0, len(FERRY))


def test_signs_belong_to_their_number() -> None:
    text = "It cost $5 million in all."
    best = read([ranked(text)], [(span(text, "5", 3.0),)]).likeliest(anything)
    assert best is not None and text[best.span.start : best.span.end] == "$5 million"


def test_nothing_that_was_found_is_nothing() -> None:
    nothing = read([ranked(FERRY)], [()])
    assert nothing.likeliest(anything) is None and nothing.strongest == -math.inf


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=12), st.floats(-1.0, 1.0))
def test_shares_are_probabilities_whatever_the_scores(scores: list[float], own: float) -> None:
    best = read([ranked(FERRY, own)], [tuple(ReadSpan(0, 3, score) for score in scores)], ReadOptions()).likeliest(
        anything
    )
    assert best is not None and 0.0 < best.probability <= 1.0
