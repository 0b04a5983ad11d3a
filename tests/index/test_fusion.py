"""From two rankings to one: weights, ranks, ties, and choosing what differs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import (
    BranchPlace,
    ConvexFusion,
    DistributionFusion,
    Filter,
    Fusion,
    Reader,
    ReciprocalRankFusion,
    SearchRequest,
)
from index.fusion import Candidates, Ranking, best_first, fuse, most_diverse
from tests.index.conftest import Open
from tests.index.model import chunk, query_vector

WANTED = Filter(Reader("t1", "x"))


def ranking(*scored: tuple[str, float]) -> Ranking:
    return Ranking(np.array([ord(name) for name, _ in scored], np.int64), np.array([s for _, s in scored], np.float32))


def ranked(candidates: Candidates, limit: int = 10) -> list[tuple[str, float]]:
    order = best_first(candidates.scores, candidates.items, limit, chr)
    return [(chr(candidates.items[place]), float(candidates.scores[place])) for place in order]


def places(candidates: Candidates, name: str) -> tuple[BranchPlace | None, BranchPlace | None]:
    place = np.flatnonzero(candidates.items == ord(name))
    return candidates.dense.places(place)[0], candidates.lexical.places(place)[0]


def test_fusing_by_weight() -> None:
    fused = fuse(ranking(("a", 0.875), ("b", 0.75), ("c", 0.625)), ranking(("b", 8.0), ("d", 4.0)), ConvexFusion(0.5))
    assert ranked(fused) == [("b", 0.75), ("a", 0.5), ("d", 0.25), ("c", 0.0)]
    assert places(fused, "b") == (BranchPlace(2, 0.75), BranchPlace(1, 8.0))
    assert places(fused, "a")[1] is None and places(fused, "d") == (None, BranchPlace(2, 4.0))


def test_fusing_by_rank() -> None:
    fused = fuse(ranking(("a", 0.9), ("b", 0.8)), ranking(("b", 8.0)), ReciprocalRankFusion(k=10, dense_weight=0.25))
    assert dict(ranked(fused, 1)) == {"b": pytest.approx(0.25 / 12 + 0.75 / 11)}


def test_fusing_by_distribution() -> None:
    """An outlier takes no room from the others, which it does where the least and the greatest score decide."""
    dense = ranking(("a", 3.0), ("b", 1.0))
    lexical = ranking(("c", 100.0), *((chr(ord("d") + i), 1.0) for i in range(10)))
    fused = dict(ranked(fuse(dense, lexical, DistributionFusion(0.25)), 20))
    assert fused["a"] == pytest.approx(0.25 * 4 / 6) and fused["b"] == pytest.approx(0.25 * 2 / 6)
    assert fused["c"] == pytest.approx(0.75)
    assert 0.3 < fused["d"] < 0.375


def test_rounding_makes_no_difference() -> None:
    lexical = ranking(("a", 1.0000001), ("b", 1.0), ("c", 0.9999999))
    fused = fuse(ranking(("c", 0.5), ("a", 0.25)), lexical, DistributionFusion(0.5))
    assert [name for name, _ in ranked(fused)] == ["c", "a", "b"]


def test_one_branch_keeps_its_scores_and_ties_go_by_id() -> None:
    alone = ranking(("b", 0.875), ("c", 0.5), ("a", 0.5))
    for fused in (fuse(alone, None, ConvexFusion()), fuse(None, alone, ConvexFusion())):
        assert ranked(fused) == [("b", 0.875), ("a", 0.5), ("c", 0.5)]
        assert ranked(fused, 2) == [("b", 0.875), ("a", 0.5)]
    assert ranked(fuse(None, None, ConvexFusion())) == ranked(fuse(ranking(), ranking(), ConvexFusion())) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 35))
def test_the_best_are_those_of_a_sort(scores: list[int], limit: int) -> None:
    items = np.random.default_rng(len(scores)).permutation(len(scores))
    read: Callable[[int], str] = "{:03}".format
    expected = sorted(range(len(scores)), key=lambda place: (-scores[place], read(int(items[place]))))
    order = best_first(np.array(scores, np.float32), items, limit, read)
    assert order.tolist() == expected[:limit]


def test_ids_are_read_only_where_they_decide() -> None:
    read: list[int] = []

    def chunk_id(item: int) -> str:
        read.append(item)
        return str(item)

    scores = np.array([0.1, 0.9, 0.5, 0.5, 0.2, 0.1], np.float32)
    assert best_first(scores, np.arange(6), 3, chunk_id).tolist() == [1, 2, 3]
    assert sorted(read) == [2, 3]


def test_choosing_what_differs() -> None:
    relevance = np.array([10, 9, 5, 0], np.float32)
    vectors = np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], np.float32)
    assert most_diverse(relevance, vectors, 1.0, 4).tolist() == [0, 1, 2, 3]
    assert most_diverse(relevance, vectors, 0.7, 3).tolist() == [0, 2, 1]
    assert most_diverse(relevance, vectors, 0.0, 2).tolist() == [0, 3]
    assert most_diverse(np.ones(3, np.float32), vectors[:3], 0.5, 5).tolist() == [0, 2, 1]
    rounded = np.array([1.0000001, 1, 1], np.float32)
    assert most_diverse(rounded, vectors[:3], 0.9, 3).tolist() == [0, 2, 1]
    assert most_diverse(relevance[:0], vectors[:0], 0.5, 3).tolist() == []


@pytest.mark.parametrize("fusion", [ConvexFusion(), ReciprocalRankFusion(), DistributionFusion()])
def test_diverse_hits_come_from_every_part_and_branch(open_index: Open, fusion: Fusion) -> None:
    index = open_index()
    for position, (seed, text) in enumerate([(1, "apple"), (1, "apple"), (2, "pear"), (1, "apple"), (3, "apple")], 1):
        index.apply([chunk(position, f"chunk-{position}", seed=seed, text=text)])
        if position == 3:
            index.compact()
    snapshot, vector = index.snapshot(), query_vector(1)
    relevant = snapshot.search(SearchRequest(WANTED, 3, vector=vector, text="apple", fusion=fusion))
    assert {hit.chunk_id for hit in relevant.hits} == {"chunk-1", "chunk-2", "chunk-4"}
    diverse = snapshot.search(SearchRequest(WANTED, 3, vector=vector, text="apple", fusion=fusion, diversity=0.3))
    assert diverse.hits[0] == relevant.hits[0]
    assert {hit.chunk_id for hit in diverse.hits[1:]} == {"chunk-3", "chunk-5"}
    assert all(hit.dense for hit in diverse.hits)
    by_words = snapshot.search(SearchRequest(WANTED, 2, text="apple", diversity=0.3))
    assert len(by_words.hits) == 2 and by_words.hits[1].chunk_id == "chunk-5"
    with pytest.raises(ValueError, match="diversity"):
        snapshot.search(SearchRequest(WANTED, 2, text="apple", diversity=1.5))
