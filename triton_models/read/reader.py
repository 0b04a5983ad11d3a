"""Reads passages with a question in mind: which pieces of them answer it, if any does.

Question and passage go through the network together, in windows that a passage longer than one is read in. A window's
first token stands for "no answer here": what a piece scores beside it can be compared among windows and passages
(Rajpurkar et al., "Know What You Don't Know", ACL 2018; Devlin et al., "BERT", NAACL 2019, section 4.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from triton_models.embed.encoder import MAX_TOKENS, PREFIXES, batches_by_length, padded, warm_up
from triton_models.embed.tokenizer import BOS, EOS, E5Tokenizer
from triton_models.read.spans import best_spans

Floats = npt.NDArray[np.float32]

ReaderNetwork = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int32]], Floats]
"""From ids int64[n, length] and mask int32[n, length] to logits float32[n, length, 2]: how well an answer begins, and
ends, at each token. For one thread at a time."""

OUTPUT = "logits"
"""The network's output, by this name."""
_MARKS = 4
"""Tokens of a window besides question and passage: the beginning, two ends between them, and the end."""
_CHARACTERS = 16
"""Of a text are read for each token that is: a longer one has far more tokens than that."""


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """`question_tokens`: of a question are read, with its prefix. `window_tokens`: those of a window, with the question
    and the marks: what the network was trained on. Windows of one text share `overlap_tokens`, more than an answer has,
    so that each piece stands whole in one; of a text as many `windows` are read."""

    question_tokens: int = 64
    window_tokens: int = 256
    overlap_tokens: int = 64
    windows: int = 8
    answer_tokens: int = 40
    spans: int = 5
    batch_tokens: int = 1024
    """Tokens that go through the network at once, padding included."""

    def __post_init__(self) -> None:
        if not self.answer_tokens <= self.overlap_tokens < self.window_tokens - self.question_tokens - _MARKS:
            raise ValueError("windows must overlap by what an answer can have, and be longer than that")
        if self.window_tokens > MAX_TOKENS:
            raise ValueError(f"the network takes {MAX_TOKENS} tokens at most")


class Span(NamedTuple):
    """A text's characters from `start` to before `end`. `score`: the logarithm of how much likelier it is to answer
    than nothing in its window."""

    start: int
    end: int
    score: float


class Reading(NamedTuple):
    """Of one text: spans that do not overlap, best first; none of a text without words. `truncated`: its end was not
    read."""

    spans: tuple[Span, ...]
    truncated: bool


class Window(NamedTuple):
    """What the network is given of the text `text`. `first`: where in `ids` the passage's tokens begin. places:
    int32[tokens, 2], of them."""

    text: int
    ids: list[int]
    first: int
    places: npt.NDArray[np.int32]


class Reader:
    """For one thread at a time."""

    def __init__(self, network: ReaderNetwork, tokenizer: E5Tokenizer, options: ReaderOptions) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._options = options

    def read(self, questions: Sequence[str], texts: Sequence[str]) -> list[Reading | None]:
        """What in text i answers question i; None for a question without words.

        A text is read as far as `windows` go: some 1,000 tokens. What is read of one text depends little on what else
        is read in the same call, as the network's logits do. Raises ArithmeticError if the network gives no numbers.
        """
        options = self._options
        asked = {question: self._question(question) for question in dict.fromkeys(questions) if question.strip()}
        windows: list[Window] = []
        truncated = [False] * len(texts)
        for place, (question, text) in enumerate(zip(questions, texts, strict=True)):
            if question in asked and text.strip():
                own, truncated[place] = self._windows(place, asked[question], text)
                windows += own
        found: list[list[Span]] = [[] for _ in texts]
        for rows in batches_by_length([len(window.ids) for window in windows], options.batch_tokens):
            logits = self._network(*padded([windows[row].ids for row in rows]))
            for row, own_logits in zip(rows, logits, strict=True):
                found[windows[row].text] += self._spans(windows[row], own_logits)
        return [
            Reading(_apart(spans, options.spans), cut) if question in asked else None
            for question, spans, cut in zip(questions, found, truncated, strict=True)
        ]

    def first_window(self, question: str, text: str) -> Window:
        """As far as a window goes."""
        return self._windows(0, self._question(question), text)[0][0]

    def warm_up(self) -> None:
        """See `encoder.warm_up`."""
        warm_up(self._network, self._options.window_tokens)

    def _question(self, question: str) -> list[int]:
        """The beginning of a window."""
        most = self._options.question_tokens
        ids = self._tokenizer.encode(PREFIXES["query"] + question[: _CHARACTERS * most])[1:-1]
        return [BOS, *ids[:most], EOS, EOS]

    def _windows(self, place: int, question: list[int], text: str) -> tuple[list[Window], bool]:
        """And whether the end of the text is in none of them."""
        options = self._options
        size = options.window_tokens - len(question) - 1
        step = size - options.overlap_tokens
        most = size + (options.windows - 1) * step
        ids, places = self._tokenizer.encode_with_places(text[: _CHARACTERS * most])
        # The last window begins where the one before it does not reach the end.
        starts = range(0, max(1, min(len(ids), most) - options.overlap_tokens), step)
        windows = [
            Window(place, [*question, *ids[start : start + size], EOS], len(question), places[start : start + size])
            for start in starts
        ]
        return windows, len(ids) > most or len(text) > _CHARACTERS * most

    def _spans(self, window: Window, logits: Floats) -> list[Span]:
        places = window.places
        own = logits[window.first : window.first + len(places)]
        if not np.isfinite(own).all() or not np.isfinite(logits[0]).all():
            raise ArithmeticError("the reader's network gave values that are not numbers")
        eligible = places[:, 1] > places[:, 0]
        spans = best_spans(own, logits[0], eligible, self._options.answer_tokens, self._options.spans)
        return [Span(int(places[each.first, 0]), int(places[each.last, 1]), each.score) for each in spans]


def _apart(spans: Sequence[Span], most: int) -> tuple[Span, ...]:
    """The best that do not overlap, best first: those that two windows share come twice."""
    chosen: list[Span] = []
    for span in sorted(spans, key=lambda each: (-each.score, each)):
        if len(chosen) == most:
            break
        if all(span.end <= other.start or other.end <= span.start for other in chosen):
            chosen.append(span)
    return tuple(chosen)
