"""Texts to vectors, by an encoder of the hub."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from triton_models.embed.encoder import Encoded, batches_by_length
from triton_models.hub.description import EncoderDescription, Pooling
from triton_models.hub.networks import Batch, Network, batch_of
from triton_models.hub.tokenizer import HubTokenizer

Floats = npt.NDArray[np.float32]


class HubEncoder:
    """For one thread at a time."""

    def __init__(
        self, network: Network, tokenizer: HubTokenizer, description: EncoderDescription, batch_tokens: int
    ) -> None:
        """`network` gives tokens' vectors, float32[n, length, dimension], or with Pooling.DONE texts'. `batch_tokens`
        go through it at once, padding included."""
        self._network = network
        self._tokenizer = tokenizer
        self._description = description
        self._batch_tokens = batch_tokens

    def encode(self, texts: Sequence[str], kinds: Sequence[str]) -> Encoded:
        """Vectors in the order of the texts; `kinds` are "query" or "passage". Raises ArithmeticError if the network
        gives no numbers, or a vector without a direction."""
        prefixes = self._description.prefixes
        tokens = [self._tokenizer.text(prefixes[kind] + text) for text, kind in zip(texts, kinds, strict=True)]
        counts = np.array([each.total for each in tokens], np.int32)
        vectors = np.empty((len(texts), self._description.dimension), np.float32)
        for rows in batches_by_length([len(each.ids) for each in tokens], self._batch_tokens):
            read = [(tokens[row].ids, tokens[row].types) for row in rows]
            vectors[rows] = self._vectors(batch_of(read, self._description.pad_token))
        return Encoded(vectors, counts, counts > self._description.max_tokens)

    def warm_up(self) -> None:
        """Runs the network once, so that no caller pays for its first use."""
        self.encode(["a text"], ["passage"])

    def _vectors(self, batch: Batch) -> Floats:
        vectors = pooled(self._network(batch), batch.mask, self._description.pooling)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and lengths.all()):
            raise ArithmeticError("the encoder's network gave a vector that is no direction")
        scaled: Floats = vectors / lengths
        return scaled


def pooled(states: Floats, mask: npt.NDArray[np.int64], pooling: Pooling) -> Floats:
    """float32[n, dimension], of states float32[n, length, dimension] (with Pooling.DONE the result itself) and mask
    int64[n, length], of which each row has a token (Reimers and Gurevych, "Sentence-BERT", EMNLP 2019, section 3)."""
    found: Floats
    match pooling:
        case Pooling.DONE:
            found = states
        case Pooling.MEAN:
            weights = mask / mask.sum(axis=1, keepdims=True)
            found = np.matmul(weights[:, None, :].astype(np.float32), states)[:, 0]
        case Pooling.CLS:
            found = states[:, 0]
        case Pooling.MAX:
            found = np.where(mask[:, :, None] > 0, states, np.float32(-np.inf)).max(axis=1)
        case Pooling.LAST:
            found = states[np.arange(len(states)), mask.sum(axis=1) - 1]
    return found
