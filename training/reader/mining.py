"""Paragraphs that share a question's words and do not answer it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from training.mining import best_columns
from training.reader.questions import Paragraphs

_AT_ONCE = 500
_LOOKED_AT, _KEPT = 12, 8
_B = 0.4
_SPACE = re.compile(r"\s")


def mined_paragraphs(source: Paragraphs) -> tuple[tuple[int, ...], ...]:
    """For every question those of the 12 likeliest paragraphs that are not its own and hold no accepted answer, the
    likeliest first; 8 at most.

    Likeness is BM25's over pairs of neighbouring characters, each counted once (Robertson and Zaragoza, 2009, section
    3.4, with k1 = 0 but for the length of the paragraph). Cost: a matrix of questions times paragraphs, 500 questions
    at a time.
    """
    if not source.texts:
        return ()
    numbers: dict[str, int] = {}
    for text in source.texts:
        for pair in _pairs(text):
            numbers.setdefault(pair, len(numbers))
    held = _matrix(source.texts, numbers)
    having = np.asarray(held.sum(axis=0)).ravel()
    rarity = np.maximum(np.log((len(source.texts) + 1) / (having + 0.5)), 0).astype(np.float32)
    lengths = np.asarray(held.sum(axis=1)).ravel()
    shrunk = 1 / (1 - _B + _B * lengths / lengths.mean())
    weights = (sparse.diags(shrunk) @ held @ sparse.diags(rarity)).T.tocsr()
    found: list[tuple[int, ...]] = []
    for start in range(0, len(source.questions), _AT_ONCE):
        questions = source.questions[start : start + _AT_ONCE]
        scores = (_matrix([each.text for each in questions], numbers) @ weights).toarray()
        for question, likely in zip(questions, best_columns(scores, _LOOKED_AT).tolist(), strict=True):
            others = (number for number in likely if number != question.paragraph)
            silent = [each for each in others if not any(answer in source.texts[each] for answer in question.answers)]
            found.append(tuple(silent[:_KEPT]))
    return tuple(found)


def _pairs(text: str) -> dict[str, None]:
    """Each once, in the order of the text."""
    plain = _SPACE.sub("", text)
    return dict.fromkeys(plain[at : at + 2] for at in range(len(plain) - 1))


def _matrix(texts: Sequence[str], numbers: dict[str, int]) -> sparse.csr_matrix:
    """float32[texts, pairs]: 1 where a text has a pair of characters that has a number."""
    columns = [[numbers[pair] for pair in _pairs(text) if pair in numbers] for text in texts]
    starts = np.cumsum([0, *map(len, columns)])
    ones = np.ones(starts[-1], np.float32)
    joined = np.concatenate([np.array(row, np.int32) for row in columns])
    return sparse.csr_matrix((ones, joined, starts), shape=(len(texts), len(numbers)))
