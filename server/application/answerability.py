"""Decides whether the passages found can hold an answer at all, and how sure an answer from them is.

The generator is not asked: a small model answers anything from anything. Both are logistic models; ARCHITECTURE.md says
what they were fitted on, and how often they err on questions that they were not fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from server.domain.passages import RankedPassage

_RIVAL = 5
"""A passage that answers stands out from the sixth candidate, even where five say the same."""
_UNCOVERED = 0.05
_SUREST = 0.99
_READ_THRESHOLDS = {"en": 0.25, "ja": 0.35}
_SURE_SCORE = 15.0
"""A reader's scores beyond it say nothing more."""


@dataclass(frozen=True, slots=True)
class AnswerabilityOptions:
    """What each measure of `Answerability` adds to the logarithm of the odds. The threshold rather answers once too
    often: what is then said is still checked against the passages."""

    intercept: float = -16.92
    cosine: float = 13.77
    cosine_lead: float = 41.64
    coverage: float = 5.24
    lexical_lead: float = 2.61
    threshold: float = 0.35
    least_coverage: float = 0.15
    """Where no sentence has as much of the question, nothing answers it. Of the training questions less than one in a
    hundred of the answerable lie below it, and 8 (English) or 31 (Japanese) of the unanswerable."""
    most_absent: float = 0.55
    """Where more of the question's content words are in none of six or more candidates, nothing answers it either. Of
    the training questions some 2 in a hundred of the answerable lie above it, and 13 (English) or 26 (Japanese) of the
    unanswerable."""
    most_cosine_lead: float = 0.05
    """A larger lead counts as this one: where few passages are in the question's language it says little."""
    unknown_cosine: float = 0.86
    """What counts where no dense branch searched. It is not fitted: about what questions have, with an answer and
    without, so that the words alone decide."""
    unknown_cosine_lead: float = 0.022
    unknown_lexical_lead: float = 0.4
    """What counts where fewer than six candidates are in the language of the best one, and there is no rival to lead:
    what unanswerable training questions have in the middle."""
    read_intercept: float = -0.96
    read_others: float = 0.68
    read_score: float = 0.24
    """Where a reader has read the passages, what its best score and the logarithm of the odds by all the others add to
    the logarithm of the odds."""
    read_thresholds: Mapping[str, float] = field(default_factory=lambda: _READ_THRESHOLDS)
    """By language: the threshold where a reader has read the passages. About one in ten of the answerable training
    questions lies below it."""


@dataclass(frozen=True, slots=True)
class Answerability:
    """`cosine`: of the nearest passage, 0 where only others have one. `cosine_lead`: by how much it is nearer than the
    sixth nearest candidate. `coverage`: the largest share of the question's content words that one sentence has, rare
    words weighing more. `lexical_lead`: by which share the best lexical score lies above the sixth best."""

    cosine: float
    cosine_lead: float
    coverage: float
    lexical_lead: float
    probability: float


def answerability(
    chosen: Sequence[RankedPassage],
    candidates: Sequence[RankedPassage],
    coverages: npt.NDArray[np.float64],
    absent: float,
    options: AnswerabilityOptions,
    read: float | None = None,
) -> Answerability:
    """Whether the `chosen` of the `candidates` answer. coverages: float64[n], of the sentences of the chosen ones, as
    in `Evidence`. absent: as `absent_share` of the candidates. read: what a reader gives its best phrase, as
    `ReadPhrases.strongest`; None where none has read them. 0 for no passages."""
    if not chosen:
        return Answerability(0.0, 0.0, 0.0, 0.0, 0.0)
    searched = any(ranked.dense is not None for ranked in candidates)
    lowest = 0.0 if searched else options.unknown_cosine
    cosine = max((ranked.dense.score for ranked in chosen if ranked.dense is not None), default=lowest)
    cosine_lead, lexical_lead = options.unknown_cosine_lead, options.unknown_lexical_lead
    rivals = [ranked for ranked in candidates if ranked.passage.language == chosen[0].passage.language]
    dense = sorted((ranked.dense.score for ranked in rivals if ranked.dense is not None), reverse=True)
    if len(dense) > _RIVAL:
        cosine_lead = min(dense[0] - dense[_RIVAL], options.most_cosine_lead)
    lexical = sorted((ranked.lexical.score if ranked.lexical else 0.0 for ranked in rivals), reverse=True)
    if len(lexical) > _RIVAL and lexical[0] > 0:
        lexical_lead = 1.0 - lexical[_RIVAL] / lexical[0]
    coverage = float(coverages.max()) if len(coverages) else 0.0
    logit = (
        options.intercept
        + options.cosine * cosine
        + options.cosine_lead * cosine_lead
        + options.coverage * coverage
        + options.lexical_lead * lexical_lead
    )
    if read is not None:
        read = min(max(read, -_SURE_SCORE), _SURE_SCORE)
        # Words that are missing are counted by what the reader finds instead: it knows others that mean the same.
        probability = _sigmoid(options.read_intercept + options.read_others * logit + options.read_score * read)
        return Answerability(cosine, cosine_lead, coverage, lexical_lead, probability)
    probability = _sigmoid(logit)
    if coverage < options.least_coverage or (len(candidates) > _RIVAL and absent > options.most_absent):
        probability = min(probability, _UNCOVERED)
    return Answerability(cosine, cosine_lead, coverage, lexical_lead, probability)


@dataclass(frozen=True, slots=True)
class ConfidenceOptions:
    """What the odds of the documents' having an answer, and of the phrase among others, add to the logarithm of the
    odds that the answer is right."""

    intercept: float = -0.56
    answerable: float = 0.29
    phrase: float = 0.85
    whole_sentence: float = 0.6
    """The probability that counts for an answer that is no phrase."""
    drafted: float = -0.45
    """For a phrase that was chosen with a generator's draft, whose probability the draft has raised: what 281 labelled
    training questions say, by Platt's method (1999)."""
    read_intercept: float = -1.57
    read_answerable: float = 0.52
    read_phrase: float = 0.37
    """The same for a phrase that a reader chose, whose probability is its share among those that it found."""


def confidence(
    answerable: float, phrase: float | None, options: ConfidenceOptions, *, drafted: bool = False, read: bool = False
) -> float:
    """How likely an answer is right. phrase: what its model gives it among others; None for sentences. drafted: whether
    a generator had a say in it. read: whether a reader chose the phrase."""
    likely = options.whole_sentence if phrase is None else phrase
    if read:
        return _sigmoid(
            options.read_intercept
            + options.read_answerable * _log_odds(answerable)
            + options.read_phrase * _log_odds(likely)
        )
    logit = options.intercept + options.answerable * _log_odds(answerable) + options.phrase * _log_odds(likely)
    return _sigmoid(logit + options.drafted * drafted)


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 1.0 - _SUREST), _SUREST)
    return math.log(bounded / (1.0 - bounded))


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1.0 + math.exp(logit))
