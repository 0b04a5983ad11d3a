"""The phrases that a reader, a trained network, found in the passages.

A phrase's score is the reader's (the logarithm of how much likelier it is than that its passage answers nothing) and
what speaks for its passage: a reader sees one passage at a time, and does not know how well the others fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from server.application.answer_ports import ReadSpan
from server.application.extracting import Extract
from server.application.phrases import with_signs
from server.application.sentences import split_sentences
from server.domain.passages import RankedPassage, TextSpan


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What speaks for a passage beside the reader's score: its own score, as a share of the best one's, and which share
    of the question's content words it has, compared with the passage that has most. On training questions 4 to 16
    choose equally well."""

    passage_score: float = 8.0
    passage_coverage: float = 4.0


@dataclass(frozen=True, slots=True)
class _Phrase:
    passage: int
    span: TextSpan
    score: float


class ReadPhrases:
    """Best first. `strongest` is the best one's score; of no phrase at all, minus infinity."""

    def __init__(
        self,
        passages: Sequence[RankedPassage],
        coverages: npt.NDArray[np.float64],
        spans: Sequence[Sequence[ReadSpan]],
        options: ReadOptions,
    ) -> None:
        """coverages: float64[n], as `Evidence.passage_coverages`. spans: for each of the first passages what was found
        in its text."""
        self._texts = [ranked.passage.text for ranked in passages]
        scores = np.array([ranked.score for ranked in passages])
        shares = scores / scores.max() if len(scores) and scores.max() > 0 else np.ones(len(scores))
        behind = options.passage_score * (shares - 1.0)
        if len(coverages):
            behind += options.passage_coverage * (coverages - coverages.max())
        found = chain.from_iterable(
            (_Phrase(number, TextSpan(span.start, span.end), span.score + float(behind[number])) for span in own)
            for number, own in enumerate(spans)
        )
        self._phrases = sorted(found, key=lambda phrase: -phrase.score)
        self.strongest = self._phrases[0].score if self._phrases else -math.inf

    def likeliest(self, may_answer: Callable[[str], bool]) -> Extract | None:
        """The best phrase that may answer, with its share among all that were found; None without one."""
        for phrase in self._phrases:
            text = self._texts[phrase.passage]
            if may_answer(text[phrase.span.start : phrase.span.end]):
                span = with_signs(text, phrase.span.start, phrase.span.end)
                return Extract(phrase.passage, span, _around(text, span), self._share(phrase), read=True)
        return None

    def _share(self, phrase: _Phrase) -> float:
        return 1.0 / sum(math.exp(min(other.score - phrase.score, 50.0)) for other in self._phrases)


def _around(text: str, span: TextSpan) -> TextSpan:
    """The sentences that the span lies in."""
    within = [each for each in split_sentences(text) if each.start < span.end and span.start < each.end]
    if not within:
        return span
    return TextSpan(min(span.start, within[0].start), max(span.end, within[-1].end))
