"""Chooses the phrase of a sentence that answers a question, without a generator: a trained linear model, for Japanese.

`training/spans.py` makes the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.application.span_features import BUCKETS, VERSION, SpanCandidate, span_candidates

_WEIGHTS = Path(__file__).with_name("span_weights")


@dataclass(frozen=True, slots=True)
class ChosenSpan:
    """`probability`: of all candidates, the share that the model gives to those which overlap with the chosen one."""

    candidate: SpanCandidate
    probability: float


class SpanModel:
    def __init__(self, weights: npt.NDArray[np.float32]) -> None:
        """weights: float32[BUCKETS]."""
        self._weights = weights

    @classmethod
    def load(cls, path: Path) -> SpanModel:
        """Raises ValueError for a file that another version of the features was trained with."""
        with np.load(path) as file:
            if int(file["version"]) != VERSION or file["quantized"].shape != (BUCKETS,):
                raise ValueError(f"{path.name} was trained with other features: train it again")
            return cls(file["quantized"].astype(np.float32) * np.float32(file["scale"]))

    def choose(
        self,
        question: str,
        sentences: Sequence[str],
        scores: Sequence[float],
        coverages: Sequence[float],
        may_answer: Callable[[str], bool],
    ) -> ChosenSpan | None:
        """The likeliest phrase that `may_answer`; None if there is none. sentences: the likeliest first, with what
        speaks for each (`scores`, as logarithms of odds) and its share of the question's words. Cost: about 10 ms."""
        candidates, features = span_candidates(question, sentences, coverages)
        if not candidates:
            return None
        logits = self._weights[features].sum(axis=1) + np.array([scores[each.sentence] for each in candidates])
        odds = np.exp(logits - logits.max())
        order = np.argsort(-odds, kind="stable").tolist()
        best = next((candidates[number] for number in order if may_answer(candidates[number].text)), None)
        if best is None:
            return None
        alike = np.array([_overlap(each, best) for each in candidates])
        return ChosenSpan(best, float(odds[alike].sum() / odds.sum()))


def _overlap(one: SpanCandidate, other: SpanCandidate) -> bool:
    starts_inside = one.span.start < other.span.end and other.span.start < one.span.end
    return one.sentence == other.sentence and starts_inside


@cache
def span_model(language: str) -> SpanModel | None:
    """None for a language that there is no model of."""
    path = _WEIGHTS / f"{language}.npz"
    return SpanModel.load(path) if path.exists() else None
