"""Decides whether the passages found can hold an answer at all.

The generator is not asked: a small model answers anything from anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from server.application.terms import terms_of
from server.domain.passages import RankedPassage


@dataclass(frozen=True, slots=True)
class AnswerabilityOptions:
    """A logistic model of two measures of the best passages; ARCHITECTURE.md says how it was fitted."""

    intercept: float = -27.0
    cosine_weight: float = 30.0
    coverage_weight: float = 4.0
    threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Answerability:
    """`cosine`: of the nearest passage, 0 without a dense branch. `coverage`: the largest share of the question's
    content words that one passage holds."""

    cosine: float
    coverage: float
    probability: float


def answerability(question: str, passages: Sequence[RankedPassage], options: AnswerabilityOptions) -> Answerability:
    """0 for no passages. Cost: as `terms_of` over all passages."""
    if not passages:
        return Answerability(0.0, 0.0, 0.0)
    cosine = max((ranked.dense.score for ranked in passages if ranked.dense is not None), default=0.0)
    asked = terms_of(question).all
    coverage = max(len(asked & _terms(ranked)) / len(asked) for ranked in passages) if asked else 0.0
    logit = options.intercept + options.cosine_weight * cosine + options.coverage_weight * coverage
    return Answerability(cosine, coverage, 1.0 / (1.0 + math.exp(-logit)))


def _terms(ranked: RankedPassage) -> frozenset[str]:
    passage = ranked.passage
    return terms_of(" ".join([passage.document_name, *passage.heading_path, passage.text])).all
