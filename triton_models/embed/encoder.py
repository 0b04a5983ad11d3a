"""Texts to vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from triton_models.embed.networks import TokenNetwork
from triton_models.embed.tokenizer import EOS, PAD, E5Tokenizer

DIMENSION = 384
MAX_TOKENS = 512
LENGTHS: tuple[int, ...] = (*range(8, 64, 4), *range(64, 256, 16), *range(256, MAX_TOKENS + 1, 32))
"""What batches are padded to, 10 % for calls of a few passages: a runtime that prepares itself for each shape meets few
of them. Steps of 32 from 128 on cost a token 7 % more time; steps of 8 save padding, but lengths that 16 does not
divide are computed more slowly. Passages of documents have up to some 250 tokens."""
_RUN_TOKENS = 25
"""What a run of the network costs beside its tokens, as so many: one of n tokens in a shape that was not the last one's
takes about 4.7 + .185 n ms of OpenVINO's processor time."""
PREFIXES = {"query": "query: ", "passage": "passage: "}
"""What the model was trained to see before each kind of text."""


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    batch_tokens: int = 2048
    """Tokens that go through the network at once, padding included; more does not make a CPU faster."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """vectors: float32[n, 384], rows of length 1. token_counts: int32[n], with prefix and marks, before truncation."""

    vectors: npt.NDArray[np.float32]
    token_counts: npt.NDArray[np.int32]
    truncated: npt.NDArray[np.bool_]


class Encoder:
    """For one thread at a time."""

    def __init__(self, network: TokenNetwork, tokenizer: E5Tokenizer, options: EncoderOptions) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._options = options

    def encode(self, texts: Sequence[str], kinds: Sequence[str]) -> Encoded:
        """Vectors in the order of the texts; `kinds` are keys of PREFIXES.

        By ONNX Runtime a text's vector depends a little on what it is encoded with, since activations are quantized
        together: by less than 0.01 in cosine.
        """
        ids = [self._tokenizer.encode(PREFIXES[kind] + text) for text, kind in zip(texts, kinds, strict=True)]
        counts = np.array([len(row) for row in ids], dtype=np.int32)
        cut = [row if len(row) <= MAX_TOKENS else [*row[: MAX_TOKENS - 1], EOS] for row in ids]
        vectors = np.empty((len(ids), DIMENSION), dtype=np.float32)
        for rows in runs_by_length([len(row) for row in cut], self._options.batch_tokens):
            vectors[rows] = self._network(*padded([cut[row] for row in rows]))
        return Encoded(vectors, counts, counts > MAX_TOKENS)

    def warm_up(self) -> None:
        """See `warm_up`."""
        warm_up(self._network)


def warm_up(
    network: Callable[[npt.NDArray[np.int64], npt.NDArray[np.int32]], object], longest: int = MAX_TOKENS
) -> None:
    """Runs it once with a text of each of LENGTHS up to `longest`, so that no caller pays for the first use of one. A
    second."""
    for length in LENGTHS:
        if length <= longest:
            network(*padded([[EOS] * length]))


def padded(ids: Sequence[Sequence[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Token ids and mask (1: token, 0: padding), [n, length], of texts of up to MAX_TOKENS tokens. The length is the
    least of LENGTHS that holds the longest."""
    length = _padded_length(max(map(len, ids)))
    tokens = np.full((len(ids), length), PAD, dtype=np.int64)
    mask = np.zeros((len(ids), length), dtype=np.int32)
    for row, values in enumerate(ids):
        tokens[row, : len(values)] = values
        mask[row, : len(values)] = 1
    return tokens, mask


def _padded_length(longest: int) -> int:
    return next(length for length in LENGTHS if length >= longest)


def runs_by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Groups indices as `batches_by_length` does, so that the runs take the least time together: each costs its tokens,
    padding included, and _RUN_TOKENS. Of texts of up to MAX_TOKENS.

    Dynamic programming over the texts by length, which finds the best way: a run holds neighbours only, or exchanging
    two texts would make one run shorter and none longer. Cost: the number of texts times that of the longest run.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    least, first = [0.0], [0]
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        size = _padded_length(longest)
        best, start = inf, end - 1
        for begin in range(end - 1, -1, -1):
            if begin < end - 1 and (end - begin) * longest > batch_tokens:
                break
            cost = least[begin] + (end - begin) * size + _RUN_TOKENS
            if cost < best:
                best, start = cost, begin
        least.append(best)
        first.append(start)
    runs: list[list[int]] = []
    end = len(order)
    while end:
        runs.append(order[first[end] : end])
        end = first[end]
    return runs[::-1]


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Groups indices so that a batch holds similar lengths and, padded to its longest, at most `batch_tokens`.

    Every index comes once. A text longer than `batch_tokens` is a batch of its own.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
