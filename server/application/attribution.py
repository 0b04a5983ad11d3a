"""Decides which words of which passage support a sentence of an answer.

The generator is not asked for citations: a small model invents them. A sentence is supported when what it says stands
in one passage: all its numbers, units and names, and most of the content words that it adds to the question. The
citation is then the sentence of that passage that shares most with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.application.grounding import Facts, facts_of
from server.application.sentences import split_sentences
from server.application.terms import Terms, terms_of
from server.domain.passages import Passage, TextSpan


@dataclass(frozen=True, slots=True)
class AttributionOptions:
    minimum_coverage: float = 0.6
    """Share of a sentence's new content words that the passage must hold."""
    question_weight: float = 0.4
    """What a word of the question counts, beside 1 for a word of the answer, in choosing the supporting sentence."""


@dataclass(frozen=True, slots=True)
class Support:
    """`span` of `passage.text` supports the sentence with `score`, 0 to 1."""

    passage: Passage
    span: TextSpan
    score: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    span: TextSpan
    terms: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Evidence:
    passage: Passage
    terms: frozenset[str]
    facts: Facts
    candidates: tuple[_Candidate, ...]


class Attribution:
    """The passages of one answer, analyzed once. Cost: some hundred microseconds per passage, then tens per sentence;
    run both off the event loop."""

    def __init__(self, question: str, passages: Sequence[Passage], options: AttributionOptions) -> None:
        self._question = terms_of(question)
        self._options = options
        self._evidence = tuple(_evidence(passage) for passage in passages)

    def support(self, sentence: str) -> Support | None:
        """The best support for a sentence of the answer; None when no passage supports it."""
        told, facts = terms_of(sentence), facts_of(sentence)
        sources = (evidence for evidence in self._evidence if not facts.foreign_to(evidence.facts))
        supports = [found for evidence in sources if (found := self._supported_by(evidence, told)) is not None]
        # The first passage wins a draw: it is the one that ranks higher.
        return max(supports, key=lambda support: support.score, default=None)

    def is_foreign(self, sentence: str) -> bool:
        """Whether no passage has all the numbers and names of the sentence."""
        facts = facts_of(sentence)
        return all(facts.foreign_to(evidence.facts) for evidence in self._evidence)

    def _supported_by(self, evidence: _Evidence, told: Terms) -> Support | None:
        asked = self._question.all
        new = told.all - asked
        # A sentence that only restates the question ("Yes, it opened in 1987.") must stand in the passage as a whole.
        required = new or told.all
        if not required:
            return None
        coverage = len(required & evidence.terms) / len(required)
        if coverage < self._options.minimum_coverage or (not new and coverage < 1.0):
            return None
        best = max(evidence.candidates, key=lambda candidate: self._closeness(candidate, told), default=None)
        if best is None:
            return None
        in_sentence = len(required & best.terms) / len(required)
        return Support(evidence.passage, best.span, round((coverage + in_sentence) / 2, 4))

    def _closeness(self, candidate: _Candidate, told: Terms) -> float:
        asked = self._question.all
        new = len((told.all - asked) & candidate.terms)
        shared = len(asked & candidate.terms)
        return new + self._options.question_weight * shared


def _evidence(passage: Passage) -> _Evidence:
    spans = split_sentences(passage.text)
    candidates = tuple(_Candidate(span, terms_of(passage.text[span.start : span.end]).all) for span in spans)
    whole = "\n".join([*passage.heading_path, passage.text])
    return _Evidence(passage, terms_of(whole).all, facts_of(whole), candidates)
