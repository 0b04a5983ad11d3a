"""What evaluating says of a head, from made-up token vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from bench.suites.index.datasets import Article, DataSet
from tests.training.token_vectors import token_vectors
from training.evaluation import (
    DENSE,
    FUSED,
    LEXICAL,
    RERANKED,
    Branches,
    Material,
    RerankingPlan,
    average_gain,
    by_late_interaction,
    by_sentences,
    evaluated,
    gain_of,
    reranked,
)
from training.tokens import TokenReader, TokenVectors
from triton_models.rerank.head import Head
from triton_models.rerank.sentences import SentenceReranker

TOLD = [[1, 2, 3], [1, 2, 9], [5, 5, 5, 5], [3, 7], [8]]
ASKED = [[1, 2, 3], [5], [60]]
PLAN = RerankingPlan(questions=9, candidates=3, depth=2)
HEAD = Head.untrained(np.zeros(8, np.float32), rank=1, seed=1)
LATE = by_late_interaction(HEAD, np.zeros(64, np.float32))


class ScriptedReader(TokenReader):
    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []

    def read(self, kind: str, texts: Sequence[str], description: str) -> TokenVectors:
        self.asked.append((kind, list(texts)))
        return token_vectors({"passage": TOLD, "query": ASKED}[kind][: len(texts)])


def data_set() -> DataSet:
    return DataSet(
        "made up",
        "en",
        tuple(Article(place, f"d{place}", "", f"text {place}") for place in range(len(TOLD))),
        {"q0": "first", "q1": "second", "q2": "third"},
        {"q0": {"d1": 1.0}, "q1": {"d2": 1.0}, "q2": {"d4": 1.0}},
        {"q0": frozenset({"d0"})},
    )


def test_the_branches_find_what_is_alike_and_what_has_the_words() -> None:
    rankings = Branches(token_vectors(ASKED), token_vectors(TOLD)).rankings(0, PLAN)
    assert list(rankings[LEXICAL]) == [0, 1, 3]
    assert next(iter(rankings[DENSE])) == 0 and len(rankings[DENSE]) == 3
    assert next(iter(rankings[FUSED])) == 0 and set(rankings[FUSED]) == {*rankings[DENSE], *rankings[LEXICAL]}
    assert not Branches(token_vectors(ASKED), token_vectors(TOLD)).rankings(2, PLAN)[LEXICAL]


def test_only_the_first_are_reranked_and_without_weight_they_stay() -> None:
    material = Material(["a", "b", "c"], ["0", "1", "2", "3", "4"], token_vectors(ASKED), token_vectors(TOLD))
    fused = {3: 0.9, 0: 0.8, 2: 0.7}
    assert list(reranked(0, fused, material, LATE, PLAN)) == [0, 3, 2]
    assert list(reranked(0, fused, material, LATE, replace(PLAN, rerank_weight=0.0))) == [3, 0, 2]
    assert reranked(0, {}, material, LATE, PLAN) == {}


def test_an_encoder_of_whole_texts_is_given_the_texts() -> None:
    class Scripted(SentenceReranker):
        def __init__(self) -> None: ...

        def scores(self, queries: Sequence[str], passages: Sequence[str]) -> npt.NDArray[np.float32]:
            assert queries == ["b"] * len(passages)
            return np.array([len(passage) for passage in passages], np.float32)

    material = Material(["a", "b"], ["xx", "x", "xxx"], token_vectors(ASKED), token_vectors(TOLD))
    assert by_sentences(Scripted())(material, 1, [2, 0, 1]).tolist() == [3, 2, 1]


def test_ignored_documents_are_dropped_before_a_ranking_is_judged() -> None:
    reader = ScriptedReader()
    quality = evaluated(data_set(), reader, LATE, replace(PLAN, questions=2))
    assert reader.asked == [("passage", [f"text {place}" for place in range(5)]), ("query", ["first", "second"])]
    assert {kind: len(scores) for kind, scores in quality.scores.items()} == dict.fromkeys(
        (DENSE, LEXICAL, FUSED, RERANKED), 2
    )
    assert quality.scores[RERANKED].tolist() == [1.0, 1.0]
    assert average_gain([quality]) == pytest.approx(float((quality.scores[RERANKED] - quality.scores[FUSED]).mean()))


def test_a_gain_has_an_interval_that_covers_its_mean() -> None:
    gain = gain_of(np.random.default_rng(1).normal(0.1, 0.05, 60).astype(np.float32))
    assert gain.low < gain.mean < gain.high and gain.low > 0
    assert gain_of(np.zeros(7, np.float32)) == gain_of(np.zeros(1, np.float32))
