"""The phrases that a reader, a trained network, found in the passages.

A phrase's score is the reader's (the logarithm of how much likelier it is than that its passage answers nothing) and
what speaks for its passage: a reader sees one passage at a time, and does not know how well the others fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from server.application.answer_ports import ReadSpan
from server.application.extracting import Extract, is_row
from server.application.phrases import with_signs
from server.application.sentences import split_sentences
from server.domain.passages import RankedPassage, TextSpan


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """`passage_score`: what a passage's score as a share of the best one's weighs beside the reader's score. Of the
    questions that ARCHITECTURE.md tells of, 4 to 16 choose equally well."""

    passage_score: float = 8.0


@dataclass(frozen=True, slots=True)
class _Phrase:
    passage: int
    span: TextSpan
    score: float


class ReadPhrases:
    """Best first. `strongest` is the best one's score; of no phrase at all, minus infinity."""

    def __init__(
        self, passages: Sequence[RankedPassage], spans: Sequence[Sequence[ReadSpan]], options: ReadOptions
    ) -> None:
        """spans: for each of the first passages what was found in its text."""
        self._texts = [ranked.passage.text for ranked in passages]
        best = max((ranked.score for ranked in passages), default=0.0)
        behind = [options.passage_score * (ranked.score / best - 1.0) if best > 0 else 0.0 for ranked in passages]
        found = chain.from_iterable(
            (_Phrase(number, TextSpan(span.start, span.end), span.score + behind[number]) for span in own)
            for number, own in enumerate(spans)
        )
        self._phrases = sorted(found, key=lambda phrase: -phrase.score)
        self.strongest = self._phrases[0].score if self._phrases else -math.inf

    def likeliest(self, may_answer: Callable[[str], bool]) -> Extract | None:
        """The best phrase that may answer, with its share among all that were found. None without one, and for one of
        a row of a table, which means nothing without its head."""
        for phrase in self._phrases:
            text = self._texts[phrase.passage]
            if may_answer(text[phrase.span.start : phrase.span.end]):
                sentence = _around(text, phrase.span)
                if is_row(text[sentence.start :]):
                    return None
                span = with_signs(text, phrase.span.start, phrase.span.end)
                return Extract(phrase.passage, span, sentence, self._share(phrase))
        return None

    def _share(self, phrase: _Phrase) -> float:
        return 1.0 / sum(math.exp(min(other.score - phrase.score, 50.0)) for other in self._phrases)


def _around(text: str, span: TextSpan) -> TextSpan:
    """The sentences that the span lies in."""
    within = [each for each in split_sentences(text) if each.start < span.end and span.start < each.end]
    if not within:
        return span
    return TextSpan(min(span.start, within[0].start), max(span.end, within[-1].end))
