"""Token vectors made up for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.tokens import TokenVectors


def token_vectors(texts: Sequence[Sequence[int]], hidden: int = 8, seed: int = 0) -> TokenVectors:
    """Each text is the ids of its pieces; a piece has one vector, whatever stands around it."""
    table = np.random.default_rng(seed).standard_normal((64, hidden), np.float32)
    ids = np.array([piece for text in texts for piece in text], np.int32)
    sums = np.stack([table[list(text)].sum(axis=0) for text in texts])
    return TokenVectors(
        table[ids].astype(np.float16),
        ids,
        np.cumsum([0, *map(len, texts)]),
        sums / np.linalg.norm(sums, axis=1, keepdims=True),
        tuple(np.array(text, np.int32) for text in texts),
    )
