"""Answers in the passages' own words, without a generator: a phrase where one is asked for and can be told, else the
sentence that fits best.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

import numpy as np

from server.application.answer_kinds import AnswerKind, fits
from server.application.english_spans import AUXILIARIES, FUNCTION_WORDS, UNITS
from server.application.english_words import ONES, SCALES, TEENS, TENS, month_pattern
from server.application.evidence import Evidence, EvidenceSentence
from server.application.grounding import facts_of
from server.application.phrases import with_signs
from server.application.sentences import ends_sentence
from server.application.span_candidates import MOST_SENTENCES
from server.application.span_model import ChosenSpan, SpanOdds, span_model
from server.application.terms import terms_of
from server.domain.passages import TextSpan

_MONTH = month_pattern(capital=True)
_SPELLED = f"(?:{'|'.join((*ONES[1:], *TEENS, *TENS, 'hundred', *SCALES, 'half', 'dozen'))})"
_YEAR = r"(?:1\d|20)\d\d"
_ENGLISH = {
    AnswerKind.DATE: re.compile(
        rf"\b\d{{4}}-\d\d-\d\d\b|\b\d{{1,2}}([./])\d{{1,2}}\1\d{{2,4}}\b"
        rf"|\b(?:\d{{1,2}}(?:st|nd|rd|th)?(?: of)? )?{_MONTH}(?: \d{{1,2}}(?:st|nd|rd|th)?\b)?(?:,? \d{{4}}\b)?"
        rf"|\b{_YEAR}(?:s|[–-]\d{{2,4}})?\b|\b\d{{1,2}}(?:st|nd|rd|th) centur(?:y|ies)(?: (?:BCE?|AD|CE)\b)?"
    ),
    AnswerKind.NUMBER: re.compile(
        r"[$£€]?\b(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?\w*"
        r"(?: (?:thousand|million|billion|trillion|percent|per cent)\b)?%?"
        rf"|\b{_SPELLED}(?:[- ]{_SPELLED})*\b",
        re.IGNORECASE,
    ),
}
_ENGLISH_SENTENCES = 2
_ONLY_YEAR = re.compile(_YEAR)
_COUNTING = re.compile(
    r" (?!(?:was|is|has|as|its|his|this|does|goes|across|versus|thus)\b)(?:people|men|women|children|feet|[a-z]+s)\b"
)
"""Behind a number of four digits: it counts something then, and is no year."""
_VERB = r"(?:are|is|was|were|do|does|did|has|have|had|can|could|may|must|will|would|should)\b"
_HOW_MANY = re.compile(rf"\bhow many ((?:(?!{_VERB})[\w'-]+ ?){{1,3}})", re.IGNORECASE)
_VERBS = AUXILIARIES - {"may", "will"}
"""May and Will are names as well."""
_WORD = re.compile(r"[^\W\d_]+")
_UNIT = re.compile(r" ([a-z]+)\b")
_HEADING_PENALTY = 2.0
"""What speaks, as the logarithm of odds, against a phrase of a line that does not end as a sentence does."""
_CLOCK_TIME = re.compile(r"\d{1,2}:\d\d(?: ?[ap]\.?m\b\.?)?", re.IGNORECASE)
_ASKS_FOR_TIME = re.compile(r"\b(?:when|time|hour|clock|departure|arrival|begin|start|end|open|close)", re.IGNORECASE)
_DATING = re.compile(r"\b(?:in|since|until|during) $", re.IGNORECASE)


_CERTAIN = {"en": 0.8, "ja": 0.1}


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    certain: Mapping[str, float] = field(default_factory=lambda: _CERTAIN)
    """By language: the least probability of a phrase that its model chose for which no generator is asked."""
    least_probability: float = 0.2
    """Of a phrase that is shown; the whole sentence is quoted below it."""
    rule_probability: float = 0.85
    """What counts as the probability of a phrase that a rule chose."""
    least_coverage: float = 0.5
    """The share of the question's words in one of the sentences whose only date or number is taken for the answer."""


@dataclass(frozen=True, slots=True)
class Extract:
    """`span` of passage number `passage` answers, and `sentence` around it supports it; they are the same where a whole
    sentence answers, and `probability` means nothing then. `drafted`: chosen with what a generator wrote. `read`: by a
    reader."""

    passage: int
    span: TextSpan
    sentence: TextSpan
    probability: float
    drafted: bool = False
    read: bool = False


class Phrases:
    """The phrases of the likeliest sentences that might answer, and how likely each is.

    None is looked for where a sentence is asked for, or where the best one is a row of a table, which means nothing
    without its head. Cost: 10 ms in Japanese, 25 ms in English, when the first one is asked for that no rule chooses;
    run its methods off the event loop.
    """

    def __init__(
        self, question: str, language: str, kind: AnswerKind, evidence: Evidence, options: ExtractOptions
    ) -> None:
        self._question, self._language, self._kind = question, language, kind
        self._evidence, self._options = evidence, options
        # The sentences, the likeliest first; none where no phrase is looked for.
        self._order: list[int] = []
        if kind is AnswerKind.SENTENCES or not evidence.coverages.any():
            return
        order = np.argsort(-evidence.scores, kind="stable").tolist()
        if not _is_row(evidence.sentences[order[0]].text):
            self._order = order

    @cached_property
    def ruled(self) -> Extract | None:
        """The only date or the only number of the best sentence of an English passage, or of the second best where that
        has none, if one is asked for."""
        if self._language != "en" or not self._order:
            return None
        return _only_one(self._question, self._kind, self._evidence, self._order[:_ENGLISH_SENTENCES], self._options)

    @cached_property
    def _sentences(self) -> tuple[EvidenceSentence, ...]:
        """Those that the model chooses from."""
        if self.ruled is not None:
            return ()
        return tuple(self._evidence.sentences[number] for number in self._likeliest)

    @cached_property
    def _odds(self) -> SpanOdds | None:
        model = span_model(self._language)
        if model is None or not self._sentences:
            return None
        return model.read(
            self._question,
            [sentence.text for sentence in self._sentences],
            [
                float(self._evidence.scores[number])
                - _HEADING_PENALTY * (not ends_sentence(self._evidence.sentences[number].text))
                for number in self._likeliest
            ],
            self._evidence.coverages[self._likeliest].tolist(),
        )

    @cached_property
    def _likeliest(self) -> list[int]:
        rows = (number for number in self._order if not _is_row(self._evidence.sentences[number].text))
        return list(islice(rows, MOST_SENTENCES))

    def certain(self) -> Extract | None:
        """One that needs no generator to be asked: what a rule chooses, and else the trained model, if it is likely
        enough."""
        return self.ruled or self._at_least(self._odds, self._options.certain.get(self._language, math.inf))

    def likeliest(self) -> Extract | None:
        """None where none is likely enough to be shown."""
        return self.ruled or self._at_least(self._odds, self._options.least_probability)

    def drafted(self, draft: str) -> Extract | None:
        """The likeliest where a generator says `draft`, which may stand in none of the sentences."""
        found = self._at_least(self._odds and self._odds.with_draft(draft), self._options.least_probability)
        return replace(found, drafted=True) if found else None

    def read_from(self, passage: int, sentence: TextSpan) -> bool:
        """Whether that sentence is one of those that the phrases are of."""
        return any(each.passage == passage and each.span == sentence for each in self._sentences)

    def _at_least(self, odds: SpanOdds | None, probability: float) -> Extract | None:
        chosen = odds.chosen(self._may_answer) if odds else None
        return self._extract(chosen) if chosen and chosen.probability >= probability else None

    def _extract(self, chosen: ChosenSpan) -> Extract:
        sentence, span = self._sentences[chosen.candidate.sentence], chosen.candidate.span
        return _extract(sentence, with_signs(sentence.text, span.start, span.end), chosen.probability)

    def _may_answer(self, phrase: str) -> bool:
        if not fits(self._kind, phrase):
            return False
        if self._language != "en":
            return True
        if self._kind is AnswerKind.PHRASE:
            # The questions that the model was trained on hardly ever met one.
            return not _CLOCK_TIME.fullmatch(phrase) or _ASKS_FOR_TIME.search(self._question) is not None
        if _VERBS & frozenset(phrase.lower().split()):
            return False  # a clause, not what the clause tells
        # The best sentence that names somebody says more than "the keeper".
        return self._kind is not AnswerKind.PERSON or _names_somebody(phrase, self._question)


def sentence_in(question: str, language: str, kind: AnswerKind, evidence: Evidence) -> Extract | None:
    """The likeliest sentence that may tell what is asked for, or else the likeliest; None when none shares a word with
    the question."""
    if not evidence.coverages.any():
        return None
    order = np.argsort(-evidence.scores, kind="stable").tolist()
    if kind is AnswerKind.PERSON and language == "en":
        telling = (number for number in order if _names_in_a_sentence(question, evidence.sentences[number].text))
    else:
        telling = (number for number in order[:MOST_SENTENCES] if _may_tell(question, language, kind, evidence, number))
    best = evidence.sentences[next(telling, order[0])]
    return Extract(best.passage, best.span, best.span, 1.0)


def _names_somebody(phrase: str, question: str) -> bool:
    """Whether an English phrase begins with a name, after "the" or the like, and has one that the question has not."""
    words = _WORD.findall(_ENGLISH[AnswerKind.DATE].sub(" ", phrase))
    while words and words[0].lower() in FUNCTION_WORDS:
        words = words[1:]
    names = {word.lower() for word in words if word[0].isupper() and word.lower() not in FUNCTION_WORDS}
    return bool(words) and words[0][0].isupper() and not names <= frozenset(_WORD.findall(question.lower()))


def _is_row(sentence: str) -> bool:
    """Whether a sentence is a row of a table."""
    return sentence.startswith("|")


def _may_tell(question: str, language: str, kind: AnswerKind, evidence: Evidence, number: int) -> bool:
    """Whether an English sentence has a date or a number that the question has not, where one is asked for."""
    text = evidence.sentences[number].text
    if language != "en":
        return True
    pattern = _ENGLISH.get(kind)
    return pattern is None or any(not _says(question, each.group()) for each in pattern.finditer(text))


def _names_in_a_sentence(question: str, text: str) -> bool:
    """Whether an English sentence, no heading, has a name that the question has not; months are none."""
    undated = _ENGLISH[AnswerKind.DATE].sub(" ", text)
    return text.rstrip().endswith((".", "!", "?")) and not facts_of(undated).names <= facts_of(question).words


def _only_one(
    question: str, kind: AnswerKind, evidence: Evidence, likeliest: Sequence[int], options: ExtractOptions
) -> Extract | None:
    """Of the first of the sentences that has a date or a number at all: what has none cannot tell one."""
    pattern = _ENGLISH.get(kind)
    if pattern is None or evidence.coverages[likeliest].max() < options.least_coverage:
        return None
    dated = kind is AnswerKind.DATE
    counted = _counted(question)
    for number in likeliest:
        sentence = evidence.sentences[number]
        if counted and not counted & terms_of(sentence.text).all:
            continue  # it may count something else
        found = [each for each in pattern.finditer(sentence.text) if not _says(question, each.group())]
        found = [each for each in found if not _ONLY_YEAR.fullmatch(each.group()) or _is_year(each) == dated]
        if found:
            if len(found) > 1:
                return None
            span = with_signs(sentence.text, *found[0].span())
            if not dated and not counted:
                span = _with_unit(sentence.text, span)
            return _extract(sentence, span, options.rule_probability)
    return None


def _with_unit(text: str, number: TextSpan) -> TextSpan:
    """The number with the word behind it that says of what it is one: 18 crowns."""
    found = _UNIT.match(text, number.end)
    is_unit = found and found.group(1) not in FUNCTION_WORDS and (found.group(1) in UNITS or found.group(1)[-1] == "s")
    return TextSpan(number.start, found.end()) if found and is_unit else number


def _counted(question: str) -> frozenset[str]:
    """What "how many" asks to be counted: the words up to the verb, of which a sentence that counts it has one; empty
    for other questions."""
    asked = _HOW_MANY.search(question)
    return terms_of(asked.group(1)).all if asked else frozenset()


def _is_year(found: re.Match[str]) -> bool:
    """Of four digits."""
    counts = _COUNTING.match(found.string, found.end()) is not None
    return not counts or _DATING.search(found.string, 0, found.start()) is not None


def _says(question: str, phrase: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", question, re.IGNORECASE) is not None


def _extract(sentence: EvidenceSentence, inside: TextSpan, probability: float) -> Extract:
    start = sentence.span.start
    return Extract(sentence.passage, TextSpan(start + inside.start, start + inside.end), sentence.span, probability)
