"""Scores how well passages answer a query, by an encoder of whole texts: the cosine of the two texts' vectors.

What found the passages is an encoder of whole texts too (`embed/`); one that was trained on other texts knows what the
first does not, and its scores beside the fused ones rank better than either. The vector of a text is the mean of its
tokens' vectors (Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, section 3).

Most small encoders were trained on one language. Where an encoder cannot read, it has no opinion: see
`SentenceReranker.scores`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from triton_models.embed.encoder import batches_by_length, padded, warm_up
from triton_models.embed.networks import TokenNetwork
from triton_models.rerank.reranker import NO_WORDS

Floats = npt.NDArray[np.float32]
_NO_OPINION = 0.0
_READ_APART = 1 / 3
"""Of a text that a vocabulary was made for, a twentieth of the characters are pieces of their own (punctuation, most of
them), and a fifth at most; of Japanese in an English vocabulary more than half, nearly always all."""


@dataclass(frozen=True, slots=True)
class SentenceOptions:
    max_tokens: int = 256
    """Of a text are read, marks included; this class of encoders is trained on less."""
    batch_tokens: int = 1024
    """Tokens that go through the network at once, padding included; 2,048 took a tenth longer."""


class _Pieces(NamedTuple):
    """`read`: whether the vocabulary was made for such a text."""

    ids: list[int]
    read: bool


class SentenceTokenizer:
    """A `tokenizer.json` of Hugging Face's format, with the marks that it puts around a text. Safe to share between
    threads."""

    def __init__(self, file: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        # What a document says can never become a mark.
        self._tokenizer.encode_special_tokens = True
        self._max_characters = 16 * max_tokens
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        self._unknown = None if unknown is None else self._tokenizer.token_to_id(unknown)

    def encode(self, text: str) -> _Pieces:
        """As far as the tokenizer reads; a longer text has far more tokens than it takes."""
        encoding = self._tokenizer.encode(text[: self._max_characters])
        spans = np.array(encoding.offsets, np.int64).reshape(-1, 2)
        lengths = spans[:, 1] - spans[:, 0]
        apart = lengths == 1
        if self._unknown is not None:
            apart |= np.array(encoding.ids, np.int64) == self._unknown
        return _Pieces(encoding.ids, bool(lengths[apart].sum() <= _READ_APART * lengths.sum()))


class SentenceReranker:
    """For one thread at a time."""

    def __init__(self, network: TokenNetwork, tokenizer: SentenceTokenizer, options: SentenceOptions) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._options = options

    def scores(self, queries: Sequence[str], passages: Sequence[str]) -> Floats:
        """float32[n]: how well passage i answers query i, from -1 to 1; NaN for a query without words, NO_WORDS for
        such a passage.

        A query in a script that the vocabulary was not made for leaves all in the order that they have: each of its
        passages gets 0. A passage in such a script gets the mean of the query's others, and stays about where it is.
        Cost: the encoder's, once for each different text. Raises ArithmeticError if the network gives no numbers.
        """
        pieces = {text: self._tokenizer.encode(text) for text in dict.fromkeys([*queries, *passages]) if text.strip()}
        read = {text for text, each in pieces.items() if each.read}
        pairs = [pair for pair in zip(queries, passages, strict=True) if read.issuperset(pair)]
        vectors = self._vectors({text: pieces[text].ids for text in dict.fromkeys(chain.from_iterable(pairs))})
        scores = np.empty(len(passages), np.float32)
        for query in dict.fromkeys(queries):
            rows = [row for row, each in enumerate(queries) if each == query]
            if query not in pieces:
                scores[rows] = np.nan
                continue
            own = [passages[row] for row in rows]
            known = {passage: float(vectors[query] @ vectors[passage]) for asked, passage in pairs if asked == query}
            usual = float(np.mean([known[text] for text in own if text in known])) if known else _NO_OPINION
            scores[rows] = [known.get(text, usual if text in pieces else NO_WORDS) for text in own]
        return scores

    def warm_up(self) -> None:
        """See `encoder.warm_up`."""
        warm_up(self._network, self._options.max_tokens)

    def _vectors(self, ids: dict[str, list[int]]) -> dict[str, Floats]:
        texts, rows = list(ids), list(ids.values())
        vectors: dict[str, Floats] = {}
        for batch in batches_by_length([len(row) for row in rows], self._options.batch_tokens):
            found = self._network(*padded([rows[row] for row in batch]))
            if not np.isfinite(found).all():
                raise ArithmeticError("the reranker's network gave values that are not numbers")
            vectors |= {texts[row]: found[place] for place, row in enumerate(batch)}
        return vectors
