"""What kind of answer a question wants, by rules."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from server.application.understanding.intent_rules import RULES, IntentRules
from server.domain.understanding import Intent

_WORDS_OF_A_SENTENCE = 6
"""In a language without rules, a text of so many words, or with a question mark, is a question for a fact."""

_HEAD, _TAIL = 160, 80
"""Of longer texts only the beginning and the end are read: an intent is said there, and patterns backtrack."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    polite: re.Pattern[str]
    rules: tuple[tuple[Intent, re.Pattern[str]], ...]
    sentence: re.Pattern[str]


def intent_of(query: str, language: str) -> Intent:
    """query: normalized. Cost: some 50 us for a question, some milliseconds at worst."""
    text = query.casefold()
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} {text[-_TAIL:]}"
    if language not in RULES and ("?" in text or text.count(" ") + 1 >= _WORDS_OF_A_SENTENCE):
        return Intent.FACTUAL
    # Of so few words the language is a guess.
    compiled = _compiled(language if language in RULES else "en")
    text = compiled.polite.sub("", text, count=1)
    for intent, pattern in compiled.rules:
        if pattern.search(text):
            return intent
    return Intent.FACTUAL if compiled.sentence.search(text) else Intent.KEYWORD


@functools.cache
def _compiled(language: str) -> _Compiled:
    rules: IntentRules = RULES[language]
    return _Compiled(
        re.compile(f"^(?:{rules.polite})"),
        tuple((intent, re.compile(pattern)) for intent, pattern in rules.rules),
        re.compile(rules.sentence),
    )
