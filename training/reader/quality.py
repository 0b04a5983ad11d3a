"""How well a network reads what it did not learn from, by the code that serves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from bench.suites.answers.scoring import exact, f1
from training.reader.windows import Window, WindowSource
from triton_models.read.reader import Reader, Span

_DRAWN_SEED, _WINDOW_SEED = 9, 3
"""Not the training's: runs that differ by it are measured on the same windows."""


class NothingHeldOut(ValueError):
    """There is nothing to measure with."""


@dataclass(frozen=True, slots=True)
class ReadingQuality:
    """f1, exact: means of the best span in windows that answer, whatever its score. auc: how often a window that
    answers has a greater score than one that does not. answered, refused: the shares of windows that answer with a
    score above 0, and of others with one below."""

    answering: int
    silent: int
    f1: float
    exact: float
    auc: float
    answered: float
    refused: float


def reading_quality(reader: Reader, source: WindowSource, most: int, *, others: bool = True) -> ReadingQuality:
    """On `most` of the source's questions, drawn, or on all: each with a window of its own and one of another text, as
    far as they can be drawn; without the latter if not `others`. Raises NothingHeldOut."""
    drawn = Random(_DRAWN_SEED).sample(range(len(source)), min(most, len(source)))
    random = Random(_WINDOW_SEED)
    windows = [source.answering(question, random) for question in drawn]
    windows += [source.silent(question, random) for question in drawn] if others else []
    answering = [window for window in windows if window and window.answer]
    silent = [window for window in windows if window and not window.answer]
    if not answering or not silent:
        raise NothingHeldOut("no window could be drawn from the questions that are held out: look at the data")
    found = _best(reader, answering)
    said = [window.text[span.start : span.end] for window, span in zip(answering, found, strict=True)]
    right = [window.text[slice(*window.answer)] for window in answering if window.answer]
    pairs = [(one, [accepted]) for one, accepted in zip(said, right, strict=True)]
    above, below = _scores(found), _scores(_best(reader, silent))
    return ReadingQuality(
        answering=len(answering),
        silent=len(silent),
        f1=float(np.mean([f1(*pair, japanese=source.japanese) for pair in pairs])),
        exact=float(np.mean([exact(*pair, japanese=source.japanese) for pair in pairs])),
        auc=float((above[:, None] > below).mean()),
        answered=float((above > 0).mean()),
        refused=float((below < 0).mean()),
    )


def _best(reader: Reader, windows: Sequence[Window]) -> list[Span]:
    """An empty span for a text without words."""
    readings = reader.read([window.question for window in windows], [window.text for window in windows])
    return [reading.spans[0] if reading and reading.spans else Span(0, 0, -np.inf) for reading in readings]


def _scores(spans: Sequence[Span]) -> npt.NDArray[np.float64]:
    return np.array([span.score for span in spans])
