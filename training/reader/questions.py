"""What the reader learns from: questions, the texts that they are asked of, and where in these the answers stand."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TypeVar

from server.application.evidence import coverages
from server.application.sentences import split_sentences
from training.json_lines import read_json_lines
from training.marked_pairs import FIRST_MARKS, LABELS, SECOND_MARKS, checked, read_casing, read_marks, read_pairs

_KEPT_BACK = LABELS / "kept_back.txt"
_LEARNED_SENTENCES = 0.96
_HELD_OUT_PARAGRAPHS = 60
_HELD_OUT_SEED = 5
"""Not the training's seed: runs that differ by it are measured on the same questions."""


@dataclass(frozen=True, slots=True)
class SentenceQuestion:
    """English. `text` is in small letters, as it came; `cased` has capitals. The answer stands in sentence `sentence`,
    from character `start` to `end`."""

    text: str
    cased: str
    sentence: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentences:
    """With capitals, each once, in the order of the articles that they are from."""

    texts: tuple[str, ...]
    questions: tuple[SentenceQuestion, ...]


@dataclass(frozen=True, slots=True)
class ParagraphQuestion:
    """Japanese. An answer stands in paragraph `paragraph`, from character `start` to `end`; `answers` are all that are
    accepted."""

    text: str
    answers: tuple[str, ...]
    paragraph: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Paragraphs:
    """In the order of their names, which is that of the articles."""

    texts: tuple[str, ...]
    questions: tuple[ParagraphQuestion, ...]


_Q = TypeVar("_Q", SentenceQuestion, ParagraphQuestion)


def read_sentences(data: Path) -> Sentences:
    """SQuAD's training questions with a marked answer; see `training/labels/`. Raises OtherPairs."""
    pairs, casing = read_pairs(data), read_casing(data)
    numbers = {text: number for number, text in enumerate(dict.fromkeys(pair.positive for pair in pairs))}
    marked = ((checked(pairs, mark), mark) for mark in read_marks(FIRST_MARKS, SECOND_MARKS))
    questions = tuple(
        SentenceQuestion(pair.query, casing.restored(pair.query), numbers[pair.positive], mark.start, mark.end)
        for pair, mark in marked
    )
    return Sentences(tuple(map(casing.restored, numbers)), questions)


def read_paragraphs(folder: Path) -> Paragraphs:
    """A set's training questions, such as JaQuAD's, whose answer stands in their own paragraph; of several places, in
    the sentence that shares most with the question."""
    everything = {row["_id"]: row["text"] for row in read_json_lines(folder / "corpus.jsonl")}
    found: dict[str, list[ParagraphQuestion]] = {}
    for row in read_json_lines(folder / "train" / "queries.jsonl"):
        name, answers = row["gold_paragraph"], tuple(row["answers"])
        place = _likeliest_place(row["text"], answers, everything.get(name, ""))
        if place:
            found.setdefault(name, []).append(ParagraphQuestion(row["text"], answers, 0, *place))
    questions = [
        replace(question, paragraph=number) for number, name in enumerate(sorted(found)) for question in found[name]
    ]
    return Paragraphs(tuple(everything[name] for name in sorted(found)), tuple(questions))


def parted_sentences(source: Sentences) -> tuple[Sentences, Sentences]:
    """To learn from, and held out: the questions of the last sentences, which are of other articles. Both have all
    texts."""
    first = len(source.texts) * _LEARNED_SENTENCES
    held_out = tuple(question for question in source.questions if question.sentence >= first)
    learned = tuple(question for question in source.questions if question.sentence < first)
    return replace(source, questions=_allowed(learned)), replace(source, questions=held_out)


def parted_paragraphs(source: Paragraphs) -> tuple[Paragraphs, Paragraphs]:
    """To learn from, and held out: the questions of drawn paragraphs. Both have all texts."""
    count = len(source.texts)
    drawn = frozenset(Random(_HELD_OUT_SEED).sample(range(count), min(_HELD_OUT_PARAGRAPHS, count // 2)))
    held_out = tuple(question for question in source.questions if question.paragraph in drawn)
    learned = tuple(question for question in source.questions if question.paragraph not in drawn)
    return replace(source, questions=_allowed(learned)), replace(source, questions=held_out)


def _likeliest_place(question: str, answers: Sequence[str], text: str) -> tuple[int, int] | None:
    places = [found.span() for answer in answers for found in re.finditer(re.escape(answer), text)]
    if len(places) < 2:
        return places[0] if places else None
    sentences = split_sentences(text)
    shared = coverages(question, [text[span.start : span.end] for span in sentences])

    def share(place: tuple[int, int]) -> float:
        held = (share for span, share in zip(sentences, shared, strict=True) if span.start <= place[0] < span.end)
        # Sums over sets differ in their last digits from one process to the next.
        return round(max(held, default=0.0), 9)

    return max(places, key=share)


def _allowed(questions: Sequence[_Q]) -> tuple[_Q, ...]:
    """Without those that are kept back (`training/labels/`)."""
    kept_back = frozenset(int(line, 16) for line in _KEPT_BACK.read_text(encoding="ascii").split())
    return tuple(each for each in questions if zlib.crc32(each.text.strip().lower().encode()) not in kept_back)
