"""Scores how well passages answer a query, by late interaction.

Every token of the query looks for the token of the passage that is most like it; the score is the mean of these
likenesses, weighted by how much each token of the query matters (MaxSim, Khattab and Zaharia, "ColBERT", SIGIR 2020,
section 3.2, with learned weights). Tokens are compared as the encoder sees them in their context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from triton_models.embed.encoder import MAX_TOKENS, PREFIXES, batches_by_length, padded, warm_up
from triton_models.embed.tokenizer import EOS, E5Tokenizer

Floats = npt.NDArray[np.float32]

NO_WORDS = -1.0
"""The score of a passage without a token: below every other."""
_MAX_CHARACTERS = 16 * MAX_TOKENS
"""Of a text are read; a longer one has far more tokens than the network takes."""
PREFIX_TOKENS = {"query": 4, "passage": 3}
"""The mark of the beginning, and what the tokenizer makes of each of PREFIXES; none of them says anything."""


class TokenVectors(NamedTuple):
    """vectors: float32[n, length, hidden]. importance: float32[n, length]."""

    vectors: Floats
    importance: Floats


RerankNetwork = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int32]], TokenVectors]
"""From ids int64[n, length] and mask int32[n, length]. For one thread at a time."""


@dataclass(frozen=True, slots=True)
class RerankOptions:
    batch_tokens: int = 1024
    """Tokens that go through the network at once, padding included; 2,048 took an eighth longer."""


class _Text(NamedTuple):
    """Without prefix and marks. vectors: float32[tokens, hidden]. importance: float32[tokens]."""

    vectors: Floats
    importance: Floats


_NOTHING = _Text(np.empty((0, 0), np.float32), np.empty(0, np.float32))


class Reranker:
    """For one thread at a time."""

    def __init__(self, network: RerankNetwork, tokenizer: E5Tokenizer, options: RerankOptions) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._options = options

    def scores(self, queries: Sequence[str], passages: Sequence[str]) -> Floats:
        """float32[n]: how well passage i answers query i, from -1 to 1; NaN for a query without words.

        A text is read as far as 512 tokens. Cost: the encoder's, once for each different text; comparing is little
        beside it. A score can depend a little on what else is scored in the same call, as the encoder's vectors do.
        Raises ArithmeticError if the network gives no numbers.
        """
        asked = [("query", query) for query in queries]
        texts = self._encoded(list(dict.fromkeys([*asked, *(("passage", passage) for passage in passages)])))
        scores = np.empty(len(passages), np.float32)
        for query in dict.fromkeys(asked):
            rows = [row for row, each in enumerate(asked) if each == query]
            scores[rows] = late_interaction(*texts[query], [texts["passage", passages[row]].vectors for row in rows])
            if len(texts[query].vectors) and np.isnan(scores[rows]).any():
                raise ArithmeticError("the reranker's network gave values that are not numbers")
        return scores

    def warm_up(self) -> None:
        """See `encoder.warm_up`."""
        warm_up(self._network)

    def _encoded(self, texts: Sequence[tuple[str, str]]) -> dict[tuple[str, str], _Text]:
        encoded = {text: _NOTHING for text in texts if not text[1].strip()}
        texts = [text for text in texts if text not in encoded]
        ids = [self._ids(*text) for text in texts]
        for rows in batches_by_length([len(row) for row in ids], self._options.batch_tokens):
            vectors, importance = self._network(*padded([ids[row] for row in rows]))
            for place, row in enumerate(rows):
                own = slice(PREFIX_TOKENS[texts[row][0]], len(ids[row]) - 1)
                encoded[texts[row]] = _Text(vectors[place, own], importance[place, own])
        return encoded

    def _ids(self, kind: str, text: str) -> list[int]:
        ids = self._tokenizer.encode(PREFIXES[kind] + text[:_MAX_CHARACTERS])
        return ids if len(ids) <= MAX_TOKENS else [*ids[: MAX_TOKENS - 1], EOS]


def late_interaction(query: Floats, importance: Floats, passages: Sequence[Floats]) -> Floats:
    """float32[len(passages)]: the mean over the query's tokens of the greatest product with a token of the passage.

    query: float32[m, hidden]; importance: float32[m], above 0; each passage float32[tokens, hidden]. One matrix product
    of all tokens: 2 ms for 20 passages of 160 tokens and a query of 20. NaN for a query without tokens, NO_WORDS for
    such a passage.
    """
    scores = np.full(len(passages), NO_WORDS, np.float32)
    if not len(query):
        scores[:] = np.nan
        return scores
    filled = [place for place, passage in enumerate(passages) if len(passage)]
    if filled:
        products = np.concatenate([passages[place] for place in filled]) @ query.T
        starts = np.cumsum([0, *(len(passages[place]) for place in filled[:-1])])
        scores[filled] = np.maximum.reduceat(products, starts, axis=0) @ (importance / importance.sum())
    return scores
