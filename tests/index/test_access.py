"""No branch ever returns what the reader may not see, whatever else is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index import Analyzer, Filter, HybridIndex, IndexOptions, Reader, Remove, SearchRequest
from index.lexical import tantivy_segment
from index.lexical.query import LexicalQuery
from index.lexical.tantivy_segment import LexicalSearcher, RowDocuments, global_weights
from index.row_sets import all_rows
from tests.index.conftest import Open
from tests.index.model import Model, check_search, chunk, query_vector
from tests.index.strategies import conditions

GROUPS = ("g1", "g2", "g3", "g:1", "w", "")
USERS = ("alice", "bob", "g1", "w")
TENANTS = ("t1", "t2", "alice")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, analyzer: Analyzer) -> tuple[HybridIndex, Model]:
    """400 chunks with every combination of access, half of them in a segment, some replaced and some removed."""
    path = tmp_path_factory.mktemp("access")
    index = HybridIndex.open(path, dimension=8, fingerprint="f", options=IndexOptions(seal_rows=200), analyzer=analyzer)
    model = Model(analyzer)
    for position in range(1, 401):
        shared = tuple(group for bit, group in enumerate(GROUPS) if (position * 7 + position // 9) >> bit & 1)
        operation = chunk(
            position,
            f"chunk-{position % 350}",
            text="secret" if position % 2 else "secret 秘密",
            tenant=TENANTS[position % 3],
            owner=USERS[position // 3 % 4],
            groups=shared if position % 4 else (),
            tenant_wide=position % 11 == 0,
            tags=("red",) if position % 3 else ("red", "blue"),
            language="ja" if position % 5 == 0 else "en",
            document_id=f"d{position % 4}",
            pages=(position % 7, position % 7 + position % 3),
            created_unix_s=position,
        )
        index.apply([operation])
        model.apply([operation])
        if position == 220:
            index.maintain()
    for position, removed in enumerate(range(60, 90), start=401):
        index.apply([Remove(position, f"chunk-{removed}")])
        model.apply([Remove(position, f"chunk-{removed}")])
    return index, model


@pytest.fixture(scope="module")
def lexical_alone(filled: tuple[HybridIndex, Model]) -> Iterator[tuple[LexicalSearcher, list[str]]]:
    """The same chunks in a lexical part of their own, which no bitmap guards."""
    chunks = list(filled[1].chunks.values())
    documents = RowDocuments()
    for row, each in enumerate(chunks):
        documents.add(row, "secret", each.attributes)
    yield documents.searcher(), [each.chunk_id for each in chunks]
    documents.close()


readers = st.builds(
    Reader,
    tenant=st.sampled_from([*TENANTS, "", "t"]),
    user=st.sampled_from([*USERS, "", "carol"]),
    groups=st.frozensets(st.sampled_from([*GROUPS, "alice", "t1"])),
)
filters = st.builds(
    Filter,
    reader=readers,
    condition=st.none()
    | conditions(
        documents=["d0", "d1", "nothing"],
        tags=["red", "blue", "nothing"],
        languages=["en", "ja", "nothing"],
        owners=[*USERS, "nobody"],
        groups=[*GROUPS, "nothing"],
        times=[0, 100, 101, 250, 399, 400, 1_000],
        pages=[0, 1, 2, 3, 5, 9, 100],
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=filters, seed=st.integers(0, 99), limit=st.integers(1, 40))
def test_both_branches_return_what_the_model_allows(
    filled: tuple[HybridIndex, Model], wanted: Filter, seed: int, limit: int
) -> None:
    index, model = filled
    check_search(index.snapshot(), model, wanted, "secret 秘密", seed, limit)


def test_without_groups_only_tenant_wide_and_own(open_index: Open) -> None:
    index = open_index()
    index.apply(
        [
            chunk(1, "wide", text="word", tenant_wide=True, owner="x"),
            chunk(2, "own", text="word", tenant_wide=False, owner="me"),
            chunk(3, "shared", text="word", tenant_wide=False, owner="x", groups=("g1",)),
            chunk(4, "elsewhere", text="word", tenant="t2", tenant_wide=True, owner="me", groups=("g1",)),
        ]
    )
    for groups, visible in ((frozenset[str](), {"wide", "own"}), (frozenset({"g1"}), {"wide", "own", "shared"})):
        wanted = Filter(Reader("t1", "me", groups))
        for request in (
            SearchRequest(wanted, 10, vector=query_vector(1)),
            SearchRequest(wanted, 10, text="word"),
            SearchRequest(wanted, 10, vector=query_vector(1), text="word"),
        ):
            assert {hit.chunk_id for hit in index.snapshot().search(request).hits} == visible


def test_removed_chunks_do_not_crowd_out_the_others(open_index: Open) -> None:
    index = open_index()
    index.apply([chunk(position, f"chunk-{position}", text="needle") for position in range(1, 201)])
    index.apply([chunk(position, f"chunk-{position}", text="needle in hay " * 3) for position in range(201, 211)])
    index.apply([Remove(position, f"chunk-{position - 210}") for position in range(211, 411)])
    request = SearchRequest(Filter(Reader("t1", "x")), 3, text="needle", candidates=3)
    assert len(index.snapshot().search(request).hits) == 3


def test_a_rare_visible_chunk_is_found_behind_many_better_ones(open_index: Open) -> None:
    index = open_index()
    hidden = [
        chunk(position, f"hidden-{position}", text="needle", tenant_wide=False, seed=1) for position in range(1, 300)
    ]
    shown = chunk(300, "shown", text="needle in a long text of other words", owner="me", tenant_wide=False, seed=2)
    index.apply([*hidden, shown])
    wanted = Filter(Reader("t1", "me"))
    for request in (SearchRequest(wanted, 1, vector=query_vector(1)), SearchRequest(wanted, 1, text="needle")):
        assert [hit.chunk_id for hit in index.snapshot().search(request).hits] == ["shown"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=filters, narrow=st.booleans())
def test_the_lexical_query_alone_filters_too(
    filled: tuple[HybridIndex, Model],
    lexical_alone: tuple[LexicalSearcher, list[str]],
    wanted: Filter,
    narrow: bool,
) -> None:
    """Times and pages are left to the bitmap, unless the filter leaves few rows."""
    _, model = filled
    searcher, chunk_ids = lexical_alone
    rows = len(chunk_ids)
    weights = global_weights([searcher], ["secret"])[0]
    with mock.patch.object(tantivy_segment, "_NARROW", 0 if narrow else 10):
        hits = searcher.search(LexicalQuery(optional=("secret",)), weights, wanted, all_rows(rows), rows, rows)
    found, readable = {chunk_ids[row] for row in hits.rows.tolist()}, set(model.allowed(Filter(wanted.reader)))
    assert set(model.allowed(wanted)) <= found <= readable
    if narrow or not re.search("Created|OnPages", repr(wanted)):
        assert found == set(model.allowed(wanted))
