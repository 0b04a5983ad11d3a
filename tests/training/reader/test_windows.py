"""Windows: where their answers stand, and that others hold none."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

import pytest

from tests.training.reader.made_up import paragraphs, sentences, texts
from training.reader.mining import mined_paragraphs
from training.reader.questions import Paragraphs, Sentences
from training.reader.windows import ParagraphWindows, SentenceWindows, TextWindows, Window, WindowSource

_DRAWS = 60


def sources() -> list[tuple[WindowSource, list[tuple[str, ...]]]]:
    """With the accepted answers of each question."""
    english: list[tuple[str, ...]] = [
        (sentences().texts[each.sentence][each.start : each.end],) for each in sentences().questions
    ]
    japanese = [each.answers for each in paragraphs().questions]
    return [(SentenceWindows(sentences()), english), (ParagraphWindows(paragraphs()), japanese)]


def drawn(source: WindowSource, seed: int) -> Iterator[tuple[int, Window | None, Window | None]]:
    """With the number of the question: windows that answer, and that do not."""
    random = Random(seed)
    for _ in range(_DRAWS):
        for question in range(len(source)):
            yield question, source.answering(question, random), source.silent(question, random)


@pytest.mark.parametrize("number", [0, 1])
def test_answers_stand_where_windows_say_and_nowhere_else(number: int) -> None:
    source, answers = sources()[number]
    seen, others = set(), set()
    for question, answering, silent in drawn(source, seed=3):
        assert answering and answering.answer
        said = answering.text[slice(*answering.answer)]
        assert said.lower() in [each.lower() for each in answers[question]]
        seen.add(answering.text)
        if silent:
            assert silent.answer is None
            assert not any(each.lower() in silent.text.lower() for each in answers[question])
            others.add((question, silent.text))
    assert len(seen) > 3 * len(source) and len(others) > 3 * len(source)
    assert len({question for question, _ in others}) == len(source)


@pytest.mark.parametrize("number", [0, 1])
def test_the_seed_decides_what_is_drawn(number: int) -> None:
    (source, _), (again, _) = sources()[number], sources()[number]
    first, same, other = (list(islice(drawn(*each), 100)) for each in ((source, 3), (again, 3), (source, 4)))
    assert first == same != other


def test_windows_are_whole_sentences_of_one_paragraph() -> None:
    whole = paragraphs().texts
    same = other = 0
    for question, answering, silent in drawn(ParagraphWindows(paragraphs()), seed=5):
        own = whole[paragraphs().questions[question].paragraph]
        assert answering and answering.text in own and answering.text.endswith("。") and len(answering.text) <= 400
        if silent:
            assert silent.text.endswith("。") and any(silent.text in text for text in whole)
            same, other = same + (silent.text in own), other + (silent.text not in own)
    assert same > 20 and other > 20


def test_some_windows_are_in_small_letters_and_some_questions() -> None:
    windows = [answering for _, answering, _ in drawn(SentenceWindows(sentences()), seed=6) if answering]
    small = [(each.question.islower(), each.text.islower()) for each in windows]
    assert {(False, False), (True, False), (False, True)} == set(small)
    assert 0.6 < small.count((False, False)) / len(small) < 0.8


def test_mined_paragraphs_are_like_the_question_and_do_not_answer_it() -> None:
    read = (
        "灯台守は榊原直樹である。",
        "灯台守の給料は安い。",
        "榊原直樹は昔の灯台守の孫である。",
        "魚市場は朝に開く。",
    )
    question = paragraphs().questions[0]
    names = tuple("abcd")
    [own] = mined_paragraphs(Paragraphs(names, read, (question,)))
    assert own[0] == 1 and set(own) == {1, 3}


def test_questions_for_which_nothing_fits_have_no_window() -> None:
    question = paragraphs().questions[0]
    alone = ParagraphWindows(Paragraphs(("a",), ("榊原直樹が灯台守である。",), (question,)))
    assert alone.silent(0, Random(1)) is None
    [asked] = sentences().questions[:1]
    single = SentenceWindows(Sentences(sentences().texts[:1], (asked,)))
    assert single.silent(0, Random(1)) is None
    window = single.answering(0, Random(1))
    assert window and window.text.lower() == sentences().texts[0].lower()


@pytest.mark.parametrize("japanese", [False, True])
def test_texts_are_read_whole_and_some_beside_another(japanese: bool) -> None:
    source = texts(japanese=japanese)
    alone = joined = before = 0
    for question, answering, silent in drawn(TextWindows(source, joined=0.5), seed=7):
        asked = source.questions[question]
        own = source.texts[asked.read]
        assert answering and own in answering.text and answering.question == asked.text
        if asked.answer:
            assert answering.answer and answering.text[slice(*answering.answer)] == own[slice(*asked.answer)]
        else:
            assert answering.answer is None
        alone, joined = alone + (answering.text == own), joined + (len(answering.text) > len(own))
        before += answering.text.endswith(own) and answering.text != own
        assert silent and silent.answer is None and silent.text in source.texts and silent.text != own
    assert min(alone, joined) > 0.4 * (alone + joined) and 0.4 < before / joined < 0.6
    never = [answering for _, answering, _ in drawn(TextWindows(source, joined=0), seed=7)]
    assert all(window and window.text in source.texts for window in never)
