"""Scores how well passages answer a query, by a network that reads both together (a cross-encoder; Nogueira and Cho,
"Passage Re-ranking with BERT", 2019, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from triton_models.embed.encoder import batches_by_length
from triton_models.rerank.reranker import NO_WORDS

Floats = npt.NDArray[np.float32]


class PairTokens(NamedTuple):
    """Of a query and a passage, with all marks. `types` tell which text each token is of (0: query, 1: passage)."""

    ids: list[int]
    types: list[int]


class PairTokenizer(Protocol):
    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[PairTokens]:
        """Of pairs of query and passage, as far as the network reads; in order."""


PairNetwork = Callable[[Sequence[PairTokens]], Floats]
"""To float32[n]: the higher, the better a passage fits. Pads by itself. For one thread at a time."""


class PairReranker:
    """For one thread at a time."""

    def __init__(
        self, network: PairNetwork, tokenizer: PairTokenizer, batch_tokens: int, no_words: float = NO_WORDS
    ) -> None:
        """`batch_tokens` go through the network at once, padding included. `no_words` is below every score of the
        network's."""
        self._network = network
        self._tokenizer = tokenizer
        self._batch_tokens = batch_tokens
        self._no_words = no_words

    def scores(self, queries: Sequence[str], passages: Sequence[str]) -> Floats:
        """float32[n]: how well passage i answers query i; NaN for a query without words, `no_words` for such a passage.

        Each different pair goes through the network once. Raises ArithmeticError if the network gives no numbers.
        """
        asked = list(zip(queries, passages, strict=True))
        known = {pair: self._blank(*pair) for pair in asked if not (pair[0].strip() and pair[1].strip())}
        pairs = [pair for pair in dict.fromkeys(asked) if pair not in known]
        tokens = self._tokenizer.pairs(pairs)
        for rows in batches_by_length([len(each.ids) for each in tokens], self._batch_tokens):
            found = self._network([tokens[row] for row in rows])
            if not np.isfinite(found).all():
                raise ArithmeticError("the reranker's network gave values that are not numbers")
            known |= {pairs[row]: float(found[place]) for place, row in enumerate(rows)}
        return np.array([known[pair] for pair in asked], np.float32)

    def warm_up(self) -> None:
        """Runs the network once, so that no caller pays for its first use."""
        self.scores(["a question"], ["a passage"])

    def _blank(self, query: str, passage: str) -> float:
        return self._no_words if query.strip() else float("nan")
