"""Hard negatives."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.token_vectors import token_vectors
from training.examples import Examples, Question
from training.mining import bm25, mined

TEXTS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=1, max_size=8)


def naive_bm25(texts: list[list[int]], text: int, piece: int) -> float:
    count, mean = texts[text].count(piece), sum(map(len, texts)) / len(texts)
    having = sum(piece in each for each in texts)
    rarity = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
    return rarity * count * 1.9 / (count + 0.9 * (0.6 + 0.4 * len(texts[text]) / mean))


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_weights_are_those_of_the_formula(texts: list[list[int]]) -> None:
    weights = bm25(token_vectors(texts))[:, :10].toarray()
    expected = [[naive_bm25(texts, text, piece) for piece in range(10)] for text in range(len(texts))]
    np.testing.assert_allclose(weights, expected, rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(TEXTS, TEXTS, st.data())
def test_what_is_mined_never_answers_and_comes_once(
    asked: list[list[int]], told: list[list[int]], data: st.DataObject
) -> None:
    answers = st.frozensets(st.integers(0, len(told) - 1), min_size=1)
    questions = tuple(Question(str(row), data.draw(answers)) for row in range(len(asked)))
    examples = Examples("made up", tuple(map(str, told)), questions)
    found = mined(examples, token_vectors(asked), token_vectors(told), each=2, neighbours=1)
    for question, rows in zip(questions, found, strict=True):
        assert len(set(rows.tolist())) == len(rows)
        assert not question.answered_by & set(rows.tolist())
        around = {near for row in question.answered_by for near in (row - 1, row + 1) if 0 <= near < len(told)}
        assert around - question.answered_by <= set(rows.tolist())


def test_each_way_of_mining_finds_its_own() -> None:
    told = [[1, 2, 3], [9, 9], [1, 2, 4], [7], [8], [7, 8]]
    examples = Examples("made up", tuple(map(str, told)), (Question("q", frozenset({0})),))
    [rows] = mined(examples, token_vectors([[1, 2, 3]]), token_vectors(told), each=2, neighbours=1)
    assert set(rows.tolist()) >= {1, 2}
    assert 0 not in rows
