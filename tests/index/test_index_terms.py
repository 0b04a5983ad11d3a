"""What callers ask means the same to the index."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args

import pytest

import index
from server.adapters.index_terms import operation, search_request, search_result
from server.domain import conditions
from server.domain.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Created,
    InLanguages,
    Not,
    OfDocuments,
    OnPages,
    OwnedBy,
    Tagged,
)
from server.domain.passages import (
    ConvexFusion,
    DistributionFusion,
    Fusion,
    IndexQuery,
    LogEntry,
    ReciprocalRankFusion,
    SearchFilter,
    SearchMode,
)
from server.domain.principals import Principal
from tests.index.model import DIMENSION, query_vector
from tests.index.test_passage_index import entry

ALICE = Principal("t1", "alice", frozenset({"g2"}))


def changed(of: LogEntry, **attributes: object) -> LogEntry:
    assert of.chunk is not None
    return dataclasses.replace(of, chunk=dataclasses.replace(of.chunk, **attributes))  # type: ignore[arg-type]


ENTRIES = [
    changed(entry(1, "a"), tags=("red", "round"), created_unix_s=100, first_page=1, last_page=2),
    changed(entry(2, "b", language="ja"), tags=("red",), created_unix_s=200, first_page=3, last_page=3),
    changed(entry(3, "c", owner="bob"), tags=(), created_unix_s=300, first_page=0, last_page=0),
]


@pytest.fixture
def snapshot(tmp_path: Path) -> index.Snapshot:
    with index.HybridIndex.open(tmp_path / "index", dimension=DIMENSION, fingerprint="model@1") as opened:
        opened.apply([operation(each) for each in ENTRIES])
        return opened.snapshot()


def asked(wanted: SearchFilter, fusion: Fusion | None = None, diversity: float | None = None) -> index.SearchRequest:
    query = IndexQuery(ALICE, "apple", SearchMode.HYBRID, fusion or ConvexFusion(), wanted, 5, diversity)
    return search_request(query, query_vector(1))


@pytest.mark.parametrize(
    ("condition", "fitting"),
    [
        (OfDocuments(("d-a", "d-c")), "ac"),
        (Tagged(("round", "blue")), "a"),
        (InLanguages(("ja",)), "b"),
        (OwnedBy(("bob",)), "c"),
        (Created(200, None), "bc"),
        (Created(None, 200), "a"),
        (Created(200, 201), "b"),
        (OnPages(2, 0), "ab"),
        (OnPages(0, 2), "a"),
        (OnPages(3, 3), "b"),
        (OnPages(), "ab"),
        (AllOf((Tagged(("red",)), Not(Tagged(("round",))))), "b"),
        (AnyOf((Tagged(("round",)), OwnedBy(("bob",)))), "ac"),
        (AllOf(()), "abc"),
        (AnyOf(()), ""),
        (Not(AnyOf(())), "abc"),
    ],
)
def test_a_condition_finds_what_fits(snapshot: index.Snapshot, condition: Condition, fitting: str) -> None:
    found = snapshot.search(asked(SearchFilter(condition=condition)))
    assert sorted(hit.chunk_id for hit in found.hits) == list(fitting)


def test_all_parts_of_a_filter_must_hold(snapshot: index.Snapshot) -> None:
    wanted = SearchFilter(("d-a", "d-b"), ("red",), ("en", "ja"), Not(OnPages(3, 3)))
    assert [hit.chunk_id for hit in snapshot.search(asked(wanted)).hits] == ["a"]
    wanted = SearchFilter(tags=("red", "round"), condition=InLanguages(("ja",)))
    assert snapshot.search(asked(wanted)).hits == ()


def test_every_kind_of_condition_has_a_counterpart() -> None:
    names = {kind.__name__ for kind in get_args(conditions.Condition)}
    assert names == {kind.__name__ for kind in get_args(index.Condition)} - {"SharedWith"}, (
        "who may read what is not the caller's to ask"
    )


@pytest.mark.parametrize(
    ("fusion", "theirs"),
    [
        (ConvexFusion(0.25), index.ConvexFusion(0.25)),
        (ReciprocalRankFusion(7, 0.25), index.ReciprocalRankFusion(7, 0.25)),
        (DistributionFusion(0.25), index.DistributionFusion(0.25)),
    ],
)
def test_fusions_and_diversity(fusion: Fusion, theirs: index.Fusion) -> None:
    request = asked(SearchFilter(), fusion, 0.75)
    assert (request.fusion, request.diversity) == (theirs, 0.75)
    assert asked(SearchFilter()).diversity is None


def test_a_result_keeps_all_counts() -> None:
    part = index.PartReport("segment-1", "walk", 10, 20, 30)
    hit = index.Hit("a", 0.5, index.BranchPlace(1, 0.75), None)
    found = search_result(index.SearchResult((hit,), 9, (part,), 4), "generation-2")
    assert dataclasses.astuple(found.plans[0]) == ("segment-1", "walk", 10, 20, 30)
    assert (found.position, found.lexical_candidates, found.generation) == (9, 4, "generation-2")
    assert dataclasses.astuple(found.hits[0]) == ("a", 0.5, (1, 0.75), None)
