"""Building the graph that `kernels.graph` walks: rows are linked one after another, as in HNSW's insertion, with the
edges chosen as in Vamana (Subramanya et al., "DiskANN", 2019, algorithms 2 and 3).

Rows are linked in batches. `propose` finds the edges of each row of a batch in the graph of all rows before the batch,
and only reads it, so that many threads can work on one batch; `connect` then adds them, in order. So the graph depends
on the batches, but not on the number of threads.

Similarities are inner products of codes in 8 bits (`kernels.distance.dot_codes`), four times as fast as floats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.distance import dot_codes
from kernels.graph import NO_ROW, walk
from kernels.jit import kernel
from kernels.memory import prefetch_row
from kernels.pool import Entries, entry_of, offer, row_of, score_of

Digits = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]


class Linking(NamedTuple):
    """By what rows are linked. Row i is center + scales[i] * codes[i]; offsets are the rows' inner products with the
    center, sums those of their codes; `nearest` is the similarity of a row with itself, `alpha` how strict the choice
    of edges is.

    codes: int8[n, w]; scales, offsets: float32[n]; sums: int32[n].
    """

    codes: Codes
    scales: Floats
    offsets: Floats
    sums: Rows
    nearest: float
    alpha: float


@kernel
def similarity(by: Linking, left: int, right: int) -> float:
    """Inner product of two rows, less that of their center with itself."""
    product = np.float32(dot_codes(by.codes[left], by.codes[right], by.sums[right]))
    return float(product * by.scales[left] * by.scales[right] + by.offsets[left] + by.offsets[right])


@kernel
def select_edges(
    by: Linking,
    pool: Entries,
    size: int,
    chosen: Rows,
) -> int:
    """Chooses from the pool, whose scores are similarities to one row, rows in different directions from it, the
    nearest first; returns how many. A row is left out if a chosen one is nearer to it by `by.alpha`, in squared
    distance, than it is to the row itself.

    pool: `size` entries, best first. chosen: int32[k], written in place.
    """
    count = 0
    strictness = np.float32(by.alpha)
    for i in range(size):
        row = row_of(pool[i])
        distance = np.float32(by.nearest) - np.float32(score_of(pool[i]))
        occluded = False
        for j in range(count):
            between = np.float32(by.nearest) - np.float32(similarity(by, row, chosen[j]))
            if strictness * between <= distance:
                occluded = True
                break
        if not occluded:
            chosen[count] = row
            count += 1
            if count == chosen.shape[0]:
                break
    return count


@kernel
def propose(
    digits: Digits,
    digit_scales: Floats,
    by: Linking,
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
    """Finds the edges of the rows of a batch, in the graph of those before it: proposals: int32[b, degree], written in
    place, filled up with NO_ROW.

    digits, digit_scales, links, starts, visited, trail, pool: as for `walk`, which finds the candidates; the pool's
    length is the effort. queries: int8[b, w], the batch's vectors as queries. batch: int32[b]. ranked: scratch, at
    least of the pool's length.
    """
    counts = np.zeros(2, np.int64)
    for i in range(batch.shape[0]):
        row = batch[i]
        found = walk(digits, digit_scales, links, starts, queries[i], visited, trail, pool, counts)
        size = 0
        for j in range(found):
            candidate = row_of(pool[j])
            if candidate != row:
                score = similarity(by, candidate, row)
                offer(ranked, size, entry_of(score, candidate))
                size += 1
        count = select_edges(by, ranked, size, proposals[i])
        for j in range(count, proposals.shape[1]):
            proposals[i, j] = NO_ROW


@kernel
def connect(
    by: Linking,
    links: Rows,
    batch: Rows,
    proposals: Rows,
    ranked: Entries,
) -> None:
    """Gives the rows of the batch their proposed edges, and the rows at the other end the way back."""
    room = links.shape[1]
    chosen = np.empty(proposals.shape[1], np.int32)
    for i in range(batch.shape[0]):
        for j in range(proposals.shape[1]):
            links[batch[i], j] = proposals[i, j]
    for i in range(batch.shape[0]):
        row = batch[i]
        for j in range(proposals.shape[1]):
            other = proposals[i, j]
            if other < 0:
                break
            at = 0
            while at < room and links[other, at] >= 0 and links[other, at] != row:
                at += 1
            if at < room:
                links[other, at] = row
                continue
            for k in range(room):
                prefetch_row(by.codes, links[other, k])
            offer(ranked, 0, entry_of(similarity(by, row, other), row))
            for k in range(room):
                candidate = links[other, k]
                offer(ranked, k + 1, entry_of(similarity(by, candidate, other), candidate))
            count = select_edges(by, ranked, room + 1, chosen)
            for k in range(room):
                links[other, k] = chosen[k] if k < count else NO_ROW


@kernel
def trim(
    by: Linking,
    links: Rows,
    ranked: Entries,
    trimmed: Rows,
) -> None:
    """Brings every row's edges down to the width of `trimmed`."""
    for row in range(links.shape[0]):
        size = 0
        for k in range(links.shape[1]):
            other = links[row, k]
            if other < 0:
                break
            offer(ranked, size, entry_of(similarity(by, other, row), other))
            size += 1
        count = 0
        if size <= trimmed.shape[1]:
            for k in range(size):
                trimmed[row, k] = row_of(ranked[k])
            count = size
        else:
            count = select_edges(by, ranked, size, trimmed[row])
        for k in range(count, trimmed.shape[1]):
            trimmed[row, k] = NO_ROW
