"""The layers of a BERT encoder over the tokens of some texts, one after the other without padding, on one core.

Matrices are int8; activations are quantized to uint8 by the token, so that a text's states do not depend on what else
is read along with it. All else is float32, but for attention over long texts (`kernels/attention.py`). Of 20 tokens of
multilingual-e5-small nine tenths of the time is that of the products of codes, which run at the CPU's peak
(`kernels/products.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.attention import AttentionRoom, attend
from kernels.jit import kernel
from kernels.products import TILE_ROWS, Weights, larger, multiply_codes, quantize_rows, smaller

Floats = npt.NDArray[np.float32]

INNER_ROWS = 6 * TILE_ROWS
"""So many rows go through the feed-forward network at once: what is between its matrices stays in the second cache."""
NO_COLUMN = -1
_NIBBLE_ZERO = np.float32(8.0)

_ERF_RANGE = np.float32(4.0)
_ROOT_HALF, _HALF, _ONE = np.float32(0.7071067811865476), np.float32(0.5), np.float32(1.0)


class PackedWords(NamedTuple):
    """A table in 4 bits. packed: uint8[pieces, d / 2], even columns in the low halves; scales: float32[pieces, d /
    block], of blocks of columns; a value is (nibble - 8) * scale."""

    packed: npt.NDArray[np.uint8]
    scales: Floats
    block: int


class Norm(NamedTuple):
    """weights, bias: float32[layers, d]."""

    weights: Floats
    bias: Floats


class Layers(NamedTuple):
    """joint: to queries, keys and values, side by side. mixing: of what attention gives. rising, falling: into and out
    of the feed-forward network. outliers: int64[layers, m], inputs of `falling` that are multiplied in float32 with
    apart: float32[layers, m, d]; NO_COLUMN where a layer has fewer."""

    joint: Weights
    mixing: Weights
    rising: Weights
    falling: Weights
    middle: Norm
    last: Norm
    outliers: npt.NDArray[np.int64]
    apart: Floats
    heads: int
    epsilon: float


class Scratch(NamedTuple):
    """For texts of n tokens together; attention: for the longest. joint: float32[n, 3 d]; mixed, moved: float32[n, d];
    inner: float32[INNER_ROWS, f]; codes: uint8[n, d]; inner_codes: uint8[INNER_ROWS, f]; lows, steps: float32[n];
    apart: float32[INNER_ROWS, m]."""

    joint: Floats
    mixed: Floats
    moved: Floats
    inner: Floats
    codes: npt.NDArray[np.uint8]
    inner_codes: npt.NDArray[np.uint8]
    lows: Floats
    steps: Floats
    attention: AttentionRoom
    apart: Floats


@kernel
def look_up_words(words: PackedWords, ids: npt.NDArray[np.int64], rows: Floats) -> None:
    """The words of ids: int64[n] into rows: float32[n, d]."""
    for i in range(ids.shape[0]):
        word, scales, row = words.packed[ids[i]], words.scales[ids[i]], rows[i]
        for j in range(row.shape[0] // 2):
            scale = scales[2 * j // words.block]
            row[2 * j] = (np.float32(word[j] & np.uint8(15)) - _NIBBLE_ZERO) * scale
            row[2 * j + 1] = (np.float32(word[j] >> np.uint8(4)) - _NIBBLE_ZERO) * scale


@kernel
def normalize_sums(values: Floats, addends: Floats, weights: Floats, bias: Floats, epsilon: float) -> None:
    """Layer normalization (Ba et al. 2016) of values + addends: float32[n, d], into values; weights, bias:
    float32[d]."""
    for i in range(values.shape[0]):
        row, other = values[i], addends[i]
        width = np.float32(row.shape[0])
        total = np.float32(0.0)
        for j in range(row.shape[0]):
            row[j] += other[j]
        # A loop of its own: one that stores and sums is not spread over vector lanes.
        for j in range(row.shape[0]):
            total += row[j]
        mean = total / width
        squares = np.float32(0.0)
        for j in range(row.shape[0]):
            centered = row[j] - mean
            squares += centered * centered
        factor = _ONE / np.sqrt(squares / width + np.float32(epsilon))
        for j in range(row.shape[0]):
            row[j] = (row[j] - mean) * factor * weights[j] + bias[j]


@kernel
def _erf(x: np.float32) -> np.float32:
    """The error function, wrong by less than 1e-6: x times a rational function of its square, as in Eigen 3.4
    (SpecialFunctionsImpl.h, generic_fast_erf_float)."""
    x = smaller(larger(x, -_ERF_RANGE), _ERF_RANGE)
    square = x * x
    top = np.float32(-2.72614225801306e-10)
    top = top * square + np.float32(2.77068142495902e-08)
    top = top * square + np.float32(-2.10102402082508e-06)
    top = top * square + np.float32(-5.69250639462346e-05)
    top = top * square + np.float32(-7.34990630326855e-04)
    top = top * square + np.float32(-2.95459980854025e-03)
    top = top * square + np.float32(-1.60960333262415e-02)
    bottom = np.float32(-1.45660718464996e-05)
    bottom = bottom * square + np.float32(-2.13374055278905e-04)
    bottom = bottom * square + np.float32(-1.68282697438203e-03)
    bottom = bottom * square + np.float32(-7.37332916720468e-03)
    bottom = bottom * square + np.float32(-1.42647390514189e-02)
    return x * top / bottom


@kernel
def apply_gelu(values: Floats) -> None:
    """x * (1 + erf(x / sqrt 2)) / 2, in place, of values: float32[n, d]."""
    for i in range(values.shape[0]):
        row = values[i]
        for j in range(row.shape[0]):
            row[j] = _HALF * row[j] * (_ONE + _erf(row[j] * _ROOT_HALF))


@kernel
def run_layers(states: Floats, starts: npt.NDArray[np.int64], layers: Layers, scratch: Scratch) -> None:
    """states: float32[n, d], what goes into the first layer, becomes what the last one gives. Text i is rows starts[i]
    to starts[i + 1]; starts: int64[texts + 1], rising, from 0 to n."""
    rows = states.shape[0]
    codes, lows, steps = scratch.codes[:rows], scratch.lows[:rows], scratch.steps[:rows]
    mixed, moved = scratch.mixed[:rows], scratch.moved[:rows]
    for layer in range(layers.joint.packed.shape[0]):
        quantize_rows(states, codes, lows, steps)
        by = layers.joint
        multiply_codes(
            codes, lows, steps, by.packed[layer], by.sums[layer], by.scales[layer], by.bias[layer], scratch.joint
        )
        for text in range(starts.shape[0] - 1):
            first, last = starts[text], starts[text + 1]
            attend(scratch.joint[first:last], layers.heads, scratch.attention, mixed[first:last])
        quantize_rows(mixed, codes, lows, steps)
        by = layers.mixing
        multiply_codes(codes, lows, steps, by.packed[layer], by.sums[layer], by.scales[layer], by.bias[layer], moved)
        normalize_sums(states, moved, layers.middle.weights[layer], layers.middle.bias[layer], layers.epsilon)
        quantize_rows(states, codes, lows, steps)
        for first in range(0, rows, INNER_ROWS):
            last = min(rows, first + INNER_ROWS)
            _feed_forward(
                codes[first:last], lows[first:last], steps[first:last], layer, layers, scratch, moved[first:last]
            )
        normalize_sums(states, moved, layers.last.weights[layer], layers.last.bias[layer], layers.epsilon)


@kernel
def _feed_forward(
    codes: npt.NDArray[np.uint8],
    lows: Floats,
    steps: Floats,
    layer: int,
    layers: Layers,
    scratch: Scratch,
    out: Floats,
) -> None:
    """Of up to INNER_ROWS rows; lows and steps are overwritten."""
    rows = codes.shape[0]
    inner, inner_codes, apart = scratch.inner[:rows], scratch.inner_codes[:rows], scratch.apart
    outliers = layers.outliers[layer]
    by = layers.rising
    multiply_codes(codes, lows, steps, by.packed[layer], by.sums[layer], by.scales[layer], by.bias[layer], inner)
    apply_gelu(inner)
    for i in range(rows):
        for j in range(outliers.shape[0]):
            if outliers[j] != NO_COLUMN:
                # In the range of a row it would take the resolution of all others.
                apart[i, j] = inner[i, outliers[j]]
                inner[i, outliers[j]] = np.float32(0.0)
    quantize_rows(inner, inner_codes, lows, steps)
    by = layers.falling
    multiply_codes(inner_codes, lows, steps, by.packed[layer], by.sums[layer], by.scales[layer], by.bias[layer], out)
    for i in range(rows):
        for j in range(outliers.shape[0]):
            if outliers[j] != NO_COLUMN:
                row, weights = out[i], layers.apart[layer, j]
                for k in range(row.shape[0]):
                    row[k] += apart[i, j] * weights[k]


@kernel
def embed_words(
    words: PackedWords,
    positions: Floats,
    norm: Norm,
    epsilon: float,
    ids: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    scratch: Scratch,
    states: Floats,
) -> None:
    """What goes into the first layer into states: float32[n, d]: the normalized sums of the words of ids: int64[n] and
    of positions: float32[longest text or more, d]. norm: one layer's, alone. `starts`: see `run_layers`."""
    look_up_words(words, ids, states)
    places = scratch.moved[: states.shape[0]]
    for text in range(starts.shape[0] - 1):
        for i in range(starts[text], starts[text + 1]):
            places[i] = positions[i - starts[text]]
    normalize_sums(states, places, norm.weights[0], norm.bias[0], epsilon)


@kernel
def average_rows(states: Floats, starts: npt.NDArray[np.int64], vectors: Floats) -> None:
    """The mean of each text's rows, scaled to length 1, into vectors: float32[texts, d]; `starts`: see `run_layers`."""
    for text in range(starts.shape[0] - 1):
        vector = vectors[text]
        vector[:] = np.float32(0.0)
        for i in range(starts[text], starts[text + 1]):
            row = states[i]
            for j in range(vector.shape[0]):
                vector[j] += row[j]
        squares = np.float32(0.0)
        for j in range(vector.shape[0]):
            squares += vector[j] * vector[j]
        # The mean differs from the sum by a factor, which the length takes away.
        inverse = _ONE / np.sqrt(squares)
        for j in range(vector.shape[0]):
            vector[j] *= inverse
