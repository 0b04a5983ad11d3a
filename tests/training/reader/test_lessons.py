"""Windows as token ids, with the tokenizer that serves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from random import Random

import numpy as np
import pytest

from tests.training.reader.made_up import no_network, paragraphs, sentences, tiny_tokenizer
from tests.triton.tiny_e5 import PIECES
from training.reader.lessons import Lesson, LessonOptions, LessonSource, NoLessons, Pairing, lesson_batches, lesson_of
from training.reader.questions import Paragraphs
from training.reader.windows import ParagraphWindows, SentenceWindows, Window, WindowSource
from triton_models.read.reader import Reader, ReaderOptions
from triton_models.read.reader import Window as TokenWindow

_OPTIONS = LessonOptions(tokens=600, drawn=20)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pairing:
    tokenizer = tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    return Reader(no_network, tokenizer, ReaderOptions()).first_window


class Counted:
    """Draws from `inner`, and counts for each question how often."""

    def __init__(self, inner: WindowSource) -> None:
        self._inner = inner
        self.japanese = inner.japanese
        self.drawn: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._inner)

    def answering(self, question: int, random: Random) -> Window | None:
        self.drawn[question] += 1
        return self._inner.answering(question, random)

    def silent(self, question: int, random: Random) -> Window | None:
        self.drawn[question] += 1
        return self._inner.silent(question, random)


def spelled(lesson: Lesson) -> str:
    return "".join(PIECES[token] for token in lesson.ids[lesson.start : lesson.end + 1]).replace("▁", " ").strip()


def test_the_tokens_of_an_answer_spell_it(pair: Pairing) -> None:
    source, random = SentenceWindows(sentences()), Random(2)
    found = 0
    for question in [*range(len(source))] * 10:
        window = source.answering(question, random)
        assert window and window.answer
        lesson = lesson_of(window, pair)
        if lesson:
            assert spelled(lesson) == window.text[slice(*window.answer)] and lesson.start >= lesson.first
            found += 1
    assert found > 20


def test_the_tokens_of_an_answer_hold_it_where_one_stands_for_more(pair: Pairing) -> None:
    """Characters that the tokenizer does not know are one token, with those beside them."""
    source, random = ParagraphWindows(paragraphs()), Random(2)
    for question in range(len(source)):
        window = source.answering(question, random)
        assert window and window.answer
        lesson = lesson_of(window, pair)
        assert lesson
        places = pair(window.question, window.text).places
        held = places[lesson.start - lesson.first, 0], places[lesson.end - lesson.first, 1]
        assert held[0] <= window.answer[0] < window.answer[1] <= held[1]


def test_without_an_answer_the_first_token_is_right(pair: Pairing) -> None:
    lesson = lesson_of(Window("who?", "It was built in 1931.", None), pair)
    assert lesson and (lesson.start, lesson.end) == (0, 0) and lesson.ids[lesson.first - 1] == 2


def test_an_answer_that_is_cut_off_teaches_nothing(pair: Pairing) -> None:
    text = "letters " * 60
    assert lesson_of(Window("what?", text, (400, 407)), pair) is None
    assert lesson_of(Window("what?", text, (8, 15)), pair) is not None


def test_batches_are_the_seeds_and_have_room_for_their_tokens(pair: Pairing) -> None:
    def batches(seed: int, count: int) -> list[list[Lesson]]:
        sources = [
            LessonSource(SentenceWindows(sentences()), 0.5, silent=0.33),
            LessonSource(ParagraphWindows(paragraphs()), 0.5, silent=0.33),
        ]
        return list(islice(lesson_batches(sources, pair, replace(_OPTIONS, seed=seed)), count))

    some = batches(1, 12)
    assert batches(1, 12) == some != batches(2, 12)
    for batch in some:
        assert len(batch) == 1 or len(batch) * max(len(lesson.ids) for lesson in batch) <= _OPTIONS.tokens
    assert sum(len(batch) > 1 for batch in some) > 6
    lessons = [lesson for batch in some for lesson in batch]
    assert 0.2 < sum(lesson.start == 0 for lesson in lessons) / len(lessons) < 0.5


def test_every_question_comes_once_before_one_comes_again(pair: Pairing) -> None:
    source = Counted(ParagraphWindows(paragraphs()))
    batches = lesson_batches([LessonSource(source, 1.0, silent=0.3)], pair, _OPTIONS)
    for _ in range(30):
        next(batches)
        assert len(source.drawn) == len(source) and max(source.drawn.values()) - min(source.drawn.values()) <= 1


def test_sources_come_by_their_shares(pair: Pairing) -> None:
    sources = Counted(SentenceWindows(sentences())), Counted(ParagraphWindows(paragraphs()))
    shared = [LessonSource(source, share, silent=0.2) for source, share in zip(sources, (1, 3), strict=True)]
    next(lesson_batches(shared, pair, LessonOptions(drawn=400)))
    assert 0.15 < sources[0].drawn.total() / (sources[0].drawn.total() + sources[1].drawn.total()) < 0.35


def test_data_that_teach_nothing_are_refused(pair: Pairing) -> None:
    def unread(question: str, text: str) -> TokenWindow:
        return TokenWindow(0, [0, 2, 2, 2], 3, np.empty((0, 2), np.int32))

    for source, pairing in ((Paragraphs((), (), ()), pair), (paragraphs(), unread)):
        with pytest.raises(NoLessons, match="look at the data"):
            next(lesson_batches([LessonSource(ParagraphWindows(source), 1.0, silent=0.0)], pairing, _OPTIONS))
