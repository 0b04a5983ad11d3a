"""Windows as token ids, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from training.reader.windows import Window, WindowSource
from triton_models.embed.encoder import batches_by_length
from triton_models.read.reader import Window as TokenWindow

_DRAWS = 100
"""For a place in a draw, at most: questions may be such that nothing can be drawn for them."""

Pairing = Callable[[str, str], TokenWindow]
"""What the network is given of a question and a text: `triton_models.read.reader.Reader.first_window`."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """Tokens `start` to `end` (inclusive, indices into `ids`) are the answer; both 0 say that there is none. The text's
    tokens are those from `first` on, but the last."""

    ids: list[int]
    first: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LessonOptions:
    """A batch has at most `tokens` tokens, padding included; `drawn` windows at once are put in batches of like
    lengths."""

    tokens: int = 3_000
    drawn: int = 160
    seed: int = 1


@dataclass(frozen=True, slots=True)
class LessonSource:
    """share: of what is drawn, in proportion to the other sources'. silent: the share of its windows that are from
    other texts than the question's."""

    windows: WindowSource
    share: float
    silent: float


class NoLessons(ValueError):
    """Nothing could be drawn."""


def lesson_of(window: Window, pair: Pairing) -> Lesson | None:
    """None if the answer is cut off, or stands in no token."""
    tokens = pair(window.question, window.text)
    if window.answer is None:
        return Lesson(tokens.ids, tokens.first, 0, 0)
    start, end = window.answer
    # A token may stand for more than is asked for, and for none.
    starts, ends = tokens.places.T
    held = np.flatnonzero((starts < ends) & (starts < end) & (ends > start))
    if not len(held) or ends.max() < end:
        return None
    return Lesson(tokens.ids, tokens.first, tokens.first + int(held[0]), tokens.first + int(held[-1]))


def lesson_batches(sources: Sequence[LessonSource], pair: Pairing, options: LessonOptions) -> Iterator[list[Lesson]]:
    """Without end; the same for the same seed. Every question of a source comes once before one comes again. Raises
    NoLessons.
    """
    random = Random(options.seed)
    asked = [_Turns(source, random) for source in sources if len(source.windows)]
    shares = [turns.source.share for turns in asked]
    while True:
        drawn: list[Lesson] = []
        for _ in range(_DRAWS * options.drawn if asked else 0):
            [turns] = random.choices(asked, shares)
            window = turns.next()
            lesson = lesson_of(window, pair) if window else None
            if lesson:
                drawn.append(lesson)
            if len(drawn) == options.drawn:
                break
        if not drawn:
            raise NoLessons("no window could be drawn from any question: look at the data")
        batches = [
            [drawn[at] for at in rows] for rows in batches_by_length([len(each.ids) for each in drawn], options.tokens)
        ]
        random.shuffle(batches)
        yield from batches


class _Turns:
    """The questions of a source, in a new order each time around."""

    def __init__(self, source: LessonSource, random: Random) -> None:
        self.source = source
        self._random = random
        self._left: list[int] = []

    def next(self) -> Window | None:
        windows = self.source.windows
        if not self._left:
            self._left = list(range(len(windows)))
            self._random.shuffle(self._left)
        draw = windows.silent if self._random.random() < self.source.silent else windows.answering
        return draw(self._left.pop(), self._random)
