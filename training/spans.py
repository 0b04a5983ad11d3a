"""Trains the model that chooses phrases (`server/application/span_features.py`) on JaQuAD's training questions.

For each question the candidates in its own paragraph's likeliest sentences; those most like an accepted answer
(character F1) are to be chosen. Cross entropy over the candidates, Adagrad, every question once: a second pass learns
the questions by heart (with 5,000 of them, character F1 on held-out ones fell from .562 to .528). What is kept is the
mean of the weights over all steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.suites.answers.scoring import exact, f1
from server.application.evidence import coverages
from server.application.sentences import split_sentences
from server.application.span_features import BUCKETS, VERSION, span_candidates

_RATE = 0.3
_FIRST_SQUARE = 1e-3
_GOOD_ENOUGH = 0.5
"""A question none of whose candidates is as like an answer as this teaches nothing."""
_PARTLY_RIGHT = 0.6
_PARTLY_RIGHT_WEIGHT = 0.15


@dataclass(frozen=True, slots=True)
class SpanQuestion:
    text: str
    answers: tuple[str, ...]
    paragraph: str


@dataclass(frozen=True, slots=True)
class SpanQuality:
    """Means over questions: character F1 and exact match of the chosen phrase, and F1 of the best candidate."""

    questions: int
    f1: float
    exact: float
    best: float


def read_questions(data: Path, part: str, most: int, seed: int) -> list[SpanQuestion]:
    """Of a retrieval set's `part`, those whose paragraph is in its corpus; `most` of them, drawn."""
    paragraphs = {row["_id"]: row["text"] for row in _rows(data / "corpus.jsonl")}
    rows = [row for row in _rows(data / part / "queries.jsonl") if row["gold_paragraph"] in paragraphs]
    order = np.random.default_rng(seed).permutation(len(rows))[:most]
    return [
        SpanQuestion(rows[at]["text"], tuple(rows[at]["answers"]), paragraphs[rows[at]["gold_paragraph"]])
        for at in order
    ]


def learned(questions: Sequence[SpanQuestion]) -> npt.NDArray[np.float32]:
    """float32[BUCKETS]. The same for the same questions in the same order."""
    weights = np.zeros(BUCKETS)
    squares = np.full(BUCKETS, _FIRST_SQUARE)
    late = np.zeros(BUCKETS)
    for step, question in enumerate(questions):
        features, likeness = _candidates(question)
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
        change = -_RATE * gradient / np.sqrt(squares[touched])
        weights[touched] += change
        late[touched] += step * change
    mean: npt.NDArray[np.float32] = (weights - late / max(1, len(questions))).astype(np.float32)
    return mean


def quality(weights: npt.NDArray[np.float32], questions: Sequence[SpanQuestion]) -> SpanQuality:
    chosen, right, best = [], [], []
    for question in questions:
        features, likeness, texts = _candidates_with_texts(question)
        at = int(np.argmax(weights[features].sum(axis=1))) if texts else -1
        chosen.append(likeness[at] if texts else 0.0)
        right.append(bool(texts) and exact(texts[at], question.answers, japanese=True))
        best.append(likeness.max() if texts else 0.0)
    return SpanQuality(len(questions), float(np.mean(chosen)), float(np.mean(right)), float(np.mean(best)))


def save(weights: npt.NDArray[np.float32], path: Path) -> None:
    """In 8 bits a weight; about 100 KB."""
    scale = np.float32(np.abs(weights).max() / 127) or np.float32(1)
    quantized = np.round(weights / scale).astype(np.int8)
    np.savez_compressed(path, version=np.int32(VERSION), scale=scale, quantized=quantized)


def _candidates(question: SpanQuestion) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    features, likeness, _ = _candidates_with_texts(question)
    return features, likeness


def _candidates_with_texts(
    question: SpanQuestion,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], list[str]]:
    spans = split_sentences(question.paragraph)
    sentences = [question.paragraph[span.start : span.end] for span in spans]
    held = coverages(question.text, sentences)
    order = np.argsort(-held, kind="stable").tolist()
    found, features = span_candidates(question.text, [sentences[at] for at in order], [held[at] for at in order])
    texts = [candidate.text for candidate in found]
    return features, np.array([f1(text, question.answers, japanese=True) for text in texts]), texts


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
