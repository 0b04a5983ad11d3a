"""Every kernel against its NumPy twin, over shapes that include the empty, the odd and the padded."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kernels
from tests.kernels import naive
from tests.kernels.laws import few, seeds


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
    others = {"warm_up", "compiled_once", "compiled_signatures", "aligned", "attention_room", "pack_codes"}
    assert public - others == set(kernels.KERNELS)


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


@pytest.mark.parametrize("width", [128, 256, 384])
@pytest.mark.parametrize("name", ["dot_digits", "dot_digits_portable", "dot_digits_vnni"])
def test_dot_of_digits_is_exact(name: str, width: int, rng: np.random.Generator) -> None:
    if name == "dot_digits_vnni" and not kernels.HAS_VNNI:
        pytest.skip("this CPU (or NUMBA_DISABLE_JIT) has no AVX512-VNNI")
    dot: Callable[..., int] = getattr(kernels, name)
    extremes = np.full(width, 127, np.int8)
    for row in (np.full(width // 2, 255, np.uint8), *rng.integers(0, 256, (20, width // 2), dtype=np.uint8)):
        for query in (extremes, -extremes, rng.integers(-127, 128, width, dtype=np.int8)):
            assert dot(row, query) == naive.dot_digits(row, query)


def stored(
    rng: np.random.Generator, vectors: npt.NDArray[np.float32], center: npt.NDArray[np.float32]
) -> tuple[Any, Any, Any]:
    """digits, fine codes, scales: of noise, to be overwritten."""
    width = -(-vectors.shape[1] // kernels.ROW_WIDTH) * kernels.ROW_WIDTH
    rows = len(vectors)
    arrays = np.ones((rows, width // 2), np.uint8), np.ones((rows, width), np.int8), np.ones(rows, np.float32)
    kernels.encode(vectors, center, *arrays)
    return arrays


@few
@given(seeds, st.integers(0, 20), st.integers(1, 200))
def test_encoding(seed: int, rows: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, center = unit_rows(rng, rows, dimension), rng.standard_normal(dimension).astype(np.float32)
    vectors[rng.random(rows) < 0.1] = center
    digits, fine, scales = stored(rng, vectors, center)
    twin = [np.ones_like(array) for array in (digits, fine, scales)]
    naive.encode(vectors, center, *twin)
    np.testing.assert_allclose(scales, twin[2], rtol=1e-5)
    some = rng.permutation(rows)[: rows // 2 + 1].astype(np.int64)
    mine, twins = np.zeros((len(some), dimension), np.float32), np.zeros((len(some), dimension), np.float32)
    kernels.decode(digits, fine, scales, center, some, mine)
    naive.decode(twin[0], twin[1], twin[2], center, some, twins)
    # A component halfway between two digits may become either.
    np.testing.assert_allclose(mine, twins, atol=2 * scales.max(initial=0.0) / 508 + 1e-6)
    error = np.abs(mine - vectors[some])
    assert (error <= scales[some, None] / 507 + 1e-6).all()


floats = st.floats(-(2.0**100), 2.0**100, width=32)


@few
@given(st.lists(st.tuples(floats, st.integers(0, 2**31 - 2)), min_size=1, max_size=20))
def test_entries_sort_as_scores_do(scored: list[tuple[float, int]]) -> None:
    entries = [kernels.entry_of(*each) for each in scored]
    assert entries == [naive.entry_of(*each) for each in scored]
    for entry, (score, row) in zip(entries, scored, strict=True):
        assert kernels.row_of(entry) == naive.row_of(entry) == row
        assert kernels.score_of(entry) == naive.score_of(entry) == score
    signed = [(score if score else np.copysign(0.0, score), row) for score, row in scored]
    order = sorted(range(len(scored)), key=lambda i: (-signed[i][0], -np.copysign(1, signed[i][0]), signed[i][1]))
    assert [entries[i] for i in order] == sorted(entries, reverse=True)
    rows, scores = np.zeros((2, len(entries)), np.int32), np.zeros((2, len(entries)), np.float32)
    kernels.unpack(np.array(entries, np.int64), rows[0], scores[0])
    naive.unpack(np.array(entries, np.int64), rows[1], scores[1])
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(scores[0], scores[1])


@few
@given(seeds, st.integers(0, 30), st.integers(1, 10))
def test_offering(seed: int, offered: int, kept: int) -> None:
    rng = np.random.default_rng(seed)
    mine, twins = np.zeros((2, kept), np.int64)
    size = 0
    for row in rng.permutation(offered).tolist():
        entry = kernels.entry_of(float(rng.integers(-3, 3)), row)
        assert kernels.offer(mine, size, entry) == naive.offer(twins, size, entry)
        size = min(size + 1, kept)
    np.testing.assert_array_equal(mine[:size], twins[:size])


def digit_rows(rng: np.random.Generator, rows: int) -> tuple[Any, Any, Any]:
    """digits, scales that floats multiply exactly, and a query."""
    digits = rng.integers(0, 256, (rows, 64), dtype=np.uint8)
    return digits, 2.0 ** rng.integers(-3, 3, rows).astype(np.float32), rng.integers(-127, 128, 128, dtype=np.int8)


@few
@given(seeds, st.integers(1, 200), st.integers(1, 40), st.sampled_from([0.0, 0.05, 1.0]))
def test_scanning(seed: int, rows: int, k: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    digits, scales, query = digit_rows(rng, rows)
    candidates = np.flatnonzero(rng.random(rows) < share).astype(np.int32)
    mine, twins = np.zeros((2, k), np.int64)
    size = kernels.scan_digits(digits, scales, query, candidates, mine)
    assert size == naive.scan_digits(digits, scales, query, candidates, twins)
    np.testing.assert_array_equal(mine[:size], twins[:size])


@few
@given(seeds, st.integers(1, 60), st.integers(1, 20), st.integers(1, 150))
def test_refining(seed: int, rows: int, k: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit_rows(rng, rows, dimension)
    center = vectors.mean(axis=0)
    digits, fine, scales = stored(rng, vectors, center)
    codes, codes_fine = np.zeros((2, fine.shape[1]), np.int8)
    step = kernels.prepare_query(vectors[0], codes, codes_fine)
    bias = float(center @ vectors[0])
    query = codes, codes_fine, step
    pool = np.array([kernels.entry_of(0.0, row) for row in rng.permutation(rows).tolist()], np.int64)
    mine, twins = np.zeros((2, min(k, rows)), np.int64)
    size = kernels.refine(digits, fine, scales, bias, *query, pool, rows, mine)
    assert size == naive.refine(digits, fine, scales, bias, *query, pool, rows, twins)
    scores = np.array([kernels.score_of(entry) for entry in mine.tolist()])
    truth = np.array([naive.score_of(entry) for entry in twins.tolist()])
    np.testing.assert_allclose(scores, truth, atol=1e-5)
    exact = np.sort(vectors @ vectors[0])[::-1][:size]
    np.testing.assert_allclose(scores, exact, atol=0.002)
    assert kernels.dot_floats(vectors[0], vectors[-1]) == pytest.approx(
        naive.dot_floats(vectors[0], vectors[-1]), abs=1e-6
    )


@few
@given(seeds, st.integers(1, 300), st.integers(0, 40))
def test_scanning_more(seed: int, rows: int, already: int) -> None:
    rng = np.random.default_rng(seed)
    digits, scales, query = digit_rows(rng, rows)
    order = rng.permutation(rows).astype(np.int32)
    mine, twins = np.zeros((2, 30), np.int64)
    size = kernels.scan_digits(digits, scales, query, order[:already], mine)
    twins[:] = mine
    assert kernels.scan_more(digits, scales, query, order[already:], mine, size) == min(30, rows)
    assert naive.scan_more(digits, scales, query, order[already:], twins, size) == min(30, rows)
    np.testing.assert_array_equal(mine[: min(30, rows)], twins[: min(30, rows)])


@few
@given(seeds, st.integers(1, 300), st.sampled_from([0.02, 0.5, 1.0]), st.data())
def test_rows_between(seed: int, rows: int, share: float, data: st.DataObject) -> None:
    words = random_words(np.random.default_rng(seed), rows, share)
    first = data.draw(st.integers(0, rows))
    end = data.draw(st.integers(first, rows))
    assert kernels.count_between(words, first, end) == naive.count_between(words, first, end)
    mine, twins = np.full((2, rows + 1), -7, np.int32)
    assert kernels.list_between(words, first, end, mine, 1) == naive.list_between(words, first, end, twins, 1)
    np.testing.assert_array_equal(mine, twins)


def random_cells(rng: np.random.Generator, rows: int, cells: int) -> npt.NDArray[np.int32]:
    """Where each ends."""
    inner = rng.permutation(np.arange(1, rows))[: cells - 1]
    return np.append(np.sort(inner), rows).astype(np.int32)


@few
@given(seeds, st.integers(1, 200), st.integers(1, 30))
def test_assigning_rows_to_cells(seed: int, rows: int, cells: int) -> None:
    rng = np.random.default_rng(seed)
    digits, scales, _ = digit_rows(rng, rows)
    codes = rng.integers(-127, 128, (cells, 2 * digits.shape[1]), dtype=np.int8)
    cell_scales, halves = rng.random((2, cells)).astype(np.float32)
    some = rng.permutation(rows)[: rng.integers(1, rows + 1)].astype(np.int32)
    mine, twins = np.zeros((2, len(some)), np.int32)
    kernels.assign_cells(digits, scales, some, codes, cell_scales, halves * 1e4, mine)
    naive.assign_cells(digits, scales, some, codes, cell_scales, halves * 1e4, twins)
    np.testing.assert_array_equal(mine, twins)


@few
@given(seeds, st.integers(1, 300), st.integers(1, 40), st.integers(1, 20), st.sampled_from([0.02, 0.5, 1.0]))
def test_searching_cells(seed: int, rows: int, cells: int, k: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    digits, scales, query = digit_rows(rng, rows)
    ends, allowed = random_cells(rng, rows, cells), random_words(rng, rows, share)
    codes = rng.integers(-127, 128, (len(ends), len(query)), dtype=np.int8)
    cell_scales, medoids = rng.random(len(ends)).astype(np.float32), ends - 1
    starts, twin_starts = np.zeros((2, min(3, len(ends))), np.int32)
    means, twin_means = np.zeros((2, len(ends)), np.float32)
    near = kernels.survey(codes, cell_scales, ends, medoids, query, allowed, means, starts)
    truth = naive.survey(codes, cell_scales, ends, medoids, query, allowed, twin_means, twin_starts)
    assert near == pytest.approx(truth)
    np.testing.assert_array_equal(means, twin_means)
    np.testing.assert_array_equal(starts, twin_starts)
    deviations = rng.random(len(ends)).astype(np.float32)
    fits = naive.rows_of(allowed)
    for missing, fewest in itertools.product((0.0, 0.1, 1.0, 1e9), (0, 30)):
        mine, twins = np.zeros((2, k + 5), np.int64)
        counts, twin_counts = np.zeros((2, 2), np.int64)
        listed = np.zeros(rows, np.int32)
        arrays = digits, scales, ends, means, deviations, query, allowed, k, fewest, missing, listed
        size = kernels.scan_cells(*arrays, mine, counts)
        twin_size = naive.scan_cells(*arrays, twins, twin_counts)
        # In between, an estimate that lies on the border may be rounded to either side.
        assert missing in (0.1, 1.0) or counts.tolist() == twin_counts.tolist()
        if counts.tolist() == twin_counts.tolist():
            assert size == twin_size
            np.testing.assert_array_equal(mine[:size], twins[:size])
        assert {naive.row_of(entry) for entry in mine[:size].tolist()} <= set(fits)
        assert size >= min(k, len(fits))
        assert counts[0] >= min(fewest, len(fits))
        if missing == 0.0:
            assert counts[0] == len(fits)


def random_links(rng: np.random.Generator, rows: int, degree: int) -> npt.NDArray[np.int32]:
    links = np.full((rows, degree), kernels.NO_ROW, np.int32)
    for row, line in enumerate(links):
        others = rng.permutation(rows)[: rng.integers(0, degree + 1)]
        others = others[others != row]
        line[: len(others)] = others
    return links


@few
@given(seeds, st.integers(1, 150), st.integers(1, 30), st.sampled_from([1, 4, 12]), st.sampled_from([0.1, 0.5, 1.0]))
@example(20503, 137, 5, 1, 0.1)  # two rows of the same score, of which the greater is expanded first
def test_walking(seed: int, rows: int, effort: int, degree: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    digits, scales, query = digit_rows(rng, rows)
    links, allowed = random_links(rng, rows, degree), random_words(rng, rows, share)
    starts = rng.integers(0, rows, 3).astype(np.int32)
    visited, trail = np.zeros(-(-rows // 64), np.uint64), np.zeros(rows + 1, np.int32)
    mine, twins = np.zeros((2, effort), np.int64)
    counts, truth = np.zeros((2, 2), np.int64)
    size = kernels.walk(digits, scales, links, starts, query, visited, trail, mine, counts)
    assert size == naive.walk(digits, scales, links, starts, query, visited, trail, twins, truth)
    np.testing.assert_array_equal(mine[:size], twins[:size])
    np.testing.assert_array_equal(counts, truth)
    assert not visited.any()
    kept = kernels.keep_allowed(mine, size, allowed, 5)
    assert kept == naive.keep_allowed(twins, size, allowed, 5)
    np.testing.assert_array_equal(mine[:kept], twins[:kept])


@few
@given(seeds, st.integers(1, 120), st.integers(1, 12), st.sampled_from([0.1, 1.0]))
def test_a_search_in_one_call(seed: int, rows: int, k: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit_rows(rng, rows, 40)
    center = vectors.mean(axis=0)
    digits, fine, scales = stored(rng, vectors, center)
    codes, codes_fine, twin_codes, twin_fine = np.ones((4, fine.shape[1]), np.int8)
    step = kernels.prepare_query(vectors[0], codes, codes_fine)
    twin_step = naive.prepare_query(vectors[0], twin_codes, twin_fine)
    assert step == pytest.approx(twin_step)
    both = codes + codes_fine / 254
    np.testing.assert_allclose(both, twin_codes + twin_fine / 254, atol=0.005)
    np.testing.assert_allclose(step * both[:40], vectors[0], atol=step / 400)
    assert not both[40:].any()
    links, allowed = random_links(rng, rows, 6), random_words(rng, rows, share)
    candidates = np.array(naive.rows_of(allowed), np.int32)
    starts, ends = candidates[:2], random_cells(rng, rows, 5)
    cells = ends, np.zeros(len(ends), np.float32), np.ones(len(ends), np.float32)
    arrays = digits, fine, scales, center, vectors[0], codes, codes_fine, step
    found = []
    for side in (kernels, naive):
        near, scores = np.zeros(k, np.int32), np.zeros(k, np.float32)
        pool, counts, trail = np.zeros(2 * k, np.int64), np.zeros(2, np.int64), np.zeros(rows + 1, np.int32)
        listed = side.nearest_listed(*arrays, candidates, pool, near, scores)
        found.append([listed, *scores[:listed].tolist()])
        opened = side.nearest_in_cells(*arrays, *cells, allowed, 3, 0.0, trail, pool, counts, near, scores)
        found.append([opened, *scores[:opened].tolist(), *counts.tolist()])
        scratch = np.zeros(-(-rows // 64), np.uint64), trail, pool, counts
        walked = side.nearest_walked(*arrays, links, starts, allowed, 1, k, *scratch, near, scores)
        found.append([walked, *scores[:walked].tolist(), *counts.tolist()])
        few = side.nearest_walked(*arrays, links, starts, allowed, 2 * k + 1, k, *scratch, near, scores)
        assert (few, walked <= k) == (0, True)
        assert set(near[:walked].tolist()) <= set(candidates.tolist())
    for mine, truth in zip(found[:3], found[3:], strict=True):
        np.testing.assert_allclose(mine, truth, atol=1e-5)


def linking(rng: np.random.Generator, rows: int) -> kernels.Linking:
    """Rows of few whole numbers, so that floats are exact."""
    codes = rng.integers(-3, 4, (rows, 64), dtype=np.int8)
    offsets = rng.integers(-5, 5, rows).astype(np.float32)
    return kernels.Linking(codes, np.ones(rows, np.float32), offsets, codes.sum(axis=1, dtype=np.int32), 600.0, 1.25)


@few
@given(seeds, st.integers(2, 60), st.integers(1, 8), st.integers(0, 4))
def test_linking(seed: int, rows: int, degree: int, slack: int) -> None:
    rng = np.random.default_rng(seed)
    by = linking(rng, rows)
    assert kernels.similarity(by, 0, rows - 1) == naive.similarity(by, 0, rows - 1)
    pool = np.array(sorted((naive.entry_of(naive.similarity(by, r, 0), r) for r in range(1, rows)), reverse=True))
    mine, twins = np.zeros((2, degree), np.int32)
    assert kernels.select_edges(by, pool, len(pool), mine) == naive.select_edges(by, pool, len(pool), twins)
    np.testing.assert_array_equal(mine, twins)

    digits, scales, _ = digit_rows(rng, rows)
    my_links = random_links(rng, rows, degree + slack)
    batch = rng.permutation(rows)[: rows // 2].astype(np.int32)
    my_links[batch] = kernels.NO_ROW
    twins_links = my_links.copy()
    queries = rng.integers(-127, 128, (len(batch), 128), dtype=np.int8)
    effort = 10
    scratch = np.zeros(-(-rows // 64), np.uint64), np.zeros(rows + 1, np.int32), np.zeros(effort, np.int64)
    ranked = np.zeros(max(effort, degree + slack + 1), np.int64)
    my_proposals, twins_proposals = np.zeros((2, len(batch), degree), np.int32)
    starts = np.setdiff1d(np.arange(rows), batch)[:3].astype(np.int32)
    for side, links, proposals in ((kernels, my_links, my_proposals), (naive, twins_links, twins_proposals)):
        side.propose(digits, scales, by, queries, links, starts, batch, *scratch, ranked, proposals)
        side.connect(by, links, batch, proposals, ranked)
    np.testing.assert_array_equal(my_proposals, twins_proposals)
    np.testing.assert_array_equal(my_links, twins_links)
    my_trimmed, twins_trimmed = np.zeros((2, rows, degree), np.int32)
    kernels.trim(by, my_links, ranked, my_trimmed)
    naive.trim(by, twins_links, ranked, twins_trimmed)
    np.testing.assert_array_equal(my_trimmed, twins_trimmed)


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


@pytest.mark.parametrize("bad", [-(2**31), -1, 64, 2**31 - 1])
def test_numbers_that_point_nowhere_are_passed_over(bad: int) -> None:
    """As a damaged file has them: nothing is read or written beside the arrays, and what is right is found."""
    around = np.zeros(3, np.uint64)
    target = around[1:2]
    rows = np.array([5, bad, 7], np.int32)
    expected = (1 << 5) | (1 << 7)
    kernels.mark_rows(rows, target)
    assert around.tolist() == [0, expected, 0]
    assert kernels.mark_common(rows, np.array([expected], np.uint64), target) == 2
    kernels.clear_rows(rows, target)
    assert not around.any()
    none, no_bitmaps = np.zeros(0, np.int32), np.zeros((0, 1), np.uint64)
    code = np.zeros(1, np.int32)
    for offsets in ([0, 3], [bad, 3], [0, 2**40]):
        kernels.mark_postings(np.array(offsets, np.int64), rows, none, no_bitmaps, code, target)
        assert around[0] == around[2] == 0
    assert target[0] == expected
    listed, flags = np.array([True]), np.zeros(1, np.bool_)
    kernels.mark_listed(np.array([bad, 0], np.int32), listed, np.zeros(1, np.uint64))
    for offsets in ([0, 2], [-(2**40), 2], [0, 2**40]):
        kernels.carries_any(np.array(offsets, np.int64), np.array([bad, 0], np.int32), listed, code, flags)
        kernels.mark_any(np.array(offsets, np.int64), np.array([bad, 0], np.int32), listed, target)
        assert flags[0]
    content, found = np.frombuffer(b"abc", np.uint8), np.zeros(1, np.int32)
    for offsets in ([0, 2**40], [-(2**40), 3], [2**40, 2**41]):
        kernels.find_texts(np.array(offsets, np.int64), content, np.array([0, 3], np.int64), content, found)
        assert -1 <= found[0] <= 0
