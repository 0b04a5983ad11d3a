"""The best pieces of a window, from what the network says of its tokens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class TokenSpan(NamedTuple):
    """From the token `first` to the token `last`, both in it. `score`: see `best_spans`."""

    first: int
    last: int
    score: float


def best_spans(
    logits: Floats, null: Floats, eligible: npt.NDArray[np.bool_], longest: int, most: int
) -> list[TokenSpan]:
    """Up to `most` spans of at most `longest` tokens that do not overlap, each the best that those before it leave.

    logits: float32[tokens, 2], of beginning and ending. null: float32[2], those of "no answer here". eligible:
    bool[tokens], where a span can begin and end. A span's score is the sum of its two logits less the sum of null's:
    the logarithm of how much likelier it is than no answer (Devlin et al., "BERT", NAACL 2019, section 4.3). Cost:
    tokens * longest.
    """
    tokens = len(logits)
    if not eligible.any():
        return []
    starts, ends = (np.where(eligible, logits[:, each], -np.inf) for each in (0, 1))
    # Row i, column d: from token i to token i + d.
    padded = np.concatenate([ends, np.full(longest - 1, -np.inf)])
    sums = starts[:, None] + np.lib.stride_tricks.sliding_window_view(padded, longest)
    first = np.arange(tokens)[:, None]
    last = first + np.arange(longest)
    found: list[TokenSpan] = []
    while len(found) < most:
        begin, more = divmod(int(sums.argmax()), longest)
        score = float(sums[begin, more])
        if score == -np.inf:
            break
        found.append(TokenSpan(begin, begin + more, score - float(null.sum())))
        sums[(first <= begin + more) & (last >= begin)] = -np.inf
    return found
