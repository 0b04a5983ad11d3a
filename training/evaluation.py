"""How good a reranked order is beside the orders it is made of, on data sets that nothing was learned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from bench.suites.index.datasets import DataSet
from bench.suites.index.ranking import documents_of, ndcg
from kernels.fusion import fuse_convex
from training.mining import bm25, counts
from training.tokens import TokenReader, TokenVectors
from triton_models.rerank.head import Floats, Head
from triton_models.rerank.reranker import late_interaction
from triton_models.rerank.sentences import SentenceReranker

DENSE, LEXICAL, FUSED, RERANKED = "dense", "BM25", "fused", "reranked"


@dataclass(frozen=True, slots=True)
class RerankingPlan:
    """As a search does it: `candidates` of each branch are fused, and the best `depth` reranked. `questions`: of a set
    at most."""

    questions: int = 200
    candidates: int = 100
    depth: int = 20
    dense_weight: float = 0.5
    rerank_weight: float = 4.0
    within: int = 10


@dataclass(frozen=True, slots=True)
class Gain:
    """The mean difference and its 95 % interval over questions (percentile bootstrap)."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """scores: nDCG of every question, by ranking."""

    data_set: str
    scores: Mapping[str, Floats]

    @property
    def gain(self) -> Gain:
        """Of the reranked over the fused order."""
        return gain_of(self.scores[RERANKED] - self.scores[FUSED])


def gain_of(differences: Floats) -> Gain:
    mean = float(differences.mean())
    if len(differences) < 2 or np.ptp(differences) == 0:
        return Gain(mean, mean, mean)
    found = stats.bootstrap((differences,), np.mean, method="percentile", rng=np.random.default_rng(0))
    return Gain(mean, float(found.confidence_interval.low), float(found.confidence_interval.high))


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The questions and passages of a set, and what the encoder makes of them."""

    questions: Sequence[str]
    passages: Sequence[str]
    asked: TokenVectors
    told: TokenVectors


Scorer = Callable[[Material, int, Sequence[int]], Floats]
"""A reranker: from the row of a question and rows of passages to the passages' scores."""


def by_late_interaction(head: Head, information: Floats) -> Scorer:
    """information: see `triton_models.rerank.head.log_information`."""

    def scores(material: Material, question: int, passages: Sequence[int]) -> Floats:
        hidden, ids = material.asked.of(question)
        logarithm = (hidden - head.center) @ head.importance + head.information_weight * information[ids]
        vectors = [compared(head, material.told.of(place)[0]) for place in passages]
        return late_interaction(compared(head, hidden), np.exp(logarithm), vectors)

    return scores


def by_sentences(reranker: SentenceReranker) -> Scorer:
    def scores(material: Material, question: int, passages: Sequence[int]) -> Floats:
        texts = [material.passages[place] for place in passages]
        return reranker.scores([material.questions[question]] * len(texts), texts)

    return scores


def evaluated(data_set: DataSet, reader: TokenReader, scorer: Scorer, plan: RerankingPlan) -> Quality:
    """Every document is one passage, as far as the reader reads it.

    Cost: the encoder's for all documents, once; they are in memory while the set is evaluated (770 bytes a token).
    """
    names = list(data_set.queries)[: plan.questions]
    texts = [f"{each.title}\n{each.text}" if each.title else each.text for each in data_set.articles]
    told = reader.read("passage", texts, f"{data_set.name}: passages")
    questions = [data_set.queries[name] for name in names]
    asked = reader.read("query", questions, f"{data_set.name}: questions")
    branches, material = Branches(asked, told), Material(questions, texts, asked, told)
    ids = [each.article_id for each in data_set.articles]
    scores: dict[str, list[float]] = {DENSE: [], LEXICAL: [], FUSED: [], RERANKED: []}
    for row, name in enumerate(names):
        rankings = branches.rankings(row, plan)
        rankings[RERANKED] = reranked(row, rankings[FUSED], material, scorer, plan)
        for kind, ranking in rankings.items():
            documents = documents_of((ids[place] for place in ranking), data_set.ignored.get(name, frozenset()))
            scores[kind].append(ndcg(documents, data_set.judgements[name], plan.within))
    return Quality(data_set.name, {kind: np.array(values, np.float32) for kind, values in scores.items()})


Ranking = Mapping[int, float]
"""Passages with their scores, best first."""


class Branches:
    """The two branches of a search, and what is made of them."""

    def __init__(self, asked: TokenVectors, told: TokenVectors) -> None:
        self._asked = asked
        self._told = told
        self._words = counts(asked).sign()
        self._weights = bm25(told)

    def rankings(self, question: int, plan: RerankingPlan) -> dict[str, Ranking]:
        """Dense, lexical and fused."""
        dense = self._told.embeddings @ self._asked.embeddings[question]
        lexical = (self._weights @ self._words[[question]].T).toarray()[:, 0]
        near = _first(dense, np.arange(len(dense)), plan.candidates)
        alike = _first(lexical, np.flatnonzero(lexical), plan.candidates)
        both = np.union1d(near, alike)
        fused = np.empty(len(both), np.float32)
        fuse_convex(
            np.where(np.isin(both, near), dense[both], np.nan).astype(np.float32),
            np.where(np.isin(both, alike), lexical[both], np.nan).astype(np.float32),
            plan.dense_weight,
            fused,
        )
        order = np.argsort(-fused, kind="stable")
        return {
            DENSE: _ranking(near, dense[near]),
            LEXICAL: _ranking(alike, lexical[alike]),
            FUSED: _ranking(both[order], fused[order]),
        }


def reranked(question: int, fused: Ranking, material: Material, scorer: Scorer, plan: RerankingPlan) -> Ranking:
    """The first `depth` by the share of the best fused score and the weighted score of the reranker; the others behind
    them."""
    first = list(fused)[: plan.depth]
    if not first:
        return fused
    scores = scorer(material, question, first)
    shares = np.array([fused[place] for place in first]) / max(fused[first[0]], np.finfo(np.float32).tiny)
    combined = shares + plan.rerank_weight * scores
    order = np.argsort(-combined, kind="stable")
    return _ranking(np.array(first)[order], combined[order]) | dict(list(fused.items())[plan.depth :])


def compared(head: Head, hidden: Floats) -> Floats:
    """float32[tokens, hidden]: what the reranker's network makes of the encoder's output."""
    centered = hidden - head.center
    moved = centered + centered @ head.down @ head.up
    vectors: Floats = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return vectors


def _first(scores: Floats, rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    chosen: npt.NDArray[np.int64] = rows[np.argsort(-scores[rows], kind="stable")[:count]]
    return chosen


def _ranking(rows: npt.NDArray[np.int64], scores: npt.NDArray[np.floating]) -> dict[int, float]:
    return dict(zip(rows.tolist(), scores.tolist(), strict=True))


def average_gain(qualities: Sequence[Quality]) -> float:
    """Of the sets' mean gains: every set counts alike."""
    return float(np.mean([quality.gain.mean for quality in qualities]))
