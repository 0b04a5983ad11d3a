"""The sentences of the passages, ordered by how likely they answer the question.

They are what an answer without a generator quotes, what a generator reads where a phrase is asked for, and where the
answer is looked for again. A sentence's score is a linear function of a few measures; see `EvidenceOptions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from server.application.chunking import estimate_tokens
from server.application.sentences import split_sentences
from server.application.terms import rarity, terms_of
from server.domain.passages import RankedPassage, TextSpan

_INSTRUCTIONS = terms_of(
    "please describe explain tell story summarize summarise summary outline list compare discuss give show details"
    " 説明 要約 教 詳細 紹介 一覧"
).all
"""Words that say what is to be done; no passage has to have them."""


@dataclass(frozen=True, slots=True)
class EvidenceOptions:
    """Weights of a log-linear model over the sentences of a question's first passages. ARCHITECTURE.md says what it was
    fitted on and how often its first sentence holds the answer."""

    coverage: float = 5.1
    """The share of the question's content words that the sentence has, rare ones weighing more. The next ones are
    shares of the same kind."""
    neighbourhood: float = 3.5
    """The share in the sentence with the ones before and behind it."""
    passage_score: float = 6.6
    """The passage's score as a share of the best one's."""
    passage_coverage: float = 1.4
    """The share in the whole passage."""
    opening: float = 0.6
    """For the first sentence of a passage."""
    most_sentences: int = 48
    """Of the first passages; more are not looked at."""


@dataclass(frozen=True, slots=True)
class EvidenceSentence:
    """`span` of passage number `passage`, whose words are `text`."""

    passage: int
    span: TextSpan
    text: str
    terms: frozenset[str] = field(repr=False)


class Evidence:
    """`scores`: float64[n], higher is better, of the n `sentences`, which stand in the order of the passages.
    `coverages`: float64[n], the share of the question's content words in each. `passage_coverages`: the same of each
    passage. Cost: some ten microseconds a sentence; run it off the event loop."""

    def __init__(self, question: str, passages: Sequence[RankedPassage], options: EvidenceOptions) -> None:
        """passages: best first."""
        self.sentences = _sentences(passages, options.most_sentences)
        share = _share_of(question, [sentence.terms for sentence in self.sentences])
        best = max((ranked.score for ranked in passages), default=0.0)
        held = [share(_passage_terms(ranked)) for ranked in passages]
        measures = np.zeros((len(self.sentences), 5))
        for number, sentence in enumerate(self.sentences):
            around = self.sentences[max(0, number - 1) : number + 2]
            near = frozenset[str]().union(*(each.terms for each in around if each.passage == sentence.passage))
            ranked = passages[sentence.passage]
            measures[number] = (
                share(sentence.terms),
                share(near),
                ranked.score / best if best > 0 else 1.0,
                held[sentence.passage],
                float(number == 0 or self.sentences[number - 1].passage != sentence.passage),
            )

        weights = (
            options.coverage,
            options.neighbourhood,
            options.passage_score,
            options.passage_coverage,
            options.opening,
        )
        self.scores: npt.NDArray[np.float64] = measures @ np.array(weights)
        self.coverages: npt.NDArray[np.float64] = measures[:, 0]
        self.passage_coverages: npt.NDArray[np.float64] = np.array(held)


def coverages(question: str, sentences: Sequence[str]) -> npt.NDArray[np.float64]:
    """float64[n]: the share of the question's content words in each sentence, rare ones weighing more."""
    terms = [terms_of(sentence).all for sentence in sentences]
    return np.array(list(map(_share_of(question, terms), terms)))


def absent_share(question: str, candidates: Sequence[RankedPassage]) -> float:
    """The share of the question's content words that no candidate has, rare ones weighing more."""
    held = [_passage_terms(ranked) for ranked in candidates]
    everywhere = frozenset[str]().union(*held)
    return 1.0 - _share_of(question, held)(everywhere) if held else 1.0


def excerpt(
    sentences: Sequence[EvidenceSentence], scores: npt.NDArray[np.float64], most_tokens: int
) -> tuple[EvidenceSentence, ...]:
    """The best sentences that fit into `most_tokens` (the best one always), in the order of the text, those of the
    passage with the best sentence first."""
    order = np.argsort(-scores, kind="stable").tolist()
    kept: list[int] = []
    tokens = 0
    for number in order:
        tokens += estimate_tokens(sentences[number].text)
        if kept and tokens > most_tokens:
            break
        kept.append(number)
    places: dict[int, int] = {}
    for number in kept:
        places.setdefault(sentences[number].passage, len(places))
    kept.sort(key=lambda number: (places[sentences[number].passage], number))
    return tuple(sentences[number] for number in kept)


def _share_of(question: str, texts: Sequence[frozenset[str]]) -> Callable[[frozenset[str]], float]:
    asked = terms_of(question).all
    rare = rarity(asked - _INSTRUCTIONS or asked, texts)
    whole = sum(rare.values()) or 1.0
    return lambda terms: sum(rare[term] for term in rare.keys() & terms) / whole


def _sentences(passages: Sequence[RankedPassage], most: int) -> tuple[EvidenceSentence, ...]:
    found: list[EvidenceSentence] = []
    for number, ranked in enumerate(passages):
        text = ranked.passage.text
        for span in split_sentences(text):
            if len(found) == most:
                return tuple(found)
            sentence = text[span.start : span.end]
            found.append(EvidenceSentence(number, span, sentence, terms_of(sentence).all))
    return tuple(found)


def _passage_terms(ranked: RankedPassage) -> frozenset[str]:
    passage = ranked.passage
    return terms_of(" ".join([*passage.heading_path, passage.text])).all
