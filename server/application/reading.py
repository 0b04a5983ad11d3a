"""What the passages say to a question before a generator is asked: whether they can answer it, and in which words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from server.application.answer_kinds import AnswerKind, answer_kind, fits
from server.application.answer_ports import ReadSpan
from server.application.answerability import (
    Answerability,
    AnswerabilityOptions,
    ConfidenceOptions,
    answerability,
    confidence,
)
from server.application.attribution import Attribution, AttributionOptions
from server.application.evidence import Evidence, EvidenceOptions, absent_share, excerpt
from server.application.extracting import Extract, ExtractOptions, Phrases, sentence_in
from server.application.headings import under_headings
from server.application.language import detect_language
from server.application.phrases import Phrasebook, without_frame
from server.application.read_phrases import ReadOptions, ReadPhrases
from server.application.table_rows import rows_asked_about
from server.application.terms import terms_of
from server.domain.passages import Passage, RankedPassage, TextSpan


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """`excerpt_tokens` of sentences are shown to a generator that is asked for a phrase: on the training questions of
    JaQuAD that they were chosen for they keep the answer of 90 in 100, three whole passages 98. `least_likeness`: of a
    drafted phrase and the passages' words, as F1 over words. `drafted_probability`: what counts as the probability of
    one that stands there word for word."""

    excerpt_tokens: int = 200
    least_likeness: float = 0.6
    drafted_probability: float = 0.6
    answerability: AnswerabilityOptions = field(default_factory=AnswerabilityOptions)
    confidence: ConfidenceOptions = field(default_factory=ConfidenceOptions)
    attribution: AttributionOptions = field(default_factory=AttributionOptions)
    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)
    extract: ExtractOptions = field(default_factory=ExtractOptions)
    read: ReadOptions = field(default_factory=ReadOptions)


class Reading:
    """Cost: some milliseconds; 10 to 25 ms more where a phrase is asked for and no reader has read the passages. Run it
    off the event loop, as all its methods."""

    def __init__(
        self,
        question: str,
        chosen: Sequence[RankedPassage],
        candidates: Sequence[RankedPassage],
        options: ReadingOptions,
        spans: Sequence[Sequence[ReadSpan]] = (),
    ) -> None:
        """chosen: of the candidates, those that may be used; best first. spans: what a reader found in each of them;
        nothing where none has read them."""
        self.question = question
        self.language = detect_language(question)
        self.kind: AnswerKind = answer_kind(question, self.language)
        self.passages: tuple[Passage, ...] = tuple(ranked.passage for ranked in chosen)
        self._options = options
        self._evidence = Evidence(question, chosen, options.evidence)
        self._read = ReadPhrases(chosen, self._evidence.passage_coverages, spans, options.read) if any(spans) else None
        self.judged: Answerability = answerability(
            chosen,
            candidates,
            self._evidence.coverages,
            absent_share(question, candidates),
            options.answerability,
            self._read.strongest if self._read else None,
        )
        self.attribution = Attribution(question, self.passages, options.attribution)

    @cached_property
    def _phrases(self) -> Phrases:
        return Phrases(self.question, self.language, self.kind, self._evidence, self._options.extract)

    @property
    def refused(self) -> bool:
        """Whether the documents are taken not to have an answer."""
        options = self._options.answerability
        read = options.read_thresholds.get(self.language, options.threshold)
        return self.judged.probability < (options.threshold if self._read is None else read)

    def confidence(self, found: Extract | None) -> float:
        """How likely an answer is right that is `found`, or, None, sentences of a generator."""
        whole = found is None or found.span == found.sentence
        return confidence(
            self.judged.probability,
            None if found is None or whole else found.probability,
            self._options.confidence,
            drafted=found is not None and found.drafted,
            read=found is not None and found.read,
        )

    def phrase(self) -> Extract | None:
        """The phrase that answers, where one is asked for and can be told without a generator."""
        return self._phrase_read() or self._phrases.certain()

    def extract(self) -> Extract | None:
        """What answers best without a generator: a phrase where one is likely, else the sentence that fits best; None
        when none shares a word with the question."""
        phrase = self._phrase_read() or self._phrases.likeliest()
        return phrase or sentence_in(self.question, self.language, self.kind, self._evidence)

    def _phrase_read(self) -> Extract | None:
        if self._read is None or self.kind is AnswerKind.SENTENCES:
            return None
        return self._phrases.ruled or self._read.likeliest(lambda phrase: fits(self.kind, phrase))

    def texts_for_phrase(self) -> list[str]:
        """What a generator reads to find the phrase: of each passage its best sentences, of one with a table the rows
        asked about."""
        if any(passage.text.lstrip().startswith("|") or "\n|" in passage.text for passage in self.passages):
            return [
                under_headings(passage.heading_path, rows_asked_about(passage.text, self.question))
                for passage in self.passages
            ]
        kept = excerpt(self._evidence.sentences, self._evidence.scores, self._options.excerpt_tokens)
        separator = "" if self.language == "ja" else " "
        texts = []
        for number in dict.fromkeys(sentence.passage for sentence in kept):
            own = separator.join(sentence.text for sentence in kept if sentence.passage == number)
            texts.append(under_headings(self.passages[number].heading_path, own))
        return texts

    def found(self, draft: str) -> Extract | None:
        """The passages' phrase for what a generator drafted as one. A phrase of the likeliest sentences is chosen by
        the trained model and by its likeness to the draft; one of another sentence has to be much like it. None if
        there is none, if it only repeats the question, or if it cannot be what was asked for."""
        phrase = without_frame(draft)
        words = terms_of(phrase).all
        repeats = bool(words) and words <= terms_of(self.question).all
        quoted = None if repeats or not fits(self.kind, phrase) else self._quoted(phrase)
        if quoted is not None and not self._phrases.read_from(quoted.passage, quoted.sentence):
            return quoted
        return self._phrases.drafted("" if repeats else phrase) or quoted

    def _quoted(self, phrase: str) -> Extract | None:
        """Where the passages say the phrase, in the likeliest of their sentences."""
        order = np.argsort(-self._evidence.scores, kind="stable").tolist()
        sentences = [self._evidence.sentences[number] for number in order]
        quotations = Phrasebook([sentence.text for sentence in sentences]).quotations(
            phrase, self._options.least_likeness
        )
        if not quotations:
            return None
        best = quotations[0]
        sentence = sentences[best.text]
        quoted = sentence.text[best.span.start : best.span.end]
        if not fits(self.kind, quoted):
            return None
        if self.kind is AnswerKind.PERSON and self.language == "en" and not any(map(str.isupper, quoted)):
            return None  # the best sentence that names somebody says more than "the keeper"
        start = sentence.span.start
        inside = TextSpan(start + best.span.start, start + best.span.end)
        return Extract(sentence.passage, inside, sentence.span, best.likeness * self._options.drafted_probability)
