"""Passages that look like an answer and are none: hard negatives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from training.examples import Examples
from training.tokens import TokenVectors

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_K1, _B = 0.9, 0.4
_QUESTIONS_AT_ONCE = 512
_PIECES = 250_112
"""More than any id of the tokenizer."""


def mined(
    examples: Examples, questions: TokenVectors, passages: TokenVectors, each: int, neighbours: int
) -> tuple[Rows, ...]:
    """For every question rows of passages that do not answer it, each once: the first `each` by embedding, the first
    `each` by BM25, and those at most `neighbours` places away from an answer, which are mostly of its document.

    Cost: a matrix of questions times passages, 512 questions at a time.
    """
    lexical, asked = bm25(passages), counts(questions).sign()
    found: list[Rows] = []
    for start in range(0, len(examples.questions), _QUESTIONS_AT_ONCE):
        rows = slice(start, start + _QUESTIONS_AT_ONCE)
        near = best_columns(questions.embeddings[rows] @ passages.embeddings.T, each)
        alike = best_columns((asked[rows] @ lexical.T).toarray(), each)
        for question, by_vector, by_words in zip(examples.questions[rows], near, alike, strict=True):
            around = [
                row
                for answer in sorted(question.answered_by)
                for row in range(max(0, answer - neighbours), min(len(examples.passages), answer + neighbours + 1))
            ]
            candidates = dict.fromkeys([*by_vector.tolist(), *by_words.tolist(), *around])
            found.append(np.array([row for row in candidates if row not in question.answered_by], np.int64))
    return tuple(found)


def bm25(passages: TokenVectors) -> sparse.csr_matrix:
    """float32[passages, pieces]: what each piece of the tokenizer adds to a passage's score (Robertson and Zaragoza,
    "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, section 3.4). Pieces stand for words: they are there
    for every language."""
    times = counts(passages)
    lengths = np.asarray(times.sum(axis=1)).ravel()
    having = np.asarray(times.sign().sum(axis=0)).ravel()
    rarity = np.log1p((times.shape[0] - having + 0.5) / (having + 0.5))
    entries = times.tocoo()
    norm = _K1 * (1 - _B + _B * lengths[entries.row] / lengths.mean())
    weights = rarity[entries.col] * entries.data * (_K1 + 1) / (entries.data + norm)
    return sparse.csr_matrix((weights.astype(np.float32), (entries.row, entries.col)), shape=times.shape)


def counts(texts: TokenVectors) -> sparse.csr_matrix:
    """float32[texts, pieces]: how often each piece of the tokenizer occurs, in capitals or not."""
    starts = np.cumsum([0, *map(len, texts.folded)])
    ids = np.concatenate(texts.folded)
    times = sparse.csr_matrix((np.ones(len(ids), np.float32), ids, starts), shape=(len(texts.folded), _PIECES))
    times.sum_duplicates()
    return times


def best_columns(scores: Floats, count: int) -> Rows:
    """int64[q, count] or fewer, the greatest first."""
    count = min(count, scores.shape[1])
    chosen = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, chosen, 1), axis=1, kind="stable")
    best: Rows = np.take_along_axis(chosen, order, 1)
    return best
