"""Every kernel of the encoder against its NumPy twin."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import example, given
from hypothesis import strategies as st

import kernels
from tests.kernels import naive
from tests.kernels.laws import few, fewer, seeds


def random_weights(rng: np.random.Generator, layers: int, inputs: int, outputs: int) -> kernels.Weights:
    codes = rng.integers(-127, 128, (layers, inputs, outputs)).astype(np.int8)
    return kernels.Weights(
        np.stack([kernels.pack_codes(each) for each in codes]),
        codes.sum(axis=1, dtype=np.int64).astype(np.float32),
        *rng.uniform(0.001, 0.003, (1, layers, outputs)).astype(np.float32),
        *rng.normal(0, 0.1, (1, layers, outputs)).astype(np.float32),
    )


def scratch(rows: int, hidden: int, heads: int, inner: int, outliers: int) -> kernels.Scratch:
    """Filled with what must have no effect."""

    def old(*shape: int) -> npt.NDArray[np.float32]:
        return np.full(shape, 7.0, np.float32)

    room = kernels.attention_room(rows, hidden // heads)
    for each in room:
        each.fill(7)
    return kernels.Scratch(
        joint=old(rows, 3 * hidden),
        mixed=old(rows, hidden),
        moved=old(rows, hidden),
        inner=old(kernels.INNER_ROWS, inner),
        codes=np.full((rows, hidden), 7, np.uint8),
        inner_codes=np.full((kernels.INNER_ROWS, inner), 7, np.uint8),
        lows=old(rows),
        steps=old(rows),
        attention=room,
        apart=old(kernels.INNER_ROWS, outliers),
    )


@few
@given(seeds, st.integers(0, 9), st.integers(1, 40))
def test_a_code_is_off_by_half_a_step_at_most(seed: int, rows: int, width: int) -> None:
    values = np.random.default_rng(seed).normal(0, 3, (rows, width)).astype(np.float32)
    values[::3] = values[::3, :1]
    codes, (lows, steps) = np.full(values.shape, 9, np.uint8), np.empty((2, rows), np.float32)
    kernels.quantize_rows(values, codes, lows, steps)
    twins = np.empty(rows, np.float32), np.empty(rows, np.float32)
    naive.quantize_rows(values, np.empty_like(codes), *twins)
    np.testing.assert_array_equal(lows, twins[0])
    np.testing.assert_allclose(steps, twins[1], rtol=1e-6)
    wrong = np.abs(values - (lows[:, None] + steps[:, None] * codes.astype(np.float64)))
    assert (wrong <= steps[:, None] * 0.501 + 1e-6).all()


@fewer
@given(seeds, st.integers(0, 3 * kernels.TILE_ROWS + 2), st.integers(1, 12), st.integers(1, 3))
@example(1, 2 * kernels.TILE_ROWS, 96, 1)
def test_products_of_codes(seed: int, rows: int, groups: int, panels: int) -> None:
    rng = np.random.default_rng(seed)
    weights = random_weights(rng, 1, 4 * groups, kernels.PANEL * panels)
    codes = rng.integers(0, 256, (rows, 4 * groups)).astype(np.uint8)
    lows, steps = rng.normal(0, 1, rows).astype(np.float32), rng.uniform(0, 0.02, rows).astype(np.float32)
    mine, twins = np.full((2, rows + 2, kernels.PANEL * panels), 7, np.float32)
    layer = kernels.Weights(*(part[0] for part in weights))
    kernels.multiply_codes(codes, lows, steps, *layer, mine)
    naive.multiply_codes(codes, lows, steps, *layer, twins)
    np.testing.assert_allclose(mine, twins, rtol=1e-4, atol=1e-4)


@fewer
@given(seeds, st.integers(1, 70), st.sampled_from([0.1, 1.0, 30.0]))
def test_functions_of_activations(seed: int, width: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(0, size, (3, width)).astype(np.float32)
    addends, (weights, bias) = rng.normal(0, 1, (3, width)).astype(np.float32), rng.normal(0, 1, (2, width))
    parameters = weights.astype(np.float32), bias.astype(np.float32)
    mine, twins = values.copy(), values.copy()
    kernels.apply_gelu(mine)
    naive.apply_gelu(twins)
    np.testing.assert_allclose(mine, twins, rtol=1e-5, atol=1e-5)
    kernels.apply_softmax(mine[0], 0.3)
    naive.apply_softmax(twins[0], 0.3)
    np.testing.assert_allclose(mine[0], twins[0], rtol=1e-4, atol=1e-7)
    mine, twins = values.copy(), values.copy()
    kernels.normalize_sums(mine, addends, *parameters, 0.01)
    naive.normalize_sums(twins, addends, *parameters, 0.01)
    np.testing.assert_allclose(mine, twins, rtol=1e-4, atol=1e-4)


@fewer
@given(seeds, st.integers(1, 45), st.integers(1, 3), st.sampled_from([32, 64]))
@example(1, 97 if kernels.JITTED else 2, 2, 32)
def test_attention(seed: int, tokens: int, heads: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    joint = rng.normal(0, 1, (tokens, 3 * heads * size)).astype(np.float32)
    room = scratch(tokens, heads * size, heads, 4, 1)
    mine, twins = np.empty((2, tokens, heads * size), np.float32)
    kernels.attend_floats(joint, heads, room.attention, mine)
    naive.attend_floats(joint, heads, room.attention, twins)
    np.testing.assert_allclose(mine, twins, rtol=1e-4, atol=1e-4)
    if kernels.HAS_BFLOAT16:
        kernels.attend_halves(joint, heads, room.attention, mine)
        # A bfloat16 has 8 bits, and values are about 1.
        np.testing.assert_allclose(mine, twins, atol=0.03)


@fewer
@given(seeds, st.lists(st.integers(1, 30 if kernels.JITTED else 3), min_size=1, max_size=4), st.integers(0, 2))
@example(1, [64, 30] if kernels.JITTED else [2], 1)
@example(2, [97, 5, 130] if kernels.JITTED else [3], 1)
def test_an_encoder(seed: int, lengths: list[int], outliers: int) -> None:
    rng = np.random.default_rng(seed)
    layers, block = 2, 32
    hidden, heads, inner = (64, 2, 96) if kernels.JITTED else (32, 1, 32)

    def floats(around: float, *shape: int) -> npt.NDArray[np.float32]:
        return rng.normal(around, 0.2, shape).astype(np.float32)

    columns = np.stack([rng.permutation(inner)[:outliers] for _ in range(layers)]).astype(np.int64)
    columns[0, 1:] = kernels.NO_COLUMN
    weights = kernels.Layers(
        random_weights(rng, layers, hidden, 3 * hidden),
        random_weights(rng, layers, hidden, hidden),
        random_weights(rng, layers, hidden, inner),
        random_weights(rng, layers, inner, hidden),
        kernels.Norm(floats(1, layers, hidden), floats(0, layers, hidden)),
        kernels.Norm(floats(1, layers, hidden), floats(0, layers, hidden)),
        columns,
        floats(0, layers, outliers, hidden),
        heads,
        1e-6,
    )
    packed = rng.integers(0, 256, (50, hidden // 2)).astype(np.uint8)
    words = kernels.PackedWords(packed, rng.uniform(0.01, 0.1, (50, hidden // block)).astype(np.float32), block)
    positions, norm = floats(0, max(lengths), hidden), kernels.Norm(floats(1, 1, hidden), floats(0, 1, hidden))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(0, 50, starts[-1])
    room = scratch(len(ids), hidden, heads, inner, outliers)

    def run(by: Any, ids: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> list[npt.NDArray[np.float32]]:
        states = np.empty((len(ids), hidden), np.float32)
        by.embed_words(words, positions, norm, 1e-6, ids, starts, room, states)
        first = states.copy()
        by.run_layers(states, starts, weights, room)
        vectors = np.empty((len(starts) - 1, hidden), np.float32)
        by.average_rows(states, starts, vectors)
        return [first, states, vectors]

    mine, twins = run(kernels, ids, starts), run(naive, ids, starts)
    np.testing.assert_allclose(mine[0], twins[0], rtol=1e-4, atol=1e-4)
    # A sum that is rounded otherwise makes another code here and there.
    np.testing.assert_allclose(mine[1], twins[1], atol=0.1)
    assert np.sum(mine[2] * twins[2], axis=1).min() > 0.9995
    for text, (first, last) in enumerate(itertools.pairwise(starts)):
        alone = run(kernels, ids[first:last], np.array([0, last - first]))
        np.testing.assert_array_equal(alone[2][0], mine[2][text], "what else is read makes a difference")
