"""Attention of each token of a text to all of it (Vaswani et al. 2017: Attention Is All You Need, 3.2).

Where the CPU multiplies bfloat16, queries, keys, values and shares of long texts are rounded to it, which takes .8 of
the time with 160 tokens and .66 with 480; else all is float32.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.jit import kernel
from kernels.products import (
    HAS_BFLOAT16,
    PANEL,
    aligned,
    floats_tile,
    larger,
    pairs_tile,
    power_of_two,
    to_half,
    to_pair,
)

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.uint16]
Pairs = npt.NDArray[np.uint32]

ROWS = 8
"""Queries of a tile: with more, sums and addresses do not fit into registers, and products take a third longer."""

_LOG2_E = 1.4426950408889634
_LEAST_EXPONENT = np.float32(-120.0)
"""What is below would give denormal numbers, with which the CPU takes its time."""
_MASKED = np.float32(-1e30)
_EXPONENT_BIAS, _MANTISSA_BITS = np.int32(127), np.int32(23)
_ONE = np.float32(1.0)
_LONG_TOKENS = 96
"""From so many on, rounding to bfloat16 takes less time than it saves."""


class AttentionRoom(NamedTuple):
    """Scratch for texts of up to l tokens, a multiple of 32, and heads of size s. What is in bfloat16 is kept as its
    bits, a uint32 for two.

    keys: float32[s, l]; scores: float32[ROWS, l]. queries: uint16[l, s]; key_pairs: uint32[s / 2, l]; value_pairs:
    uint32[l / 2, s]; shares: uint16[ROWS, l].
    """

    keys: Floats
    scores: Floats
    queries: Halves
    key_pairs: Pairs
    value_pairs: Pairs
    shares: Halves


def attention_room(tokens: int, size: int) -> AttentionRoom:
    """For texts of up to `tokens` and heads of that size; filled with zeros."""
    width = (tokens + PANEL - 1) // PANEL * PANEL
    return AttentionRoom(
        keys=aligned(np.zeros((size, width), np.float32)),
        scores=aligned(np.zeros((ROWS, width), np.float32)),
        queries=aligned(np.zeros((width, size), np.uint16)),
        key_pairs=aligned(np.zeros((size // 2, width), np.uint32)),
        value_pairs=aligned(np.zeros((width // 2, size), np.uint32)),
        shares=aligned(np.zeros((ROWS, width), np.uint16)),
    )


@kernel
def _power_of_two(x: np.float32) -> np.float32:
    """2^x for -126 <= x <= 0, wrong by less than 3e-6 of it: Taylor's series on [-.5, .5], times a power that is put
    together from its bits."""
    whole = np.rint(x)
    rest = np.float32(x - whole)
    power = np.float32(1.3333558e-3)
    power = power * rest + np.float32(9.6181291e-3)
    power = power * rest + np.float32(5.5504109e-2)
    power = power * rest + np.float32(2.4022651e-1)
    power = power * rest + np.float32(6.9314718e-1)
    power = power * rest + _ONE
    return power * np.int32((np.int32(whole) + _EXPONENT_BIAS) << _MANTISSA_BITS).view(np.float32)


@kernel
def apply_softmax(scores: Floats, scale: float) -> None:
    """exp(scale * score), divided by their sum, in place, of scores: float32[n], n > 0, finite; scale > 0."""
    top = scores[0]
    for j in range(scores.shape[0]):
        top = larger(top, scores[j])
    factor = np.float32(scale * _LOG2_E)
    total = np.float32(0.0)
    for j in range(scores.shape[0]):
        share = _power_of_two(larger((scores[j] - top) * factor, _LEAST_EXPONENT))
        scores[j] = share
        total += share
    inverse = _ONE / total
    for j in range(scores.shape[0]):
        scores[j] *= inverse


@kernel
def attend_floats(joint: Floats, heads: int, room: AttentionRoom, mixed: Floats) -> None:
    """See `attend`: in float32."""
    keys, shares = room.keys, room.scores
    tokens, hidden = mixed.shape
    size = hidden // heads
    scale = 1.0 / np.sqrt(size)
    width = (tokens + PANEL - 1) // PANEL * PANEL
    tiles = (tokens + ROWS - 1) // ROWS
    for head in range(heads):
        start = head * size
        for j in range(size):
            column = keys[j]
            for i in range(tokens):
                column[i] = joint[i, hidden + start + j]
        for tile in range(tiles):
            first, last = tokens * tile // tiles, tokens * (tile + 1) // tiles
            for column_start in range(0, width, PANEL):
                floats_tile(joint, first, start, last - first, size, keys, 0, column_start, shares, 0, column_start)
            for i in range(last - first):
                row = shares[i, :width]
                # A multiple of what a vector holds: the loops over it have no rest.
                row[tokens:] = _MASKED
                apply_softmax(row, scale)
            for column_start in range(start, start + size, PANEL):
                values = 2 * hidden + column_start
                floats_tile(shares, 0, 0, last - first, tokens, joint, 0, values, mixed, first, column_start)


@kernel
def _powers(scores: Floats, powers: Halves) -> float:
    """2^(score - the greatest one) into powers: uint16[n], in bfloat16, of scores: float32[n], n > 0, finite; returns
    what they are to be multiplied with to have the sum 1. Wrong by less than 2e-4 of it before rounding, which is wrong
    by up to 2e-3: Chebyshev's polynomial on [-.5, .5]."""
    top = scores[0]
    for j in range(scores.shape[0]):
        top = larger(top, scores[j])
    total = np.float32(0.0)
    for j in range(scores.shape[0]):
        exponent = larger(scores[j] - top, _LEAST_EXPONENT)
        whole = np.rint(exponent)
        rest = np.float32(exponent - whole)
        power = np.float32(5.5838283e-2)
        power = power * rest + np.float32(2.4263948e-1)
        power = power * rest + np.float32(6.9313675e-1)
        power = power * rest + np.float32(9.9992454e-1)
        power *= power_of_two(whole)
        powers[j] = to_half(power)
        total += power
    return float(_ONE / total)


@kernel
def _pack_head(joint: Floats, hidden: int, start: int, scale: float, room: AttentionRoom) -> None:
    """Queries, scaled, keys and values of the head that begins at column `start` of each."""
    tokens, size = joint.shape[0], room.queries.shape[1]
    factor = np.float32(scale)
    for i in range(tokens):
        row, query = joint[i, start : start + size], room.queries[i]
        for j in range(size):
            query[j] = to_half(row[j] * factor)
    for i in range(tokens):
        row = joint[i, hidden + start : hidden + start + size]
        for j in range(size // 2):
            room.key_pairs[j, i] = to_pair(row[2 * j], row[2 * j + 1])
    start += 2 * hidden
    for i in range(tokens // 2):
        row, following, pairs = joint[2 * i], joint[2 * i + 1], room.value_pairs[i]
        for j in range(size):
            pairs[j] = to_pair(row[start + j], following[start + j])
    if tokens % 2:
        row, pairs = joint[tokens - 1], room.value_pairs[tokens // 2]
        for j in range(size):
            pairs[j] = to_pair(row[start + j], np.float32(0.0))


@kernel
def attend_halves(joint: Floats, heads: int, room: AttentionRoom, mixed: Floats) -> None:
    """See `attend`: in bfloat16, summed in float32."""
    tokens, hidden = mixed.shape
    size = hidden // heads
    width = (tokens + PANEL - 1) // PANEL * PANEL
    tiles = (tokens + ROWS - 1) // ROWS
    scores, shares, pairs = room.scores, room.shares, (tokens + 1) // 2
    for head in range(heads):
        start = head * size
        _pack_head(joint, hidden, start, _LOG2_E / np.sqrt(size), room)
        for tile in range(tiles):
            first, last = tokens * tile // tiles, tokens * (tile + 1) // tiles
            rows = last - first
            for column in range(0, width, PANEL):
                pairs_tile(room.queries, first, 0, rows, size // 2, room.key_pairs, 0, column, scores, 0, column)
            for i in range(rows):
                row = scores[i, :width]
                # A multiple of what a vector holds: the loops over it have no rest.
                for j in range(tokens, width):
                    row[j] = _MASKED
                row[0] = _powers(row, shares[i])
            for column in range(0, size, PANEL):
                pairs_tile(shares, 0, 0, rows, pairs, room.value_pairs, 0, column, mixed, first, start + column)
            for i in range(rows):
                row, factor = mixed[first + i, start : start + size], scores[i, 0]
                for j in range(size):
                    row[j] *= factor


_attend_long = attend_halves if HAS_BFLOAT16 else attend_floats


@kernel
def attend(joint: Floats, heads: int, room: AttentionRoom, mixed: Floats) -> None:
    """joint: float32[n, 3 d], queries, keys and values of all heads of a text; mixed: float32[n, d], written in place.
    d / heads: a multiple of 32."""
    if mixed.shape[0] < _LONG_TOKENS:
        attend_floats(joint, heads, room, mixed)
    else:
        _attend_long(joint, heads, room, mixed)
