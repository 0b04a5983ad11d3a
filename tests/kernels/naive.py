"""The NumPy twin of each public kernel: the same name and arguments, written to be obviously right."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
Codes = npt.NDArray[np.int8]


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


def best_of(scores: Floats, rows: Rows, k: int) -> list[int]:
    """Indices of the k best: higher score first, then lower row."""
    return [int(index) for index in np.lexsort((rows, -scores))[:k]]


def keep_best(scores: Floats, rows: Rows, size: int, score: float, row: int) -> int:
    offered = np.append(scores[:size], np.float32(score)), np.append(rows[:size], np.int32(row))
    kept = best_of(*offered, k=len(rows))[::-1]
    scores[: len(kept)], rows[: len(kept)] = offered[0][kept], offered[1][kept]
    return len(kept)


def sort_best_first(scores: Floats, rows: Rows, size: int) -> None:
    order = best_of(scores[:size], rows[:size], size)
    scores[:size], rows[:size] = scores[order], rows[order]


def _fill(found: Floats, numbers: Rows, scores: Floats, rows: Rows) -> int:
    best = best_of(found, numbers, len(rows))
    scores[: len(best)], rows[: len(best)] = found[best], numbers[best]
    return len(best)


def scan_codes(codes: Codes, scales: Floats, query: Codes, candidates: Rows, scores: Floats, rows: Rows) -> int:
    found = (codes[candidates].astype(np.int32) @ query.astype(np.int32)).astype(np.float32) * scales[candidates]
    return _fill(found, candidates, scores, rows)


def rescore(vectors: Floats, query: Floats, candidates: Rows, scores: Floats, rows: Rows) -> int:
    return _fill(vectors[candidates] @ query, candidates, scores, rows)


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
