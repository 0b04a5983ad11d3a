"""How well two states of an index find what is nearest, measured with stored vectors as questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.errors import SearchStopped
from index.snapshot import Snapshot
from index.stopping import Stop, never

_ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True)
class Comparison:
    """`recall` and `other_recall`: the share of the nearest chunks, found by comparing every vector as it is stored
    (12 bits a component), that a search finds. `overlap`: the share of the one's hits that the other has, too. All 1 if
    no question was asked."""

    recall: float
    other_recall: float
    overlap: float
    samples: int


def compare(ours: Snapshot, theirs: Snapshot, samples: int, stop: Stop = never, k: int = 10) -> Comparison:
    """Asks both the same questions: the stored vectors of up to `samples` chunks of `ours` (the two must be of one
    model).

    Looks at all chunks, whoever may see them; gives away no more than the figures. Raises SearchStopped. Cost: about
    0.1 ms per question and 1,000 rows.
    """
    return compare_on(ours, theirs, _stored_vectors(ours, samples), stop, k)


def compare_on(
    ours: Snapshot,
    theirs: Snapshot,
    questions: npt.NDArray[np.float32],
    stop: Stop = never,
    k: int = 10,
    other_questions: npt.NDArray[np.float32] | None = None,
) -> Comparison:
    """The same with given questions: float32[n, dimension], of length 1. other_questions: the same ones as embedded by
    the other's model, if that is another."""
    theirs_asked = questions if other_questions is None else other_questions
    hits = [ours.nearest(vector, k, stop) for vector in questions]
    other_hits = [theirs.nearest(vector, k, stop) for vector in theirs_asked]
    return Comparison(
        recall=_share(_exact(ours, questions, k, stop), hits),
        other_recall=_share(_exact(theirs, theirs_asked, k, stop), other_hits),
        overlap=_share(hits, other_hits),
        samples=len(questions),
    )


def _stored_vectors(snapshot: Snapshot, samples: int) -> npt.NDArray[np.float32]:
    """Evenly spread over the live rows."""
    parts = [(part.dense.vectors, rows) for part, rows in snapshot.live_rows()]
    total = sum(len(rows) for _, rows in parts)
    chosen = np.unique(np.linspace(0, total - 1, min(samples, total)).astype(np.int64))
    vectors, first = [np.empty((0, snapshot.dimension), np.float32)], 0
    for stored, rows in parts:
        here = chosen[(chosen >= first) & (chosen < first + len(rows))] - first
        vectors.append(stored.decoded(rows[here]))
        first += len(rows)
    return np.concatenate(vectors)


def _exact(snapshot: Snapshot, questions: npt.NDArray[np.float32], k: int, stop: Stop) -> list[tuple[str, ...]]:
    """The k nearest chunks of each question, by brute force; one pass over the vectors for all questions."""
    best: list[list[tuple[float, str]]] = [[] for _ in questions]
    for part, rows in snapshot.live_rows():
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            if stop():
                raise SearchStopped
            some = rows[start : start + _ROWS_AT_ONCE]
            scores = part.dense.vectors.decoded(some) @ questions.T
            leading = np.argsort(-scores, axis=0, kind="stable")[:k]
            for number, places in enumerate(leading.T):
                found = [(-float(scores[place, number]), part.columns.chunk_id(int(some[place]))) for place in places]
                best[number] = sorted(best[number] + found)[:k]
    return [tuple(chunk_id for _, chunk_id in each) for each in best]


def _share(wanted: Sequence[tuple[str, ...]], found: Sequence[tuple[str, ...]]) -> float:
    total = sum(len(each) for each in wanted)
    common = sum(len(set(some) & set(others)) for some, others in zip(wanted, found, strict=True))
    return common / total if total else 1.0
