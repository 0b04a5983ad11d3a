"""Texts of known lengths in tokens, English and Japanese in turns, made from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, cycle, repeat
from pathlib import Path

import numpy as np

from bench.suites.models.typeset import texts_of

_ENGLISH = "The keeper of the {0} watches the {1} until the {2} has left the northern quay, and writes it down. "
_JAPANESE = "{0}の番人は、{1}が北の埠頭を離れるまで{2}を見守り、そのことを日誌に書き留める。"
_ENGLISH_NAMES = (
    "harbour",
    "ferry",
    "lighthouse",
    "orchard",
    "museum",
    "bridge",
    "market",
    "village",
    "tower",
    "garden",
)
_JAPANESE_NAMES = ("港", "連絡船", "灯台", "果樹園", "博物館", "橋", "市場", "村", "塔", "庭園")


def mixed_texts(
    lengths: Sequence[int], seed: int, tokens: Callable[[str], int], sets: Path | None, names: tuple[str, str]
) -> list[str]:
    """A text for each length, at most one token in twenty longer or shorter (for those of 40 and more). With `sets`, of
    the paragraphs of the two retrieval sets `names`; without, of made-up sentences. Raises NoDataSets."""
    rng = np.random.default_rng(seed)
    if sets is None:
        sources = [_sentences(rng, _ENGLISH, _ENGLISH_NAMES), _sentences(rng, _JAPANESE, _JAPANESE_NAMES)]
    else:
        sources = [
            chain.from_iterable(texts_of(sets, name, seed, wide=wide) for _ in repeat(None))
            for name, wide in zip(names, (False, True), strict=True)
        ]
    return [_of_length(length, source, tokens) for length, source in zip(lengths, cycle(sources), strict=False)]


def _sentences(rng: np.random.Generator, pattern: str, names: Sequence[str]) -> Iterator[str]:
    while True:
        yield pattern.format(*rng.choice(names, 3))


def _of_length(length: int, source: Iterator[str], tokens: Callable[[str], int]) -> str:
    text = next(source)
    while (count := tokens(text)) < length:
        text += " " + next(source)
    for _ in range(8):
        if abs(count - length) <= max(1, length // 20):
            break
        text = text[: max(1, round(len(text) * length / count))]
        count = tokens(text)
    return text
