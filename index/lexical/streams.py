"""Streams of tokens of many texts at a time, made where that disturbs searches least."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache

from index.lexical.analyzer import Analyzer
from index.processes import HelperProcess

FEW_CHARACTERS = 2_000
"""So many are analysed here sooner than elsewhere: in some 3 ms of Japanese."""
MANY_CHARACTERS = 100_000
"""A helper is started for so many within `_WINDOW_S`: that takes it about as long as analysing them."""
_WINDOW_S = 10.0

Texts = tuple[str, ...]


class StreamMaker:
    """Analyses here, but large batches in the helper once there is one or so much to do that one pays. Has one owner;
    the results do not depend on who makes them."""

    def __init__(self, analyzer: Analyzer, helper: HelperProcess, clock: Callable[[], float] = time.monotonic) -> None:
        self._analyzer = analyzer
        self._helper = helper
        self._clock = clock
        self._began = clock()
        self._characters = 0

    def streams(self, chunks: Sequence[Texts]) -> list[str]:
        """`Analyzer.stream` of each chunk's texts. Raises HelperFailed, and HelperStopped once the index is being
        closed."""
        characters = sum(len(text) for texts in chunks for text in texts)
        if characters > FEW_CHARACTERS and (self._is_much(characters) or self._helper.pid is not None):
            return self._helper.call(streams, chunks)
        return [self._analyzer.stream(*texts) for texts in chunks]

    def _is_much(self, characters: int) -> bool:
        now = self._clock()
        if now - self._began > _WINDOW_S:
            self._began, self._characters = now, 0
        self._characters += characters
        return self._characters >= MANY_CHARACTERS


def streams(chunks: Sequence[Texts]) -> list[str]:
    """`Analyzer.stream` of each chunk's texts, by this process's own analyzer."""
    analyzer = _own_analyzer()
    return [analyzer.stream(*texts) for texts in chunks]


@cache
def _own_analyzer() -> Analyzer:
    return Analyzer()
