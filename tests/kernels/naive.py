"""The NumPy twin of each public kernel: the same name and arguments, written to be obviously right."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

import kernels

Array = npt.NDArray[np.generic]
Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
Codes = npt.NDArray[np.int8]
Digits = npt.NDArray[np.uint8]
Entries = npt.NDArray[np.int64]


def rows_of(words: Words) -> list[int]:
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist()


def _add(target: Words, rows: npt.NDArray[np.intp]) -> None:
    for row in rows.tolist():
        target[row // 64] |= np.uint64(1 << (row % 64))


def count(words: Words) -> int:
    return len(rows_of(words))


def intersect(target: Words, other: Words) -> None:
    target[:] = target & other


def unite(target: Words, other: Words) -> None:
    target[:] = target | other


def subtract(target: Words, other: Words) -> None:
    target[:] = target & ~other


def intersection(left: Words, right: Words, target: Words) -> int:
    target[:] = left & right
    return count(target)


def list_rows(words: Words, rows: Rows) -> int:
    listed = rows_of(words)
    rows[: len(listed)] = listed
    return len(listed)


def mark_equal(column: Rows, code: int, target: Words) -> None:
    _add(target, np.flatnonzero(column == code))


def mark_listed(column: Rows, listed: npt.NDArray[np.bool_], target: Words) -> None:
    _add(target, np.flatnonzero(listed[column]))


def mark_any(offsets: npt.NDArray[np.int64], values: Rows, listed: npt.NDArray[np.bool_], target: Words) -> None:
    spans = itertools.pairwise(offsets)
    _add(target, np.flatnonzero([listed[values[start:end]].any() for start, end in spans]))


def mark_set(column: npt.NDArray[np.bool_], target: Words) -> None:
    _add(target, np.flatnonzero(column))


def mark_rows(rows: Rows, target: Words) -> None:
    _add(target, rows.astype(np.intp))


def mark_common(rows: Rows, words: Words, target: Words) -> int:
    common = [row for row in rows.tolist() if row in rows_of(words)]
    mark_rows(np.array(common, np.int32), target)
    return len(common)


def clear_rows(rows: Rows, target: Words) -> None:
    for row in rows.tolist():
        target[row // 64] &= ~np.uint64(1 << (row % 64))


def mark_postings(
    offsets: npt.NDArray[np.int64], rows: Rows, common: Rows, bitmaps: Words, codes: Rows, target: Words
) -> None:
    for code in codes.tolist():
        mark_rows(rows[offsets[code] : offsets[code + 1]], target)
    for bitmap in bitmaps[np.isin(common, codes)]:
        unite(target, bitmap)


def carries_any(
    offsets: npt.NDArray[np.int64],
    values: Rows,
    listed: npt.NDArray[np.bool_],
    rows: Rows,
    found: npt.NDArray[np.bool_],
) -> None:
    found[:] = [listed[values[offsets[row] : offsets[row + 1]]].any() for row in rows]


def find_texts(
    offsets: npt.NDArray[np.int64],
    content: npt.NDArray[np.uint8],
    wanted_offsets: npt.NDArray[np.int64],
    wanted_content: npt.NDArray[np.uint8],
    found: Rows,
) -> None:
    texts = [content[start:end].tobytes() for start, end in itertools.pairwise(offsets)]
    wanted = [wanted_content[start:end].tobytes() for start, end in itertools.pairwise(wanted_offsets)]
    found[:] = [texts.index(text) if text in texts else -1 for text in wanted]


def sum_codes(codes: Codes) -> int:
    return int(codes.astype(np.int64).sum())


def dot_codes(row: Codes, query: Codes, query_sum: int) -> int:
    return int(row.astype(np.int64) @ query.astype(np.int64))


dot_codes_portable = dot_codes
dot_codes_vnni = dot_codes


def dot_floats(left: Floats, right: Floats) -> float:
    return float(left.astype(np.float64) @ right.astype(np.float64))


def quantize(vectors: Floats, codes: Codes, scales: Floats) -> None:
    scales[:] = np.abs(vectors).max(axis=1, initial=0.0) / np.float32(127)
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    codes[:] = 0
    codes[:, : vectors.shape[1]] = np.rint(vectors * inverse[:, None])


def dot_digits(row: Digits, query: Codes) -> int:
    return int(unpacked(row).astype(np.int64) @ query.astype(np.int64))


dot_digits_portable = dot_digits
dot_digits_vnni = dot_digits


def unpacked(digits: Digits) -> npt.NDArray[np.uint8]:
    return np.concatenate([digits & 15, digits >> 4], axis=-1)


def encode(vectors: Floats, center: Floats, digits: Digits, fine: Codes, scales: Floats) -> None:
    around = np.zeros(fine.shape, np.float64)
    around[:, : len(center)] = vectors - center
    scales[:] = np.abs(around).max(axis=1, initial=0.0) / 7.5
    steps = np.divide(around, scales[:, None], out=np.zeros_like(around), where=scales[:, None] > 0) + 7.5
    whole = np.clip(np.rint(steps), 0, 15)
    half = digits.shape[1]
    digits[:] = whole[:, :half].astype(np.uint8) | (whole[:, half:].astype(np.uint8) << 4)
    fine[:] = np.rint((steps - whole) * 254)


def decode(
    digits: Digits, fine: Codes, scales: Floats, center: Floats, rows: npt.NDArray[np.int64], vectors: Floats
) -> None:
    steps = unpacked(digits[rows]) - 7.5 + fine[rows] / 254
    vectors[:] = center + scales[rows, None] * steps[:, : len(center)]


def entry_of(score: float, row: int) -> int:
    bits = int(np.float32(score).view(np.int32))
    return ((bits if bits >= 0 else -((bits & 0x7FFFFFFF) + 1)) << 32) | ((0x7FFFFFFF - row) << 1)


def row_of(entry: int) -> int:
    return 0x7FFFFFFF - (entry >> 1 & 0x7FFFFFFF)


def score_of(entry: int) -> float:
    bits = entry >> 32
    pattern = bits if bits >= 0 else (-bits - 1) | 0x80000000
    return float(np.uint32(pattern).view(np.float32))


def offer(pool: Entries, size: int, entry: int) -> int:
    ranked = sorted([*pool[:size].tolist(), entry], reverse=True)
    kept = ranked[: len(pool)]
    pool[: len(kept)] = kept
    return ranked.index(entry)


def unpack(entries: Entries, rows: Rows, scores: Floats) -> None:
    rows[:] = [row_of(entry) for entry in entries.tolist()]
    scores[:] = [score_of(entry) for entry in entries.tolist()]


def _by_digits(digits: Digits, scales: Floats, query: Codes, row: int) -> int:
    offset = np.float32(7.5) * np.float32(sum_codes(query))
    return entry_of((np.float32(dot_digits(digits[row], query)) - offset) * scales[row], row)


def _fill(pool: Entries, entries: list[int]) -> int:
    best = sorted(entries, reverse=True)[: len(pool)]
    pool[: len(best)] = best
    return len(best)


def scan_digits(digits: Digits, scales: Floats, query: Codes, candidates: Rows, pool: Entries) -> int:
    return _fill(pool, [_by_digits(digits, scales, query, row) for row in candidates.tolist()])


def scan_more(digits: Digits, scales: Floats, query: Codes, candidates: Rows, pool: Entries, size: int) -> int:
    return _fill(
        pool, [*pool[:size].tolist(), *(_by_digits(digits, scales, query, row) for row in candidates.tolist())]
    )


def refine(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    bias: float,
    query: Codes,
    query_fine: Codes,
    step: float,
    pool: Entries,
    size: int,
    best: Entries,
) -> int:
    rows = [row_of(entry) for entry in pool[:size].tolist()]
    steps = unpacked(digits[rows]) - 7.5 + fine[rows] / 254
    scores = bias + scales[rows] * step * (steps @ (query + query_fine / 254))
    return _fill(best, [entry_of(score, row) for score, row in zip(scores, rows, strict=True)])


def assign_cells(
    digits: Digits, scales: Floats, rows: Rows, codes: Codes, cell_scales: Floats, halves: Floats, cells: Rows
) -> None:
    vectors = scales[rows, None] * (unpacked(digits[rows]) - np.float32(7.5))
    means = cell_scales[:, None] * codes
    cells[:] = np.argmax(vectors @ means.T - halves, axis=1)


def count_between(words: Words, first: int, end: int) -> int:
    return sum(first <= row < end for row in rows_of(words))


def list_between(words: Words, first: int, end: int, rows: Rows, found: int) -> int:
    listed = [row for row in rows_of(words) if first <= row < end]
    rows[found : found + len(listed)] = listed
    return found + len(listed)


def survey(
    codes: Codes, scales: Floats, ends: Rows, medoids: Rows, query: Codes, allowed: Words, means: Floats, starts: Rows
) -> float:
    means[:] = (codes.astype(np.int32) @ query.astype(np.int32)).astype(np.float32) * scales
    nearest = np.argsort(-means, kind="stable")[: len(starts)]
    starts[:] = medoids[nearest]
    sizes = np.diff(ends, prepend=0)
    fits = [count_between(allowed, int(ends[cell] - sizes[cell]), int(ends[cell])) for cell in nearest[:4]]
    return float(sum(fits) / sizes[nearest[:4]].sum())


def scan_cells(
    digits: Digits,
    scales: Floats,
    ends: Rows,
    means: Floats,
    deviations: Floats,
    query: Codes,
    allowed: Words,
    k: int,
    fewest: int,
    missing: float,
    listed: Rows,
    pool: Entries,
    counts: Entries,
) -> int:
    firsts = [0, *ends[:-1].tolist()]
    fits = [count_between(allowed, first, end) for first, end in zip(firsts, ends.tolist(), strict=True)]
    spread = np.maximum(deviations * np.sqrt(np.square(query.astype(np.float32)).sum()), 1e-6)
    hopes = {cell: entry_of(means[cell] + 2.5 * spread[cell], cell) for cell, fit in enumerate(fits) if fit}
    order = sorted(hopes, key=lambda cell: -hopes[cell])

    def expected(cells: list[int], entry: int) -> float:
        score = score_of(entry)
        apart = {cell: min(max((score - means[cell]) / spread[cell], -4.0), 6.0) for cell in cells}
        steps = {cell: math.floor(32 * z + 0.5) / 32 for cell, z in apart.items()}
        return sum(fits[cell] * 0.5 * math.erfc(z / 2**0.5) for cell, z in steps.items())

    opened, compared, size, batch = 0, 0, 0, max(1, len(order) // 64)
    while opened < len(order):
        some = order[opened : opened + batch]
        opened += len(some)
        found = 0
        for cell in some:
            found = list_between(allowed, firsts[cell], int(ends[cell]), listed, found)
        size = scan_more(digits, scales, query, listed[:found], pool, size)
        compared += found
        batch = max(1, opened // 3)
        if size >= k and compared >= fewest:
            found_of = {number: expected(order[:opened], int(pool[number - 1])) for number in (k, size)}
            correction = min(16.0, *(number / max(share, 1e-9) for number, share in found_of.items()))
            if correction * expected(order[opened:], int(pool[k - 1])) <= missing * k:
                break
    counts += [compared, opened]
    return size


def _neighbours(links: Rows, row: int) -> list[int]:
    return [other for other in links[row].tolist() if other >= 0]


def _best_first(
    pool: Entries, starts: Rows, score: Callable[[int], int], beyond: Callable[[int, set[int]], list[int]]
) -> list[int]:
    """Walks; `beyond` gives the rows to look at after a row, given those seen. Entries, rows seen, rows expanded."""
    seen: set[int] = set()
    entries: list[int] = []
    done: set[int] = set()
    found = list(dict.fromkeys(starts.tolist()))
    looked: list[int] = []
    while True:
        seen.update(found)
        looked += found
        entries = sorted([*entries, *map(score, found)], reverse=True)[: len(pool)]
        ahead = [row_of(entry) for entry in entries if row_of(entry) not in done][:2]
        if not ahead:
            pool[: len(entries)] = [entry | 1 for entry in entries]
            return [len(entries), len(looked), len(done)]
        done.update(ahead)
        found = []
        for row in ahead:
            found += beyond(row, seen | set(found))


def walk(
    digits: Digits,
    scales: Floats,
    links: Rows,
    starts: Rows,
    query: Codes,
    visited: Words,
    trail: Rows,
    pool: Entries,
    counts: Entries,
) -> int:
    def beyond(row: int, seen: set[int]) -> list[int]:
        return [other for other in _neighbours(links, row) if other not in seen]

    size, looked, expanded = _best_first(pool, starts, lambda row: _by_digits(digits, scales, query, row), beyond)
    counts += [looked, expanded]
    return size


def keep_allowed(pool: Entries, size: int, allowed: Words, limit: int) -> int:
    fits = set(rows_of(allowed))
    kept = [entry & ~1 for entry in pool[:size].tolist() if row_of(entry) in fits][:limit]
    pool[: len(kept)] = kept
    return len(kept)


def prepare_query(vector: Floats, codes: Codes, fine: Codes) -> float:
    step = float(np.abs(vector).max() / np.float32(127))
    steps = np.zeros(len(codes))
    steps[: len(vector)] = vector / step if step else 0
    codes[:] = np.rint(steps)
    fine[:] = np.rint((steps - codes) * 254)
    return step


def _finish(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    center: Floats,
    vector: Floats,
    codes: Codes,
    codes_fine: Codes,
    step: float,
    pool: Entries,
    found: int,
    rows: Rows,
    scores: Floats,
) -> int:
    best = np.zeros(len(rows), np.int64)
    bias = float(center @ vector)
    kept = refine(digits, fine, scales, bias, codes, codes_fine, step, pool, found, best)
    unpack(best[:kept], rows[:kept], scores[:kept])
    return kept


def nearest_listed(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    center: Floats,
    vector: Floats,
    codes: Codes,
    codes_fine: Codes,
    step: float,
    candidates: Rows,
    pool: Entries,
    rows: Rows,
    scores: Floats,
) -> int:
    found = scan_digits(digits, scales, codes, candidates, pool)
    return _finish(digits, fine, scales, center, vector, codes, codes_fine, step, pool, found, rows, scores)


def nearest_in_cells(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    center: Floats,
    vector: Floats,
    codes: Codes,
    codes_fine: Codes,
    step: float,
    ends: Rows,
    means: Floats,
    deviations: Floats,
    allowed: Words,
    fewest: int,
    missing: float,
    listed: Rows,
    pool: Entries,
    counts: Entries,
    rows: Rows,
    scores: Floats,
) -> int:
    k = len(rows)
    found = scan_cells(
        digits, scales, ends, means, deviations, codes, allowed, k, fewest, missing, listed, pool, counts
    )
    counts[0] += found
    return _finish(digits, fine, scales, center, vector, codes, codes_fine, step, pool, found, rows, scores)


def nearest_walked(
    digits: Digits,
    fine: Codes,
    scales: Floats,
    center: Floats,
    vector: Floats,
    codes: Codes,
    codes_fine: Codes,
    step: float,
    links: Rows,
    starts: Rows,
    allowed: Words,
    fewest: int,
    refined: int,
    visited: Words,
    trail: Rows,
    pool: Entries,
    counts: Entries,
    rows: Rows,
    scores: Floats,
) -> int:
    size = walk(digits, scales, links, starts, codes, visited, trail, pool, counts)
    found = keep_allowed(pool, size, allowed, refined)
    if found < fewest:
        return 0
    counts[0] += found
    return _finish(digits, fine, scales, center, vector, codes, codes_fine, step, pool, found, rows, scores)


def similarity(by: kernels.Linking, left: int, right: int) -> float:
    product = float(by.codes[left].astype(np.int64) @ by.codes[right].astype(np.int64))
    return float(product * by.scales[left] * by.scales[right] + by.offsets[left] + by.offsets[right])


def select_edges(by: kernels.Linking, pool: Entries, size: int, chosen: Rows) -> int:
    rows: list[int] = []
    for entry in pool[:size].tolist():
        row, distance = row_of(entry), by.nearest - score_of(entry)
        occluded = any(by.alpha * (by.nearest - similarity(by, row, other)) <= distance for other in rows)
        if not occluded and len(rows) < len(chosen):
            rows.append(row)
    chosen[: len(rows)] = rows
    return len(rows)


def _edges(by: kernels.Linking, row: int, others: list[int], degree: int) -> list[int]:
    ranked = sorted((entry_of(similarity(by, other, row), other) for other in others), reverse=True)
    chosen = np.full(degree, -1, np.int32)
    select_edges(by, np.array(ranked, np.int64), len(ranked), chosen)
    return chosen.tolist()


def propose(
    digits: Digits,
    digit_scales: Floats,
    by: kernels.Linking,
    queries: Codes,
    links: Rows,
    starts: Rows,
    batch: Rows,
    visited: Words,
    trail: Rows,
    pool: Entries,
    ranked: Entries,
    proposals: Rows,
) -> None:
    for line, (row, query) in zip(proposals, zip(batch.tolist(), queries, strict=True), strict=True):
        counts = np.zeros(2, np.int64)
        size = walk(digits, digit_scales, links, starts, query, visited, trail, pool, counts)
        found = [row_of(entry) for entry in pool[:size].tolist()]
        line[:] = _edges(by, row, [other for other in found if other != row], len(line))


def connect(by: kernels.Linking, links: Rows, batch: Rows, proposals: Rows, ranked: Entries) -> None:
    degree = proposals.shape[1]
    links[batch, :degree] = proposals
    for row, edges in zip(batch.tolist(), proposals, strict=True):
        for other in edges[edges >= 0].tolist():
            known = _neighbours(links, other)
            if row not in known and len(known) == links.shape[1]:
                known = [each for each in _edges(by, other, [*known, row], degree) if each >= 0]
            elif row not in known:
                known.append(row)
            links[other] = known + [-1] * (links.shape[1] - len(known))


def trim(by: kernels.Linking, links: Rows, ranked: Entries, trimmed: Rows) -> None:
    degree = trimmed.shape[1]
    for row in range(len(links)):
        known = _neighbours(links, row)
        nearest_first = sorted(known, key=lambda other: -entry_of(similarity(by, other, row), other))
        edges = nearest_first if len(known) <= degree else _edges(by, row, known, degree)
        trimmed[row] = edges + [-1] * (degree - len(edges))


def fuse_convex(dense: Floats, lexical: Floats, dense_weight: float, fused: Floats) -> None:
    present = dense[~np.isnan(dense)]
    spread = np.ptp(present) if present.size else 0.0
    scaled = (dense - present.min(initial=np.inf)) / spread if spread > 0 else np.where(np.isnan(dense), dense, 1.0)
    greatest = np.nan_to_num(lexical).max(initial=0.0)
    by_words = lexical / greatest if greatest > 0 else np.zeros_like(lexical)
    fused[:] = dense_weight * np.nan_to_num(scaled) + (1 - dense_weight) * np.nan_to_num(by_words)


def fuse_distribution(dense: Floats, lexical: Floats, dense_weight: float, fused: Floats) -> None:
    fused[:] = 0
    for scores, weight in ((dense, dense_weight), (lexical, 1 - dense_weight)):
        present = scores[~np.isnan(scores)].astype(np.float64)
        if present.size:
            deviation = 0.0 if np.ptp(present) <= 1e-5 * abs(present).max() else present.std()
            scaled = (scores - present.mean() + 3 * deviation) / (6 * deviation) if deviation else scores * 0 + 0.5
            fused += weight * np.nan_to_num(np.clip(scaled, 0, 1))


def fuse_reciprocal_rank(
    dense_ranks: Floats, lexical_ranks: Floats, dense_weight: float, k: int, fused: Floats
) -> None:
    fused[:] = dense_weight * np.nan_to_num(1 / (k + dense_ranks)) + (1 - dense_weight) * np.nan_to_num(
        1 / (k + lexical_ranks)
    )


def select_diverse(relevance: Floats, vectors: Floats, relevance_weight: float, nearest: Floats, selected: Rows) -> int:
    chosen: list[int] = []
    left = list(range(len(relevance)))
    while left and len(chosen) < len(selected):
        similarity = (vectors @ vectors[chosen].T).max(axis=1) if chosen else np.zeros(len(relevance), np.float32)
        gain = relevance_weight * relevance - (1 - relevance_weight) * similarity
        best = max(left, key=lambda item: (gain[item], -item))
        chosen.append(best)
        left.remove(best)
    selected[: len(chosen)] = chosen
    return len(chosen)


def quantize_rows(values: Floats, codes: Digits, lows: Floats, steps: Floats) -> None:
    lows[:] = values.min(axis=1)
    steps[:] = (values.max(axis=1) - lows) / 255
    codes[:] = np.rint((values - lows[:, None]) / np.where(steps > 0, steps, 1)[:, None])


def multiply_codes(
    codes: Digits, lows: Floats, steps: Floats, packed: Codes, sums: Floats, scales: Floats, bias: Floats, out: Floats
) -> None:
    panels, groups, width, size = packed.shape
    weights = packed.transpose(1, 3, 0, 2).reshape(groups * size, panels * width).astype(np.float64)
    values = lows[:, None] + steps[:, None] * codes.astype(np.float64)
    out[: len(codes)] = values @ weights * scales + bias


def look_up_words(words: kernels.PackedWords, ids: npt.NDArray[np.int64], rows: Floats) -> None:
    nibbles = np.stack([words.packed[ids] & 15, words.packed[ids] >> 4], axis=2).reshape(rows.shape).astype(np.float32)
    rows[:] = (nibbles - 8) * np.repeat(words.scales[ids], words.block, axis=1)


def normalize_sums(values: Floats, addends: Floats, weights: Floats, bias: Floats, epsilon: float) -> None:
    total = values.astype(np.float64) + addends
    centered = total - total.mean(axis=1, keepdims=True)
    values[:] = centered / np.sqrt(total.var(axis=1, keepdims=True) + epsilon) * weights + bias


def apply_gelu(values: Floats) -> None:
    values[:] = [[x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in row] for row in values.tolist()]


def apply_softmax(scores: Floats, scale: float) -> None:
    shares = np.exp(scale * (scores.astype(np.float64) - scores.max()))
    scores[:] = shares / shares.sum()


def attend(joint: Floats, heads: int, room: kernels.AttentionRoom, mixed: Floats) -> None:
    tokens, hidden = mixed.shape
    query, key, value = joint.astype(np.float64).reshape(tokens, 3, heads, hidden // heads).transpose(1, 2, 0, 3)
    weights = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(hidden // heads))
    mixed[:] = (weights / weights.sum(axis=2, keepdims=True) @ value).transpose(1, 0, 2).reshape(tokens, hidden)


attend_floats = attend_halves = attend


def _product(values: Floats, by: kernels.Weights, layer: int) -> Floats:
    codes, lows, steps = np.empty(values.shape, np.uint8), *np.empty((2, len(values)), np.float32)
    quantize_rows(values, codes, lows, steps)
    out = np.empty((len(values), by.bias.shape[1]), np.float32)
    multiply_codes(codes, lows, steps, by.packed[layer], by.sums[layer], by.scales[layer], by.bias[layer], out)
    return out


def run_layers(states: Floats, starts: npt.NDArray[np.int64], layers: kernels.Layers, scratch: kernels.Scratch) -> None:
    for layer in range(len(layers.apart)):
        joint, mixed = _product(states, layers.joint, layer), np.empty_like(states)
        for first, last in itertools.pairwise(starts):
            attend(joint[first:last], layers.heads, scratch.attention, mixed[first:last])
        moved = _product(mixed, layers.mixing, layer)
        normalize_sums(states, moved, layers.middle.weights[layer], layers.middle.bias[layer], layers.epsilon)
        inner = _product(states, layers.rising, layer)
        apply_gelu(inner)
        there = layers.outliers[layer] != kernels.NO_COLUMN
        columns, apart = layers.outliers[layer][there], layers.apart[layer][there]
        chosen = inner[:, columns].copy()
        inner[:, columns] = 0
        moved = _product(inner, layers.falling, layer) + chosen @ apart
        normalize_sums(states, moved, layers.last.weights[layer], layers.last.bias[layer], layers.epsilon)


def embed_words(
    words: kernels.PackedWords,
    positions: Floats,
    norm: kernels.Norm,
    epsilon: float,
    ids: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    scratch: kernels.Scratch,
    states: Floats,
) -> None:
    look_up_words(words, ids, states)
    places = [positions[: last - first] for first, last in itertools.pairwise(starts)]
    normalize_sums(states, np.concatenate(places), norm.weights[0], norm.bias[0], epsilon)


def average_rows(states: Floats, starts: npt.NDArray[np.int64], vectors: Floats) -> None:
    means = np.array([states[first:last].mean(axis=0) for first, last in itertools.pairwise(starts)])
    vectors[:] = means / np.linalg.norm(means, axis=1, keepdims=True)
