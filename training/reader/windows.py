"""Draws what the reader reads: a question, and some sentences that answer it or do not.

Texts that do not answer are the hard ones that are at hand: other paragraphs and sentences that share the question's
words, and other places of the paragraph that answers. None holds an accepted answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from server.application.sentences import split_sentences
from server.domain.passages import TextSpan
from training.reader.mining import mined_paragraphs
from training.reader.questions import ParagraphQuestion, Paragraphs, SentenceQuestion, Sentences, Texts

_PARAGRAPH_CHARACTERS = 140, 400
_SENTENCES_CHARACTERS = 220, 900
"""Windows are as long as the sentences that fit into a number of characters between these."""
_SAME_PARAGRAPH = 0.35
_NEARBY, _LIKELIEST = 40, 8
_ALL_CASED, _QUESTION_CASED = 0.7, 0.8
_WORD = re.compile(r"\w{3,}")


@dataclass(frozen=True, slots=True)
class Window:
    """answer: where in the text the answer stands, in characters, the end exclusive; None if it holds none."""

    question: str
    text: str
    answer: tuple[int, int] | None


class WindowSource(Protocol):
    """Questions of one language. What is drawn depends on `random` alone."""

    @property
    def japanese(self) -> bool: ...

    def __len__(self) -> int: ...

    def answering(self, question: int, random: Random) -> Window | None:
        """From the text that the question was asked of; without an answer only if that has none. None if the sentences
        cannot be told apart where the answer stands."""
        ...

    def silent(self, question: int, random: Random) -> Window | None:
        """A text without an accepted answer; None if none was found."""
        ...


class ParagraphWindows:
    """Sentences that follow each other in a paragraph."""

    japanese = True

    def __init__(self, source: Paragraphs) -> None:
        self._source = source
        self._likely = mined_paragraphs(source)

    def __len__(self) -> int:
        return len(self._source.questions)

    def answering(self, question: int, random: Random) -> Window | None:
        asked = self._source.questions[question]
        text = self._source.texts[asked.paragraph]
        spans = split_sentences(text)
        first = next((at for at, span in enumerate(spans) if span.start <= asked.start < span.end), None)
        if first is None:
            return None
        last = first
        while last + 1 < len(spans) and spans[last].end < asked.end:
            last += 1
        window = _widened(spans, first, last, random.randint(*_PARAGRAPH_CHARACTERS), random)
        if window.end < asked.end:
            return None
        place = asked.start - window.start, asked.end - window.start
        return Window(asked.text, text[window.start : window.end], place)

    def silent(self, question: int, random: Random) -> Window | None:
        asked = self._source.questions[question]
        if random.random() < _SAME_PARAGRAPH:
            own = self._drawn(asked, asked.paragraph, random)
            if own:
                return own
        likely = self._likely[question]
        return self._drawn(asked, random.choice(likely), random) if likely else None

    def _drawn(self, asked: ParagraphQuestion, paragraph: int, random: Random) -> Window | None:
        """Around a sentence without an answer; None if the window holds one after all."""
        text = self._source.texts[paragraph]
        spans = split_sentences(text)
        without = [at for at, span in enumerate(spans) if not _holds(text[span.start : span.end], asked.answers)]
        if not without:
            return None
        at = random.choice(without)
        window = _widened(spans, at, at, random.randint(*_PARAGRAPH_CHARACTERS), random)
        drawn = text[window.start : window.end]
        return None if _holds(drawn, asked.answers) else Window(asked.text, drawn, None)


class SentenceWindows:
    """Sentences that follow each other in the order of the pairs, which leaves out those that nothing was asked of.

    Most are with capitals; some texts and some questions are without, as people write.
    """

    japanese = False

    def __init__(self, source: Sentences) -> None:
        self._source = source
        self._small = tuple(text.lower() for text in source.texts)
        self._words = tuple(frozenset(_WORD.findall(text)) for text in self._small)

    def __len__(self) -> int:
        return len(self._source.questions)

    def answering(self, question: int, random: Random) -> Window | None:
        asked = self._source.questions[question]
        own = asked.sentence
        first, last = self._widened(own, random, lambda _: True)
        before = sum(len(text) + 1 for text in self._source.texts[first:own])
        return self._written(asked, first, last, (before + asked.start, before + asked.end), random)

    def silent(self, question: int, random: Random) -> Window | None:
        asked = self._source.questions[question]
        answer = self._small[asked.sentence][asked.start : asked.end]

        def fits(number: int) -> bool:
            return number != asked.sentence and answer not in self._small[number]

        nearby = range(max(0, asked.sentence - _NEARBY), min(len(self._small), asked.sentence + _NEARBY + 1))
        words = frozenset(_WORD.findall(asked.text.lower()))
        # Of sentences that share as many words, others come first each time.
        ranked = sorted(filter(fits, nearby), key=lambda at: random.random() - len(words & self._words[at]))
        if not ranked:
            return None
        first, last = self._widened(random.choice(ranked[:_LIKELIEST]), random, fits)
        drawn = self._written(asked, first, last, None, random)
        return None if answer in drawn.text.lower() else drawn

    def _widened(self, start: int, random: Random, fits: Callable[[int], bool]) -> tuple[int, int]:
        """The first and the last sentence: others are added on either side until one does not fit."""
        room = random.randint(*_SENTENCES_CHARACTERS) - len(self._small[start])
        first = last = start
        while True:
            before = random.random() < 0.5
            added = first - 1 if before else last + 1
            if not (0 <= added < len(self._small) and len(self._small[added]) <= room and fits(added)):
                return first, last
            room -= len(self._small[added]) + 1
            first, last = min(first, added), max(last, added)

    def _written(
        self, asked: SentenceQuestion, first: int, last: int, answer: tuple[int, int] | None, random: Random
    ) -> Window:
        drawn = random.random()
        small = _ALL_CASED < drawn < _QUESTION_CASED
        texts = self._small if small else self._source.texts
        question = asked.cased if drawn < _QUESTION_CASED else asked.text
        return Window(question, " ".join(texts[first : last + 1]), answer)


class TextWindows:
    """Whole texts, some with another one before or behind them."""

    def __init__(self, source: Texts, joined: float) -> None:
        """joined: the share of those with another one."""
        self.japanese = source.japanese
        self._source = source
        self._joined = joined
        self._between = "" if source.japanese else " "

    def __len__(self) -> int:
        return len(self._source.questions)

    def answering(self, question: int, random: Random) -> Window | None:
        asked = self._source.questions[question]
        window = Window(asked.text, self._source.texts[asked.read], asked.answer)
        other = self.silent(question, random) if random.random() < self._joined else None
        if not other:
            return window
        if random.random() < 0.5:
            return Window(asked.text, window.text + self._between + other.text, asked.answer)
        moved = len(other.text) + len(self._between)
        answer = (asked.answer[0] + moved, asked.answer[1] + moved) if asked.answer else None
        return Window(asked.text, other.text + self._between + window.text, answer)

    def silent(self, question: int, random: Random) -> Window | None:
        """Any other text."""
        asked = self._source.questions[question]
        count = len(self._source.texts)
        if count < 2:
            return None
        other = (asked.read + random.randrange(1, count)) % count
        return Window(asked.text, self._source.texts[other], None)


def _widened(spans: Sequence[TextSpan], first: int, last: int, most: int, random: Random) -> TextSpan:
    """From sentence `first` to `last`, and others on either side, up to one that makes it longer than `most`
    characters."""
    while True:
        sides = [(first - 1, last)] * (first > 0) + [(first, last + 1)] * (last + 1 < len(spans))
        if sides:
            wider = random.choice(sides)
            if spans[wider[1]].end - spans[wider[0]].start <= most:
                first, last = wider
                continue
        return TextSpan(spans[first].start, spans[last].end)


def _holds(text: str, answers: Sequence[str]) -> bool:
    return any(answer in text for answer in answers)
