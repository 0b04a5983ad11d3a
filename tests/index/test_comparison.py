"""Recall and overlap of two states of an index."""

from __future__ import annotations

import numpy as np
import pytest

from index import Comparison, IndexOptions, Remove, SearchStopped, compare, compare_on
from index.snapshot import Snapshot
from tests.index.conftest import Open
from tests.index.model import chunk, query_vector


def test_what_is_missing_lowers_overlap_and_nothing_else(open_index: Open) -> None:
    ours, theirs = open_index("ours", IndexOptions(seal_rows=20)), open_index("theirs")
    operations = [chunk(position, f"chunk-{position}") for position in range(1, 61)]
    for start in (0, 25, 50):
        ours.apply(operations[start : start + 25])
        ours.maintain()
    theirs.apply(operations)
    assert compare(ours.snapshot(), theirs.snapshot(), 40) == Comparison(1.0, 1.0, 1.0, 40)
    theirs.apply([Remove(60 + number, f"chunk-{number}") for number in range(1, 31)])
    found = compare(ours.snapshot(), theirs.snapshot(), 1_000, k=1)
    assert (found.recall, found.other_recall, found.overlap, found.samples) == (1.0, 1.0, 0.5, 60)


def test_a_search_that_misses_has_less_recall(open_index: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    index = open_index()
    index.apply([chunk(position, f"chunk-{position}") for position in range(1, 41)])
    nearest = Snapshot.nearest
    snapshot, blind = index.snapshot(), index.snapshot()
    monkeypatch.setattr(
        Snapshot,
        "nearest",
        lambda self, vector, k, stop: nearest(self, vector, k, stop)[: k // 2 if self is blind else k],
    )
    index.apply([chunk(41, "another")])
    snapshot = index.snapshot()
    questions = np.stack([query_vector(seed) for seed in range(10)])
    found = compare_on(snapshot, blind, questions)
    assert (found.recall, found.other_recall) == (1.0, 0.5)


def test_an_empty_index_is_no_worse(open_index: Open) -> None:
    index = open_index()
    assert compare(index.snapshot(), index.snapshot(), 5) == Comparison(1.0, 1.0, 1.0, 0)


def test_it_can_be_stopped(open_index: Open) -> None:
    index = open_index()
    index.apply([chunk(1, "a")])
    with pytest.raises(SearchStopped):
        compare(index.snapshot(), index.snapshot(), 1, lambda: True)
