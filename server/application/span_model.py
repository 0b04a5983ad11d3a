"""Chooses the phrase of a sentence that answers a question: a trained linear model for each language that has one.

`training/spans.py` makes the weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.application import english_spans, japanese_spans
from server.application.phrases import words_of
from server.application.span_candidates import BUCKETS, SpanCandidate

_WEIGHTS = Path(__file__).with_name("span_weights")
_LIKE_A_DRAFT = 2.0
_THE_SAME_AS_A_DRAFT = 3.0
"""What a generator's draft adds to the logarithm of the odds of a candidate: for the likeness of their words, and if
they are the same. Chosen on training questions; ARCHITECTURE.md says how."""


@dataclass(frozen=True, slots=True)
class SpanLanguage:
    """`version` of what `candidates` finds: for (question, sentences, coverages) the candidates with their features,
    int32[n, k], below BUCKETS."""

    version: int
    candidates: Callable[[str, Sequence[str], Sequence[float]], tuple[list[SpanCandidate], npt.NDArray[np.int32]]]


SPAN_LANGUAGES = {
    "en": SpanLanguage(english_spans.VERSION, english_spans.english_candidates),
    "ja": SpanLanguage(japanese_spans.VERSION, japanese_spans.japanese_candidates),
}


@dataclass(frozen=True, slots=True)
class ChosenSpan:
    """`probability`: of all candidates, the share that the model gives to those which overlap with the chosen one."""

    candidate: SpanCandidate
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class SpanOdds:
    """`logits`: float64[n], the logarithms of the odds of the n `candidates`, up to a constant."""

    candidates: tuple[SpanCandidate, ...]
    logits: npt.NDArray[np.float64]

    def chosen(self, may_answer: Callable[[str], bool]) -> ChosenSpan | None:
        """The likeliest phrase that `may_answer`; None if there is none."""
        if not self.candidates:
            return None
        odds = np.exp(self.logits - self.logits.max())
        order = np.argsort(-odds, kind="stable").tolist()
        best = next((self.candidates[number] for number in order if may_answer(self.candidates[number].text)), None)
        if best is None:
            return None
        alike = np.array([_overlap(each, best) for each in self.candidates])
        return ChosenSpan(best, float(odds[alike].sum() / odds.sum()))

    def with_draft(self, draft: str) -> SpanOdds:
        """What a generator drafted speaks for the candidates that are like it. Cost: some milliseconds."""
        said = Counter(words_of(draft))
        likeness = np.array([_likeness(said, Counter(words_of(each.text))) for each in self.candidates])
        added = _LIKE_A_DRAFT * likeness + _THE_SAME_AS_A_DRAFT * (likeness == 1.0)
        return replace(self, logits=self.logits + added)


class SpanModel:
    def __init__(self, language: SpanLanguage, weights: npt.NDArray[np.float32]) -> None:
        """weights: float32[BUCKETS]."""
        self._language = language
        self._weights = weights

    @classmethod
    def load(cls, language: SpanLanguage, path: Path) -> SpanModel:
        """Raises ValueError for a file that another version of the features was trained with."""
        with np.load(path) as file:
            if int(file["version"]) != language.version or file["quantized"].shape != (BUCKETS,):
                raise ValueError(f"{path.name} was trained with other features: train it again")
            return cls(language, file["quantized"].astype(np.float32) * np.float32(file["scale"]))

    def read(
        self, question: str, sentences: Sequence[str], scores: Sequence[float], coverages: Sequence[float]
    ) -> SpanOdds:
        """sentences: the likeliest first, with what speaks for each (`scores`, as logarithms of odds) and its share of
        the question's words. Cost: 10 ms (Japanese) to 25 ms (English)."""
        candidates, features = self._language.candidates(question, sentences, coverages)
        logits = self._weights[features].sum(axis=1) + np.array([scores[each.sentence] for each in candidates])
        return SpanOdds(tuple(candidates), logits.astype(np.float64))


def _overlap(one: SpanCandidate, other: SpanCandidate) -> bool:
    starts_inside = one.span.start < other.span.end and other.span.start < one.span.end
    return one.sentence == other.sentence and starts_inside


def _likeness(said: Counter[str], words: Counter[str]) -> float:
    """F1 over words."""
    shared = (said & words).total()
    return 2 * shared / (said.total() + words.total()) if shared else 0.0


@cache
def span_model(language: str) -> SpanModel | None:
    """None for a language that there is no model of."""
    known = SPAN_LANGUAGES.get(language)
    return SpanModel.load(known, _WEIGHTS / f"{language}.npz") if known else None
