"""Articles cut into passages: windows of some 45 tokens, as many as are wanted."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.suites.index.datasets import DataSet

WINDOW_TOKENS = 45.0
_UNIT = re.compile(r"[\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff]+|\s+")
_TOKENS_PER_CHARACTER = 0.62
_TOKENS_PER_WORD = 1.35
"""Of multilingual-e5-small's tokenizer, measured on these texts; only the size of windows depends on them."""
_PASSES = (0.0, 1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8)
"""Where the first window of each pass starts, in windows: every pass has windows that no earlier one has."""


@dataclass(frozen=True, slots=True)
class PassageText:
    """A window of an article. Those of pass 0 follow each other without gap or overlap, to the last half window."""

    data_set: str
    language: str
    article: int
    window: int
    pass_number: int
    text: str

    @property
    def passage_id(self) -> str:
        return f"{self.data_set}/{self.article}/{self.pass_number}.{self.window}"

    @property
    def document_id(self) -> str:
        return f"{self.data_set}/{self.article}"


def cut(data_sets: Sequence[DataSet], count: int) -> list[PassageText]:
    """The first `count` passages, pass after pass: asking for more keeps those that were there. Raises ValueError if
    the texts do not yield so many."""
    passages = list(itertools.islice(_all_passages(data_sets), count))
    if len(passages) < count:
        raise ValueError(f"these data sets yield {len(passages)} passages, not {count}")
    return passages


def _all_passages(data_sets: Sequence[DataSet]) -> Iterator[PassageText]:
    for number, offset in enumerate(_PASSES):
        for data_set in data_sets:
            for article in data_set.articles:
                text = f"{article.title}\n{article.text}" if article.title else article.text
                for window, content in enumerate(_windows(text, offset * WINDOW_TOKENS)):
                    yield PassageText(data_set.name, data_set.language, article.number, window, number, content)


def _windows(text: str, skipped_tokens: float) -> Iterator[str]:
    """What comes before the first window is left out, and so is a rest of less than half a window: thousands of
    passages like "." lie so near each other that they are a trap for every graph, and nobody stores such."""
    skipping = skipped_tokens > 0
    room = skipped_tokens if skipping else WINDOW_TOKENS
    start = 0
    for unit in _UNIT.finditer(text):
        room -= _tokens(unit[0])
        if room <= 0:
            if not skipping:
                yield text[start : unit.end()].strip()
            start, skipping, room = unit.end(), False, WINDOW_TOKENS
    rest = text[start:].strip()
    if not skipping and room <= WINDOW_TOKENS / 2:
        yield rest


def _tokens(unit: str) -> float:
    if unit.isspace():
        return 0.0
    return _TOKENS_PER_CHARACTER if len(unit) == 1 and unit > "\u3000" else _TOKENS_PER_WORD * max(1.0, len(unit) / 8)
