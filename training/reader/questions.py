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
_QUERIES, _UNANSWERED, _TEXTS = (LABELS / name for name in ("queries.tsv", "unanswered.tsv", "texts.jsonl"))
_ENGLISH = "en"
_LEARNED_SENTENCES = 0.96
_HELD_OUT_STEP = 12
_HELD_OUT_PARAGRAPHS = 60
_HELD_OUT_SEED = 5
"""Not the training's seed: runs that differ by it are measured on the same questions."""


class OtherTexts(ValueError):
    """The data are not those that were labelled."""


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

    names: tuple[str, ...]
    texts: tuple[str, ...]
    questions: tuple[ParagraphQuestion, ...]


@dataclass(frozen=True, slots=True)
class TextQuestion:
    """Of text `read`, which it was written for. answer: where in it the answer stands, in characters; None if it looks
    as if the text answered, and it does not."""

    text: str
    read: int
    answer: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Texts:
    """Of one language; each is read whole."""

    japanese: bool
    texts: tuple[str, ...]
    questions: tuple[TextQuestion, ...]


_Q = TypeVar("_Q", SentenceQuestion, ParagraphQuestion)
_S = TypeVar("_S", Sentences, Paragraphs)


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
    return Paragraphs(tuple(sorted(found)), tuple(everything[name] for name in sorted(found)), tuple(questions))


def read_queries(sentences: Sentences, paragraphs: Paragraphs) -> tuple[Sentences, Paragraphs]:
    """What people may type who look for a whole sentence, as titles, claims and vague needs; see `training/labels/`.
    Raises OtherTexts."""
    places = _Places(sentences, paragraphs)
    english: list[SentenceQuestion] = []
    japanese: list[ParagraphQuestion] = []
    for line in _QUERIES.read_text(encoding="utf-8").splitlines():
        name, start, end, known, _, query = line.split("\t")
        text = places.text(name, int(start), int(end), int(known))
        if name == _ENGLISH:
            english.append(SentenceQuestion(query, query, int(start), 0, len(text)))
        else:
            japanese.append(ParagraphQuestion(query, (text,), places.paragraph(name), int(start), int(end)))
    return replace(sentences, questions=tuple(english)), replace(paragraphs, questions=tuple(japanese))


def read_unanswered(sentences: Sentences, paragraphs: Paragraphs) -> tuple[Texts, Texts]:
    """Questions that their texts do not answer, and seem to; English and Japanese. Raises OtherTexts."""
    places = _Places(sentences, paragraphs)
    found: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
    for line in _UNANSWERED.read_text(encoding="utf-8").splitlines():
        name, start, end, known, question = line.split("\t")
        found[name != _ENGLISH].append((question, places.text(name, int(start), int(end), int(known))))
    english, japanese = (
        Texts(
            bool(number),
            tuple(text for _, text in own),
            tuple(TextQuestion(question, at, None) for at, (question, _) in enumerate(own)),
        )
        for number, own in enumerate(found)
    )
    return english, japanese


def read_texts() -> tuple[Texts, Texts]:
    """Texts that were written with their questions; English and Japanese."""
    rows = list(read_json_lines(_TEXTS))
    english, japanese = (
        Texts(
            language == "ja",
            tuple(row["text"] for row in rows if row["language"] == language),
            tuple(
                TextQuestion(asked["text"], at, tuple(asked["answer"]) if asked["answer"] else None)
                for at, row in enumerate(row for row in rows if row["language"] == language)
                for asked in row["questions"]
            ),
        )
        for language in ("en", "ja")
    )
    return english, japanese


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


def parted_queries(source: _S) -> tuple[_S, _S]:
    """To learn from, and held out: each twelfth. Both have all texts."""
    held_out = source.questions[::_HELD_OUT_STEP]
    learned = tuple(question for at, question in enumerate(source.questions) if at % _HELD_OUT_STEP)
    return replace(source, questions=learned), replace(source, questions=held_out)


def parted_texts(source: Texts) -> tuple[Texts, Texts]:
    """To learn from, and held out: the questions of each twelfth text. Both have all texts."""
    held_out = tuple(question for question in source.questions if question.read % _HELD_OUT_STEP == 0)
    learned = tuple(question for question in source.questions if question.read % _HELD_OUT_STEP)
    return replace(source, questions=learned), replace(source, questions=held_out)


class _Places:
    """Finds what labels speak of. Where in English texts: the numbers of sentences; in Japanese ones: a paragraph's
    name, and characters."""

    def __init__(self, sentences: Sentences, paragraphs: Paragraphs) -> None:
        self._sentences = sentences.texts
        self._paragraphs = paragraphs.texts
        self._numbers = {name: number for number, name in enumerate(paragraphs.names)}

    def paragraph(self, name: str) -> int:
        return self._numbers[name]

    def text(self, name: str, start: int, end: int, known: int) -> str:
        if name == _ENGLISH:
            text = " ".join(self._sentences[start:end])
        else:
            text = self._paragraphs[self._numbers[name]][start:end] if name in self._numbers else ""
        if zlib.crc32(text.lower().encode()) & 0xFFFF != known:
            raise OtherTexts(f"the data have another text at {name} {start} than the one that was labelled")
        return text


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
