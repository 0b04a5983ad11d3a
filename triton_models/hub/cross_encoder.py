"""Pairs of query and passage to scores, by a cross-encoder of the hub."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from triton_models.hub.description import CrossEncoderDescription
from triton_models.hub.networks import Network, batch_of
from triton_models.rerank.pairs import PairNetwork, PairTokens
from triton_models.rerank.reranker import NO_WORDS

Floats = npt.NDArray[np.float32]
_BELOW_LOGITS = -100.0


def pair_network(network: Network, description: CrossEncoderDescription) -> PairNetwork:
    """`network` gives logits, float32[n, labels]."""

    def run(pairs: Sequence[PairTokens]) -> Floats:
        odds = log_odds(network(batch_of(pairs, description.pad_token)), description.label)
        return sigmoid(odds) if description.sigmoid else odds

    return run


def no_words(description: CrossEncoderDescription) -> float:
    """The score of a passage without words: below every other."""
    return NO_WORDS if description.sigmoid else _BELOW_LOGITS


def log_odds(logits: Floats, label: int) -> Floats:
    """float32[n], of logits float32[n, labels]: a lone label's logit is that already; one of several has its softmax
    probability by them."""
    others = np.delete(logits, label, axis=1)
    if not others.shape[1]:
        return logits[:, label]
    highest = others.max(axis=1)
    found: Floats = logits[:, label] - highest - np.log(np.exp(others - highest[:, None]).sum(axis=1))
    return found


def sigmoid(values: Floats) -> Floats:
    """Of any finite value, without overflow."""
    small = np.exp(-np.abs(values))
    found: Floats = np.where(values >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    return found
