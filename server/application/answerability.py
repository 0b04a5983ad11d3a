"""Decides whether the passages found can hold an answer at all.

The generator is not asked: a small model answers anything from anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from server.application.terms import rarity, terms_of
from server.domain.passages import RankedPassage


@dataclass(frozen=True, slots=True)
class AnswerabilityOptions:
    """A logistic model of two measures. ARCHITECTURE.md says what it was fitted on and how often it errs; the threshold
    rather answers once too often, since what is then said is still checked against the passages."""

    intercept: float = -11.7
    cosine_weight: float = 9.7
    coverage_weight: float = 5.6
    threshold: float = 0.3


@dataclass(frozen=True, slots=True)
class Answerability:
    """`cosine`: of the nearest passage, 0 without a dense branch. `coverage`: the largest share of the question's
    content that one passage has the words of, rare words weighing more."""

    cosine: float
    coverage: float
    probability: float


def answerability(
    question: str,
    chosen: Sequence[RankedPassage],
    candidates: Sequence[RankedPassage],
    options: AnswerabilityOptions,
) -> Answerability:
    """Whether the `chosen` of the `candidates` answer; the candidates tell which words are rare. 0 for no passages.

    Cost: as `terms_of` over all candidates; run it off the event loop.
    """
    if not chosen:
        return Answerability(0.0, 0.0, 0.0)
    cosine = max((ranked.dense.score for ranked in chosen if ranked.dense is not None), default=0.0)
    weights = rarity(terms_of(question).all, [_terms(ranked) for ranked in candidates])
    whole = sum(weights.values())
    held = (sum(weights[term] for term in weights.keys() & _terms(ranked)) for ranked in chosen)
    coverage = max(held) / whole if whole else 0.0
    logit = options.intercept + options.cosine_weight * cosine + options.coverage_weight * coverage
    return Answerability(cosine, coverage, 1.0 / (1.0 + math.exp(-logit)))


def _terms(ranked: RankedPassage) -> frozenset[str]:
    passage = ranked.passage
    return terms_of(" ".join([passage.document_name, *passage.heading_path, passage.text])).all
