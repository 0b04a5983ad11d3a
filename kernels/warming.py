"""Compiles (or loads from the disk cache) every kernel of the index before the first request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import (
    bitmap,
    building,
    cells,
    distance,
    diversity,
    fusion,
    graph,
    nearest,
    pool,
    quantization,
    scan,
    texts,
)
from kernels.jit import compiled_once

_DIMENSION = 8
_ROWS = 3


def warm_up(on_progress: Callable[[str, int, int], None] | None = None) -> None:
    """Calls every kernel that the index uses once with its argument types, tiny arrays. Blocking: about half a minute
    the first time on a machine, well under a second from the cache. `on_progress` gets (name, done, total) before each.

    Arrays of the index may be read-only (memory-mapped); to Numba that is another type, and to keep one type per
    argument everything that kernels only read is passed read-only.
    """
    steps = _steps()
    with compiled_once("index"):
        for done, (name, step) in enumerate(steps.items()):
            if on_progress is not None:
                on_progress(name, done, len(steps))
            step()
    if on_progress is not None:
        on_progress("", len(steps), len(steps))


def _steps() -> dict[str, Callable[[], object]]:
    vectors = _read_only(np.eye(_ROWS, _DIMENSION, dtype=np.float32))
    codes = np.zeros((_ROWS, distance.ROW_WIDTH), np.int8)
    scales = np.zeros(_ROWS, np.float32)
    query_codes = np.zeros(distance.ROW_WIDTH, np.int8)
    cell_ends, means = _read_only(np.arange(1, _ROWS + 1, dtype=np.int32)), np.zeros(_ROWS, np.float32)
    scores, rows = np.zeros(_ROWS, np.float32), np.zeros(_ROWS, np.int32)
    digits, center = np.zeros((_ROWS, distance.CODE_WIDTH), np.uint8), _read_only(np.zeros(_DIMENSION, np.float32))
    stored = _read_only(digits), _read_only(scales)
    fine = _read_only(codes)
    searched = (stored[0], fine, stored[1], center, center, query_codes, query_codes.copy(), 1.0)
    links = np.full((_ROWS, 1), graph.NO_ROW, np.int32)
    starts = np.zeros(1, np.int32)
    entries, counts = np.full(_ROWS, pool.entry_of(0.0, 0)), np.zeros(2, np.int64)
    visited, trail = np.zeros(1, np.uint64), np.zeros(_ROWS + 1, np.int32)
    linking = building.Linking(codes, scales, scales.copy(), np.zeros(_ROWS, np.int32), 1.0, 1.0)
    words, live = np.zeros(1, np.uint64), _read_only(np.zeros(1, np.uint64))
    column, tables = _read_only(np.zeros(_ROWS, np.int32)), _read_only(np.zeros((_ROWS, 1), np.uint64))
    flags, listed = _read_only(np.zeros(_ROWS, np.bool_)), np.zeros(1, np.bool_)
    offsets, content = _read_only(np.zeros(_ROWS + 1, np.int64)), _read_only(np.zeros(0, np.uint8))
    return {
        "sum_codes": lambda: distance.sum_codes(query_codes),
        "dot_codes": lambda: distance.dot_codes(fine[0], query_codes, 0),
        "dot_digits": lambda: distance.dot_digits(stored[0][0], query_codes),
        "dot_floats": lambda: distance.dot_floats(vectors[0], center),
        "quantize": lambda: quantization.quantize(vectors, codes, scales),
        "encode": lambda: quantization.encode(vectors, center, digits, codes, scales),
        "decode": lambda: quantization.decode(
            stored[0], fine, stored[1], center, np.zeros(1, np.int64), np.zeros((1, _DIMENSION), np.float32)
        ),
        "entry_of": lambda: pool.entry_of(0.0, 0),
        "row_of": lambda: pool.row_of(0),
        "score_of": lambda: pool.score_of(0),
        "offer": lambda: pool.offer(entries.copy(), 0, 0),
        "unpack": lambda: pool.unpack(entries, rows, scores),
        "scan_digits": lambda: scan.scan_digits(*stored, query_codes, rows, entries),
        "scan_more": lambda: scan.scan_more(*stored, query_codes, rows, entries, 0),
        "refine": lambda: scan.refine(
            stored[0], fine, stored[1], 0.0, query_codes, query_codes, 1.0, entries, 1, entries.copy()
        ),
        "assign_cells": lambda: cells.assign_cells(*stored, rows, codes, scales, scales, rows.copy()),
        "count_between": lambda: (cells.count_between(words, 0, 1), cells.count_between(live, 0, 1)),
        "list_between": lambda: (
            cells.list_between(words, 0, 1, rows, 0),
            cells.list_between(live, 0, 1, rows, 0),
        ),
        "survey": lambda: [
            cells.survey(fine, stored[1], cell_ends, cell_ends, query_codes, some, means, starts)
            for some in (words, live)
        ],
        "scan_cells": lambda: [
            cells.scan_cells(
                *stored, cell_ends, means, stored[1], query_codes, some, 1, 1, 1.0, trail, entries.copy(), counts
            )
            for some in (words, live)
        ],
        "walk": lambda: graph.walk(*stored, _read_only(links), starts, query_codes, visited, trail, entries, counts),
        "keep_allowed": lambda: (
            graph.keep_allowed(entries, 1, words, 1),
            graph.keep_allowed(entries, 1, live, 1),
        ),
        "prepare_query": lambda: quantization.prepare_query(center, query_codes, query_codes.copy()),
        "nearest_listed": lambda: nearest.nearest_listed(*searched, rows, entries.copy(), rows.copy(), scores),
        "nearest_in_cells": lambda: [
            nearest.nearest_in_cells(
                *searched, cell_ends, means, stored[1], some, 1, 1.0, trail, entries.copy(), counts, rows, scores
            )
            for some in (words, live)
        ],
        "nearest_walked": lambda: [
            nearest.nearest_walked(
                *searched,
                _read_only(links),
                starts,
                some,
                1,
                1,
                visited,
                trail,
                entries.copy(),
                counts,
                rows,
                scores,
            )
            for some in (words, live)
        ],
        "similarity": lambda: building.similarity(linking, 0, 1),
        "select_edges": lambda: building.select_edges(linking, entries, 1, starts),
        "propose": lambda: building.propose(
            *stored, linking, codes, links, starts, starts, visited, trail, entries, entries.copy(), links[:1].copy()
        ),
        "connect": lambda: building.connect(linking, links, starts, links[:1].copy(), entries),
        "trim": lambda: building.trim(linking, links, entries, links.copy()),
        "intersect": lambda: (bitmap.intersect(words, live), bitmap.intersect(words, words)),
        "unite": lambda: (bitmap.unite(words, live), bitmap.unite(words, words)),
        "subtract": lambda: (bitmap.subtract(words, live), bitmap.subtract(words, words)),
        "intersection": lambda: bitmap.intersection(live, live, words),
        "count": lambda: (bitmap.count(words), bitmap.count(live)),
        "list_rows": lambda: (bitmap.list_rows(words, rows), bitmap.list_rows(live, rows)),
        "mark_equal": lambda: bitmap.mark_equal(column, 0, words),
        "mark_listed": lambda: bitmap.mark_listed(column, listed, words),
        "mark_any": lambda: bitmap.mark_any(offsets, column, listed, words),
        "mark_set": lambda: bitmap.mark_set(flags, words),
        "mark_rows": lambda: (bitmap.mark_rows(column, words), bitmap.mark_rows(rows, words)),
        "mark_common": lambda: bitmap.mark_common(rows, live, words),
        "clear_rows": lambda: bitmap.clear_rows(column, words),
        "mark_postings": lambda: bitmap.mark_postings(offsets, column, column, tables, rows, words),
        "carries_any": lambda: bitmap.carries_any(offsets, column, listed, rows, flags.copy()),
        "find_texts": lambda: texts.find_texts(offsets, content, offsets.copy(), content, rows),
        "fuse_convex": lambda: fusion.fuse_convex(scales, scales, 0.5, scores),
        "fuse_distribution": lambda: fusion.fuse_distribution(scales, scales, 0.5, scores),
        "fuse_reciprocal_rank": lambda: fusion.fuse_reciprocal_rank(scales, scales, 0.5, 60, scores),
        "select_diverse": lambda: diversity.select_diverse(scales, vectors, 0.5, scores, rows),
    }


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
