"""Every kernel against its NumPy twin, over shapes that include the empty, the odd and the padded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels
from tests.kernels import naive

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=40, deadline=None)


def unit_rows(rng: np.random.Generator, rows: int, dimension: int) -> npt.NDArray[np.float32]:
    vectors = rng.standard_normal((rows, dimension)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def random_words(rng: np.random.Generator, rows: int, share: float) -> npt.NDArray[np.uint64]:
    bits = np.zeros((rows + 63) // 64 * 64, np.uint8)
    bits[:rows] = rng.random(rows) < share
    return np.packbits(bits, bitorder="little").view(np.uint64)


def test_every_kernel_has_a_twin() -> None:
    assert set(kernels.KERNELS) <= set(kernels.__all__)
    assert [name for name in kernels.KERNELS if not callable(getattr(naive, name, None))] == []
    public = {name for name in kernels.__all__ if isinstance(getattr(kernels, name), type(kernels.count))}
    assert public - {"warm_up", "compiled_signatures"} == set(kernels.KERNELS)


@few
@given(seeds, st.integers(0, 200), st.sampled_from([0.0, 0.1, 1.0]))
def test_bitmaps(seed: int, rows: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    left, right = random_words(rng, rows, 0.5), random_words(rng, rows, share)
    assert kernels.count(right) == naive.count(right)
    listed = np.zeros(rows, np.int32), np.zeros(rows, np.int32)
    assert kernels.list_rows(right, listed[0]) == naive.list_rows(right, listed[1])
    np.testing.assert_array_equal(*listed)
    for name in ("intersect", "unite", "subtract"):
        mine, twins = left.copy(), left.copy()
        getattr(kernels, name)(mine, right)
        getattr(naive, name)(twins, right)
        np.testing.assert_array_equal(mine, twins)
    mine, twins = left.copy(), left.copy()
    assert kernels.intersection(left, right, mine) == naive.intersection(left, right, twins)
    np.testing.assert_array_equal(mine, twins)


@few
@given(seeds, st.integers(0, 200))
def test_marking_rows_by_their_columns(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    column = rng.integers(0, 5, rows, dtype=np.int32)
    offsets = np.concatenate(([0], np.cumsum(rng.integers(0, 4, rows)))).astype(np.int64)
    values = rng.integers(0, 5, offsets[-1], dtype=np.int32)
    listed = rng.random(5) < 0.4
    words = -(-rows // 64)
    arguments: dict[str, tuple[Any, ...]] = {
        "mark_equal": (column, 3),
        "mark_listed": (column, listed),
        "mark_any": (offsets, values, listed),
        "mark_set": (rng.random(rows) < 0.5,),
        "mark_rows": (rng.permutation(rows)[: rows // 2].astype(np.int32),),
        "mark_common": (rng.permutation(rows)[: rows // 2].astype(np.int32), random_words(rng, rows, 0.5)),
        "clear_rows": (rng.permutation(rows)[: rows // 2].astype(np.int32),),
    }
    if rows:
        some_codes, common = (np.flatnonzero(rng.random(rows) < share).astype(np.int32) for share in (0.5, 0.05))
        bitmaps = np.array([random_words(rng, rows, 0.1) for _ in common], np.uint64).reshape(len(common), words)
        postings = rng.integers(0, rows, offsets[-1], dtype=np.int32)
        arguments["mark_postings"] = (offsets, postings, common, bitmaps, some_codes)
    for name, given_arguments in arguments.items():
        before = random_words(rng, rows, 0.1)
        mine, twins = before.copy(), before.copy()
        returned = getattr(kernels, name)(*given_arguments, mine)
        assert returned == getattr(naive, name)(*given_arguments, twins)
        np.testing.assert_array_equal(mine, twins, err_msg=name)
    asked = rng.permutation(rows)[: rows // 2].astype(np.int32)
    found, truth = np.ones(len(asked), np.bool_), np.ones(len(asked), np.bool_)
    kernels.carries_any(offsets, values, listed, asked, found)
    naive.carries_any(offsets, values, listed, asked, truth)
    np.testing.assert_array_equal(found, truth)


def packed(texts: list[bytes]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    return np.cumsum([0, *map(len, texts)], dtype=np.int64), np.frombuffer(b"".join(texts), np.uint8)


@few
@given(st.sets(st.text("aあ\x00", max_size=4)), st.lists(st.text("aあ\x00", max_size=4)))
def test_finding_texts(texts: set[str], wanted: list[str]) -> None:
    found, truth = np.zeros(len(wanted), np.int32), np.zeros(len(wanted), np.int32)
    asked = packed([each.encode() for each in wanted])
    kernels.find_texts(*packed(sorted(each.encode() for each in texts)), *asked, found)
    naive.find_texts(*packed(sorted(each.encode() for each in texts)), *asked, truth)
    np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("width", [64, 128, 384])
@pytest.mark.parametrize("name", ["dot_codes", "dot_codes_portable", "dot_codes_vnni"])
def test_dot_of_codes_is_exact(name: str, width: int, rng: np.random.Generator) -> None:
    if name == "dot_codes_vnni" and not kernels.HAS_VNNI:
        pytest.skip("this CPU (or NUMBA_DISABLE_JIT) has no AVX512-VNNI")
    dot: Callable[..., int] = getattr(kernels, name)
    extremes = np.full(width, 127, np.int8)
    rows = [extremes, -extremes, *rng.integers(-127, 128, (20, width), dtype=np.int8)]
    for row in rows:
        for query in (extremes, -extremes, rows[-1]):
            assert dot(row, query, kernels.sum_codes(query)) == naive.dot_codes(row, query, 0)


@few
@given(seeds, st.integers(0, 20), st.integers(1, 130))
def test_quantizing(seed: int, rows: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((rows, dimension)).astype(np.float32)
    vectors[rng.random(rows) < 0.1] = 0
    width = -(-dimension // kernels.CODE_WIDTH) * kernels.CODE_WIDTH
    mine = np.ones((rows, width), np.int8), np.ones(rows, np.float32)
    twins = np.ones((rows, width), np.int8), np.ones(rows, np.float32)
    kernels.quantize(vectors, *mine)
    naive.quantize(vectors, *twins)
    np.testing.assert_allclose(mine[1], twins[1], rtol=1e-6)
    assert np.abs(mine[0].astype(int) - twins[0]).max(initial=0) <= 1  # a component halfway between two codes
    error = np.abs(vectors - mine[0][:, :dimension] * mine[1][:, None])
    assert (error <= mine[1][:, None] * 0.5001 + 1e-7).all()


@few
@given(seeds, st.integers(0, 30), st.integers(1, 10))
def test_keeping_the_best(seed: int, offered: int, kept: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, offered).astype(np.float32)
    mine = np.zeros(kept, np.float32), np.zeros(kept, np.int32)
    twins = np.zeros(kept, np.float32), np.zeros(kept, np.int32)
    my_size = twins_size = 0
    for row in rng.permutation(offered).tolist():
        my_size = kernels.keep_best(*mine, my_size, scores[row], row)
        twins_size = naive.keep_best(*twins, twins_size, scores[row], row)
    assert my_size == twins_size == min(kept, offered)
    kernels.sort_best_first(*mine, my_size)
    naive.sort_best_first(*twins, twins_size)
    np.testing.assert_array_equal(mine[1][:my_size], twins[1][:my_size])
    np.testing.assert_array_equal(mine[0][:my_size], twins[0][:my_size])


@few
@given(seeds, st.integers(1, 300), st.integers(1, 40), st.sampled_from([0.0, 0.05, 1.0]))
def test_scanning(seed: int, rows: int, k: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(-127, 128, (rows, 64), dtype=np.int8)
    scales = rng.random(rows).astype(np.float32)
    query = rng.integers(-127, 128, 64, dtype=np.int8)
    candidates = np.flatnonzero(rng.random(rows) < share).astype(np.int32)
    mine = np.zeros(k, np.float32), np.zeros(k, np.int32)
    twins = np.zeros(k, np.float32), np.zeros(k, np.int32)
    size = kernels.scan_codes(codes, scales, query, candidates, *mine)
    assert size == naive.scan_codes(codes, scales, query, candidates, *twins)
    np.testing.assert_array_equal(mine[1][:size], twins[1][:size])
    np.testing.assert_array_equal(mine[0][:size], twins[0][:size])


@few
@given(seeds, st.integers(1, 100), st.integers(1, 20))
def test_rescoring(seed: int, rows: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit_rows(rng, rows, 24)
    candidates = rng.permutation(rows)[: rng.integers(0, rows + 1)].astype(np.int32)
    mine = np.zeros(k, np.float32), np.zeros(k, np.int32)
    twins = np.zeros(k, np.float32), np.zeros(k, np.int32)
    size = kernels.rescore(vectors, vectors[0], candidates, *mine)
    assert size == naive.rescore(vectors, vectors[0], candidates, *twins)
    np.testing.assert_allclose(mine[0][:size], twins[0][:size], atol=1e-6)
    assert kernels.dot_floats(vectors[0], vectors[-1]) == pytest.approx(
        naive.dot_floats(vectors[0], vectors[-1]), abs=1e-6
    )


@few
@given(seeds, st.integers(0, 30), st.floats(0, 1), st.booleans())
def test_fusing(seed: int, items: int, weight: float, alike: bool) -> None:
    rng = np.random.default_rng(seed)
    dense = np.full(items, 0.5, np.float32) if alike else rng.random(items).astype(np.float32)
    lexical = (rng.random(items) * 20).astype(np.float32)
    dense[rng.random(items) < 0.3] = np.nan
    lexical[rng.random(items) < 0.3] = np.nan
    mine, twins = np.zeros(items, np.float32), np.zeros(items, np.float32)
    kernels.fuse_convex(dense, lexical, weight, mine)
    naive.fuse_convex(dense, lexical, weight, twins)
    np.testing.assert_allclose(mine, twins, atol=1e-5)
    lexical[rng.random(items) < 0.1] = 1000  # beyond three standard deviations
    kernels.fuse_distribution(dense, lexical, weight, mine)
    naive.fuse_distribution(dense, lexical, weight, twins)
    np.testing.assert_allclose(mine, twins, atol=1e-5)
    kernels.fuse_reciprocal_rank(np.rint(dense * 9) + 1, np.rint(lexical) + 1, weight, 60, mine)
    naive.fuse_reciprocal_rank(np.rint(dense * 9) + 1, np.rint(lexical) + 1, weight, 60, twins)
    np.testing.assert_allclose(mine, twins, rtol=1e-5, atol=1e-7)


@few
@given(seeds, st.integers(0, 20), st.integers(1, 10), st.sampled_from([0.0, 0.3, 1.0]))
def test_selecting_diverse_items(seed: int, items: int, k: int, weight: float) -> None:
    rng = np.random.default_rng(seed)
    relevance, vectors = rng.random(items).astype(np.float32), unit_rows(rng, items, 8)
    mine, twins = np.zeros(k, np.int32), np.zeros(k, np.int32)
    size = kernels.select_diverse(relevance, vectors, weight, np.zeros(items, np.float32), mine)
    assert size == naive.select_diverse(relevance, vectors, weight, np.zeros(items, np.float32), twins)
    np.testing.assert_array_equal(mine[:size], twins[:size])
