"""Trains the models that choose phrases (`server/application/span_model.py`).

Japanese: on JaQuAD's training questions, the candidates in the likeliest sentences of each one's own paragraph.
English: on questions of SQuAD's training set that came with the sentence that answers each, but without answers; in
some of those sentences the answer was marked for this project (`labels/`). Two other sentences from nearby stand
beside it.

The candidates most like an accepted answer (F1) are to be chosen. Cross entropy over the candidates, Adagrad. What is
kept is the mean of the weights over all steps. Every Japanese question counts once: a second pass learns the questions
by heart (with 5,000 of them, character F1 on held-out ones fell from .562 to .528).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.suites.answers.scoring import exact, f1
from server.application.evidence import coverages
from server.application.sentences import split_sentences
from server.application.span_candidates import BUCKETS
from server.application.span_model import SPAN_LANGUAGES
from training.casing import Casing
from training.json_lines import read_json_lines
from training.marked_pairs import FIRST_MARKS, Mark, Pair, checked, read_casing, read_marks, read_pairs

_FIRST_SQUARE = 1e-3
_GOOD_ENOUGH = 0.5
"""A question none of whose candidates is as like an answer as this teaches nothing."""
_PARTLY_RIGHT = 0.6
_PARTLY_RIGHT_WEIGHT = 0.15
_NEARBY, _BESIDE = 12, 2
"""Of the sentences of so many pairs on each side, the likeliest stand beside the one that answers."""


@dataclass(frozen=True, slots=True)
class SpanLearning:
    rate: float
    passes: int


LEARNING = {"en": SpanLearning(rate=0.1, passes=3), "ja": SpanLearning(rate=0.3, passes=1)}


@dataclass(frozen=True, slots=True)
class SpanQuestion:
    """`answering`: the number of the sentence that an answer has to stand in; None for any."""

    language: str
    text: str
    answers: tuple[str, ...]
    sentences: tuple[str, ...]
    answering: int | None = None


@dataclass(frozen=True, slots=True)
class SpanQuality:
    """Means over questions: F1 and exact match of the chosen phrase, and F1 of the best candidate."""

    questions: int
    f1: float
    exact: float
    best: float


def read_questions(data: Path, part: str, most: int, seed: int) -> list[SpanQuestion]:
    """Of a Japanese retrieval set's `part`, those whose paragraph is in its corpus; `most` of them, drawn."""
    paragraphs = {row["_id"]: row["text"] for row in read_json_lines(data / "corpus.jsonl")}
    rows = [row for row in read_json_lines(data / part / "queries.jsonl") if row["gold_paragraph"] in paragraphs]
    order = np.random.default_rng(seed).permutation(len(rows))[:most]
    return [
        SpanQuestion("ja", row["text"], tuple(row["answers"]), _sentences(paragraphs[row["gold_paragraph"]]))
        for row in (rows[at] for at in order)
    ]


def read_labelled(data: Path, most: int, seed: int, labels: Path = FIRST_MARKS) -> list[SpanQuestion]:
    """Of the pairs in `data`/train_pairs, those with a label; `most` of them, drawn. Their texts are in small letters;
    the corpora in `data` tell which words are names. Raises OtherPairs."""
    pairs = read_pairs(data)
    casing = read_casing(data)
    marked = read_marks(labels)
    order = np.random.default_rng(seed).permutation(len(marked))[:most]
    return [_labelled(pairs, marked[at], casing) for at in order]


def learned(questions: Sequence[SpanQuestion]) -> npt.NDArray[np.float32]:
    """float32[BUCKETS], for questions of one language. The same for the same questions in the same order."""
    options = LEARNING[questions[0].language]
    weights = np.zeros(BUCKETS)
    squares = np.full(BUCKETS, _FIRST_SQUARE)
    late = np.zeros(BUCKETS)
    for step, (features, likeness) in enumerate(_lessons(questions, options.passes)):
        if not len(likeness) or likeness.max() < _GOOD_ENOUGH:
            continue
        wanted = (likeness >= likeness.max() - 1e-9) + np.where(
            likeness > _PARTLY_RIGHT, _PARTLY_RIGHT_WEIGHT * likeness, 0.0
        )
        logits = weights[features].sum(axis=1)
        odds = np.exp(logits - logits.max())
        error = odds / odds.sum() - wanted / wanted.sum()
        touched, inverse = np.unique(features.ravel(), return_inverse=True)
        gradient = np.bincount(inverse, np.repeat(error, features.shape[1]))
        squares[touched] += gradient**2
        change = -options.rate * gradient / np.sqrt(squares[touched])
        weights[touched] += change
        late[touched] += step * change
    mean: npt.NDArray[np.float32] = (weights - late / max(1, options.passes * len(questions))).astype(np.float32)
    return mean


def _lessons(
    questions: Sequence[SpanQuestion], passes: int
) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]]:
    """Every question's candidates in each pass, in the given order first and then in others."""
    kept: dict[int, tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]] = {}
    for turn in range(passes):
        order = np.random.default_rng(turn).permutation(len(questions)).tolist() if turn else range(len(questions))
        for number in order:
            if number not in kept:
                features, likeness, _ = _candidates(questions[number])
                kept[number] = features, likeness
            yield kept[number] if turn + 1 < passes else kept.pop(number)


def quality(weights: npt.NDArray[np.float32], questions: Sequence[SpanQuestion]) -> SpanQuality:
    chosen, right, best = [], [], []
    for question in questions:
        features, likeness, texts = _candidates(question)
        at = int(np.argmax(weights[features].sum(axis=1))) if texts else -1
        chosen.append(likeness[at] if texts else 0.0)
        japanese = question.language == "ja"
        right.append(bool(texts) and likeness[at] > 0 and exact(texts[at], question.answers, japanese=japanese))
        best.append(likeness.max() if texts else 0.0)
    return SpanQuality(len(questions), float(np.mean(chosen)), float(np.mean(right)), float(np.mean(best)))


def save(language: str, weights: npt.NDArray[np.float32], path: Path) -> None:
    """In 8 bits a weight; about 100 KB."""
    scale = np.float32(np.abs(weights).max() / 127) or np.float32(1)
    quantized = np.round(weights / scale).astype(np.int8)
    version = np.int32(SPAN_LANGUAGES[language].version)
    np.savez_compressed(path, version=version, scale=scale, quantized=quantized)


def _candidates(
    question: SpanQuestion,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], list[str]]:
    """Their features, how like an answer they are, and their texts."""
    held = coverages(question.text, question.sentences)
    order = np.argsort(-held, kind="stable").tolist()
    found, features = SPAN_LANGUAGES[question.language].candidates(
        question.text, [question.sentences[at] for at in order], [held[at] for at in order]
    )
    japanese = question.language == "ja"
    likeness = [
        f1(each.text, question.answers, japanese=japanese)
        if question.answering in (None, order[each.sentence])
        else 0.0
        for each in found
    ]
    return features, np.array(likeness), [each.text for each in found]


def _labelled(pairs: Sequence[Pair], mark: Mark, casing: Casing) -> SpanQuestion:
    question, answering = checked(pairs, mark)
    nearby = pairs[max(0, mark.line - _NEARBY) : mark.line + _NEARBY + 1]
    others = [text for text in dict.fromkeys(pair.positive for pair in nearby) if text != answering]
    order = np.argsort(-coverages(question, [answering, *others])[1:], kind="stable")[:_BESIDE].tolist()
    sentences = tuple(casing.restored(text) for text in (answering, *(others[at] for at in order)))
    return SpanQuestion("en", question, (answering[mark.start : mark.end],), sentences, answering=0)


def _sentences(paragraph: str) -> tuple[str, ...]:
    return tuple(paragraph[span.start : span.end] for span in split_sentences(paragraph))
