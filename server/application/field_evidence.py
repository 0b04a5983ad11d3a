"""Where the passages say what a field of an answer holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from server.application.attribution import Attribution
from server.application.grounding import Facts, Quantity, facts_of
from server.application.phrases import Phrasebook
from server.application.polarity import negates, truth_of
from server.application.schema_fields import SchemaField
from server.application.sentences import split_sentences
from server.application.terms import rarity, terms_of
from server.domain.passages import Passage, TextSpan

_WORDS = re.compile(r"[^\W_]+")
_HUMPS = re.compile(r"(?<=[a-z\d])(?=[A-Z])")
_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october"),
    *("november", "december"),
)
_FIELD_WEIGHT = 2.0
"""What a word of the field's name counts, beside 1 for one of its description or of the question, in choosing the
sentence to cite."""
_LEAST_SHARE = 0.5
"""Of a field's content words, in a sentence that speaks of it. Set by eye."""
_GENERIC = terms_of("answer value result response flag option choice true false correct whether may might must").all
"""Words of names and descriptions that say nothing of what a field holds."""
_KANA = re.compile(r"[\u3041-\u30fa]")
_KANA_OR_KANJI = re.compile(r"[\u3041-\u30fa\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Evidence:
    """`span` of passage number `passage` has the value, with `score`, 0 to 1."""

    passage: int
    span: TextSpan
    score: float


@dataclass(frozen=True, slots=True)
class _Sentence:
    passage: int
    span: TextSpan
    text: str
    facts: Facts
    terms: frozenset[str]


class FieldFinder:
    def __init__(self, question: str, passages: Sequence[Passage], attribution: Attribution) -> None:
        self._passages = passages
        self._attribution = attribution
        self._asked = terms_of(question).all
        self._sentences = [
            _Sentence(number, span, text, facts_of(text), terms_of(text).all)
            for number, passage in enumerate(passages)
            for span in split_sentences(passage.text)
            for text in [passage.text[span.start : span.end]]
        ]
        self._phrases = Phrasebook([sentence.text for sentence in self._sentences])
        self._japanese = frozenset(_KANA.search(passage.text) is not None for passage in passages)

    def find(self, field: SchemaField, value: Any) -> Evidence | None:
        truth = truth_of(value)
        if isinstance(value, bool) or (truth is not None and value in field.options):
            says_not = truth == negates(_spaced(field.name))
            about, share = self._about(field)
            return self._closest(field, [each for each in about if negates(each.text) == says_not], share)
        if isinstance(value, int | float):
            number = Decimal(str(value))
            return self._closest(field, [each for each in self._sentences if _has(each.facts, number)])
        if value in field.options:
            return self._chosen(field, value)
        date = _ISO_DATE.fullmatch(value)
        if date is not None:
            year, month, day = map(int, date.groups())
            dated = [each for each in self._sentences if _is_dated(each, year, month, day)]
            if dated:
                return self._closest(field, dated)
        quoted = self._phrases.quotations(value, 1.0)
        if quoted:
            return self._closest(field, [self._sentences[each.text] for each in quoted])
        support = self._attribution.support(value)
        if support is None:
            return None
        place = next(place for place, passage in enumerate(self._passages) if passage is support.passage)
        return Evidence(place, support.span, support.score)

    def is_foreign(self, value: Any) -> bool:
        """Whether a value that was not found has a number, a date or a name that no passage has, or is one."""
        if not isinstance(value, str) or _ISO_DATE.fullmatch(value):
            return True
        # A field holds a name without a sentence around it: its first word is no sentence's beginning.
        return self._attribution.is_foreign(value) or self._attribution.is_foreign(f"it is {value}")

    def _chosen(self, field: SchemaField, value: str) -> Evidence | None:
        """Where no sentence has the value, but one has another of the options, the passages say that other one."""
        holding = self._holding(field, value)
        if holding:
            return self._closest(field, holding)
        if any(self._holding(field, other) for other in field.options - {value}):
            return None
        return self._closest(field, *self._about(field))

    def _holding(self, field: SchemaField, option: str) -> Sequence[_Sentence]:
        words = _spaced(option)
        terms = terms_of(words).all
        if terms:
            return [each for each in self._sentences if terms <= each.terms]
        # "on" and "off" stand in sentences of all kinds.
        about, _ = self._about(field)
        quoted = [self._sentences[each.text] for each in self._phrases.quotations(words, 1.0)]
        return [each for each in quoted if each in about]

    def _about(self, field: SchemaField) -> tuple[Sequence[_Sentence], float]:
        """The sentences that speak of the field more than all others, and what share of its content words they have,
        rare ones weighing more. Its words are those of its name or of its description; where neither says anything in
        the passages' language, those of the question."""
        told = [
            terms_of(text).all - _GENERIC for text in (_spaced(field.name), field.description) if self._is_ours(text)
        ]
        texts = [each.terms for each in self._sentences]
        shares = [0.0] * len(texts)
        for terms in list(filter(None, told)) or [self._asked]:
            rare = rarity(terms, texts)
            whole = sum(rare.values()) or 1.0
            own = (sum(rare[term] for term in terms & held) / whole for held in texts)
            shares = list(map(max, shares, own))
        most = max(shares, default=0.0)
        if most < _LEAST_SHARE:
            return [], 0.0
        best = [each for each, share in zip(self._sentences, shares, strict=True) if most - share < 1e-9]
        return best, round(most, 4)

    def _is_ours(self, text: str) -> bool:
        """Whether the passages could have its words."""
        return (_KANA_OR_KANJI.search(text) is not None) in self._japanese

    def _closest(self, field: SchemaField, sentences: Sequence[_Sentence], score: float = 1.0) -> Evidence | None:
        """The one of these that shares most with the question and with the field's name and description; of equals the
        first, which ranks higher."""
        name, described = terms_of(_spaced(field.name)).all, terms_of(field.description).all
        best: _Sentence | None = None
        most = -1.0
        for sentence in sentences:
            closeness = len((self._asked | described) & sentence.terms) + _FIELD_WEIGHT * len(name & sentence.terms)
            if closeness > most:
                best, most = sentence, closeness
        return None if best is None else Evidence(best.passage, best.span, score)


def _spaced(name: str) -> str:
    """The words of a name as programs write one."""
    return " ".join(_WORDS.findall(_HUMPS.sub(" ", name)))


def _has(facts: Facts, number: Decimal) -> bool:
    return any(each.number == number for each in facts.numbers)


def _is_dated(sentence: _Sentence, year: int, month: int, day: int) -> bool:
    numbers = sentence.facts.numbers
    if {Quantity(Decimal(year), "年"), Quantity(Decimal(month), "月"), Quantity(Decimal(day), "日")} <= numbers:
        return True
    if not 1 <= month <= 12:
        return False
    name = _MONTHS[month - 1]
    word = rf"(?:{name}|{name[:3]}|sept)\.?" if month == 9 else rf"(?:{name}|{name[:3]})\.?"
    ordinal = rf"0?{day}(?:st|nd|rd|th)?"
    forms = (
        rf"{year}(?P<first>[-/.])0?{month}(?P=first)0?{day}",
        rf"0?{day}(?P<second>[/.])0?{month}(?P=second){year}",
        rf"0?{month}/0?{day}/{year}",
        rf"{ordinal}(?:\s+of)?\s+{word},?\s+{year}",
        rf"{word}\s+{ordinal},?\s+{year}",
    )
    return re.search(rf"(?<!\d)(?:{'|'.join(forms)})(?!\d)", sentence.text, re.IGNORECASE) is not None
