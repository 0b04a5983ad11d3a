from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from server.application.query import normalized_query
from server.application.understanding import understand
from server.application.understanding.intent_rules import RULES
from server.application.understanding.intents import intent_of
from server.domain.understanding import Intent
from tests.server.application.understanding.days import TODAY


class Labelled(NamedTuple):
    part: str
    intent: Intent
    language: str
    question: str


def labelled() -> list[Labelled]:
    lines = (Path(__file__).parent / "intents.tsv").read_text(encoding="utf-8").splitlines()
    fields = (line.split("\t") for line in lines if not line.startswith("#"))
    return [Labelled(part, Intent(intent), language, question) for part, intent, language, question in fields]


@pytest.mark.parametrize(("part", "floor"), [("seen", 0.99), ("kept", 0.97)])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_questions_are_understood_as_readers_do(part: str, floor: float, language: str) -> None:
    """Two floors: the rules were fitted to the first part and never to the second."""
    own = [each for each in labelled() if (each.part, each.language) == (part, language)]
    wrong = [
        (each.question, each.intent, found)
        for each in own
        if (found := understand(normalized_query("question", each.question), TODAY).intent) is not each.intent
    ]
    assert 1 - len(wrong) / len(own) >= floor, wrong


def test_the_labelled_questions_are_many_of_every_kind() -> None:
    questions = labelled()
    assert len({each.question for each in questions}) == len(questions) >= 150
    kinds = Counter((each.intent, each.language) for each in questions)
    assert len(kinds) == 2 * len(Intent)
    assert min(kinds.values()) >= 7


@pytest.mark.parametrize("language", RULES)
def test_every_rule_decides_for_some_question(language: str) -> None:
    """A rule that is never the first to fit is noise."""
    own = RULES[language]
    texts = [each.question.casefold() for each in labelled() if each.language == language]
    polite = re.compile(f"^(?:{own.polite})")
    first = {
        next((number for number, (_, rule) in enumerate(own.rules) if re.search(rule, polite.sub("", text))), None)
        for text in texts
    }
    assert first >= set(range(len(own.rules)))


@pytest.mark.parametrize(
    ("question", "intent"),
    [
        ("Wer hat den Vertrag unterschrieben?", Intent.FACTUAL),
        ("Wartungsplan Kessel", Intent.KEYWORD),
        ("merci", Intent.KEYWORD),
        ("次の文章は 間違いです", Intent.KEYWORD),
        ("THANK YOU!!", Intent.CHAT),
        ("What is the world record? thanks", Intent.FACTUAL),
        ("Please, where is the key?", Intent.FACTUAL),
        ("Order of the speakers at the summit", Intent.KEYWORD),
        ("写真を削除してもいいですか", Intent.FACTUAL),
    ],
)
def test_cases_beside_the_rules(question: str, intent: Intent) -> None:
    assert understand(normalized_query("question", question), TODAY).intent is intent


@pytest.mark.parametrize(
    "words", ["thank you ", "all ok no ", "はいありがとう", "delete x ", "is aer than ", "より", "(", "なに"]
)
def test_long_texts_are_read_in_part(words: str) -> None:
    """Ends, above all: patterns that repeat must not try every way to divide a text."""
    text = (words * 500)[:499] + "x"
    assert intent_of(text, "en") in Intent
    assert intent_of(text, "ja") in Intent
