"""Filters against a look at every chunk, in the head's way and in a segment's; and what bounds them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import index.expressions
from index import AllOf, AnyOf, Attributes, Condition, Created, Filter, Not, OfDocuments, OnPages, Reader, Tagged
from index.cache import LeastRecentlyUsed
from index.columns import MULTIPLE, NUMBERS, SINGLE, Columns, NameColumn, NameListColumn, join, lookup_of
from index.conditions import MAX_CONDITIONS, MAX_DEPTH
from index.filters import allowed_rows
from index.postings import Postings, SortedRows
from index.row_sets import all_rows, row_numbers
from index.strings import GrowingNames, PackedTexts, SortedNames
from index.views import read_only
from tests.index.model import fits, holds
from tests.index.strategies import conditions

TENANTS, USERS, GROUPS = ("t1", "t2"), ("alice", "bob", "g1"), ("g1", "g2", "", "alice")
TAGS, DOCUMENTS, LANGUAGES = ("red", "blue", "é"), ("d1", "d2", "d3"), ("en", "ja")
few = settings(max_examples=60, deadline=None)

attributes = st.builds(
    Attributes,
    tenant=st.sampled_from(TENANTS),
    owner=st.sampled_from(USERS),
    document_id=st.sampled_from(DOCUMENTS),
    groups=st.lists(st.sampled_from(GROUPS), max_size=3).map(tuple),
    tenant_wide=st.booleans(),
    tags=st.lists(st.sampled_from(TAGS), max_size=3).map(tuple),
    language=st.sampled_from(LANGUAGES),
    first_page=st.integers(-1, 5),
    last_page=st.integers(-1, 6),
    created_unix_s=st.integers(-5, 5) | st.sampled_from([-(2**63), 2**63 - 1]),
)
readers = st.builds(
    Reader,
    tenant=st.sampled_from([*TENANTS, "t3"]),
    user=st.sampled_from([*USERS, "carol"]),
    groups=st.frozensets(st.sampled_from([*GROUPS, "g3"])),
)
trees = conditions(
    documents=[*DOCUMENTS, "d9"],
    tags=[*TAGS, "nothing"],
    languages=[*LANGUAGES, ""],
    owners=[*USERS, "nobody"],
    groups=[*GROUPS, "nobody"],
    times=[-(2**80), -(2**63), -3, 0, 1, 4, 2**63 - 1, 2**80],
    pages=[-(2**40), -1, 0, 1, 2, 3, 5, 9, 2**31, 2**40],
)


def growing(chunks: list[Attributes]) -> Columns:
    """As the head has them."""
    single = {}
    for key, field in zip(SINGLE, ("tenant", "owner", "document_id", "language"), strict=True):
        names = GrowingNames()
        codes = np.array([names.add(getattr(each, field)) for each in chunks], np.int32)
        single[key] = NameColumn(read_only(codes), names)
    multiple = {}
    for key in MULTIPLE:
        names = GrowingNames()
        codes = np.array([names.add(name) for each in chunks for name in getattr(each, key)], np.int32)
        offsets = np.cumsum([0, *(len(getattr(each, key)) for each in chunks)])
        multiple[key] = NameListColumn(read_only(offsets), read_only(codes), names)
    numbers: dict[str, npt.NDArray[Any]] = {
        key: read_only(np.array([getattr(each, key, 0) for each in chunks], dtype)) for key, dtype in NUMBERS.items()
    }
    texts = {"chunk_id": [str(row) for row in range(len(chunks))], "tokens": [""] * len(chunks)}
    return Columns(len(chunks), single, multiple, numbers, dict(texts))


def sealed(chunks: list[Attributes]) -> Columns:
    """As a segment has them."""
    columns = growing(chunks)
    arrays = join([(columns, np.arange(columns.rows))]).arrays()
    return Columns.from_arrays({name: read_only(array) for name, array in arrays.items()})


def frozen(chunks: list[Attributes]) -> Columns:
    """As a frozen head has them."""
    columns = growing(chunks)
    return replace(columns, lookup=lookup_of(columns))


def allowed(wanted: Filter, columns: Columns, live: npt.NDArray[np.uint64] | None = None) -> list[int]:
    words, count = allowed_rows(wanted, columns, all_rows(columns.rows) if live is None else live)
    rows: list[int] = row_numbers(words).tolist()
    assert count == len(rows) and len(words) == -(-columns.rows // 64)
    return rows


@few
@given(st.lists(attributes, min_size=1, max_size=200), readers, st.none() | trees, st.sampled_from([1, 4, 512]))
def test_every_way_of_compiling_finds_what_a_look_at_each_chunk_finds(
    chunks: list[Attributes], reader: Reader, condition: Condition | None, one_in: int
) -> None:
    wanted = Filter(reader, condition)
    truth = [row for row, each in enumerate(chunks) if fits(each, wanted)]
    assert allowed(wanted, growing(chunks)) == truth
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index.expressions, "_FEW", one_in)
        for part in (sealed(chunks), frozen(chunks)):
            assert allowed(wanted, part) == truth
            assert allowed(wanted, part) == truth  # from the cache
            assert allowed(Filter(reader), part) == [
                row for row, each in enumerate(chunks) if fits(each, Filter(reader))
            ]


def many(rows: int) -> list[Attributes]:
    rng = np.random.default_rng(3)
    return [
        Attributes(
            tenant="t1",
            owner=f"owner-{rng.zipf(1.5)}",
            document_id=f"d{row // 7}",
            groups=tuple(f"g{number}" for number in rng.zipf(1.6, 2) if number < 300),
            tenant_wide=bool(rng.random() < 0.2),
            tags=(f"tag-{rng.zipf(1.4)}",),
            first_page=int(rng.integers(0, 30)),
            last_page=int(rng.integers(0, 60)),
            created_unix_s=int(rng.integers(0, 400)),
        )
        for row in range(rows)
    ]


def test_rare_and_common_names_together() -> None:
    chunks = many(3_000)
    segment = sealed(chunks)
    reader = Reader("t1", "owner-2", frozenset({"g1", "g2", "g250"}))
    asked: list[Condition] = [
        OfDocuments(("d3", "d400", "none")),
        OfDocuments(tuple(f"d{number}" for number in range(0, 400, 3))),
        Tagged(("tag-1",)),
        Tagged(("tag-1", "tag-9", "tag-77")),
        Created(13, 14),
        Created(100),
        OnPages(28, 29),
        AllOf((OfDocuments(("d10",)), Not(Tagged(("tag-1",))), OnPages(1), Created(None, 300))),
        AnyOf((OfDocuments(("d10",)), Created(399))),
        Not(Tagged(("tag-1",))),
    ]
    for condition in asked:
        wanted = Filter(reader, condition)
        truth = [row for row, each in enumerate(chunks) if fits(each, wanted)]
        assert allowed(wanted, segment) == truth
        assert {row for row, each in enumerate(chunks) if holds(each, condition)} >= set(truth) != set()


def test_a_removed_row_is_gone_from_what_was_cached() -> None:
    chunks = many(500)
    segment, wanted = sealed(chunks), Filter(Reader("t1", "owner-1"), Tagged(("tag-1",)))
    before = allowed(wanted, segment)
    live = all_rows(500)
    live[before[0] // 64] &= ~(np.uint64(1) << np.uint64(before[0] % 64))
    assert allowed(wanted, segment, live) == before[1:]
    assert allowed(wanted, segment) == before


def test_a_segment_remembers_a_bounded_amount_whatever_it_is_asked() -> None:
    segment = sealed(many(2_000))
    assert segment.lookup is not None
    cache = segment.lookup.cache
    for number in range(3_000):
        names = tuple(f"tag-{number + each}" for each in range(number % 9))
        allowed_rows(Filter(Reader("t1", f"owner-{number}"), Not(Tagged(names))), segment, all_rows(2_000))
        assert cache.bytes <= 1 << 16
    assert cache.bytes > 1 << 15


def test_many_threads_share_what_is_remembered() -> None:
    chunks = many(700)
    segment = sealed(chunks)
    asked = [
        Filter(Reader("t1", f"owner-{number % 5}"), Tagged((f"tag-{number % 7}",)) if number % 3 else None)
        for number in range(60)
    ]
    truth = [[row for row, each in enumerate(chunks) if fits(each, wanted)] for wanted in asked]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            assert list(threads.map(lambda wanted: allowed(wanted, segment), asked)) == truth


def test_the_least_recently_used_goes_first() -> None:
    cache = LeastRecentlyUsed[str](10)
    cache.put("a", "A", 4)
    cache.put("b", "B", 4)
    assert cache.get("a") == "A"
    cache.put("c", "C", 4)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), cache.bytes) == ("A", None, "C", 8)
    cache.put("c", "D", 6)
    assert (cache.get("c"), cache.get("a"), cache.bytes) == ("D", "A", 10)
    cache.put("e", "too large", 11)
    assert (cache.get("e"), cache.bytes) == (None, 10)
    cache.clear()
    assert (cache.get("a"), cache.bytes) == (None, 0)


def test_a_filter_is_refused_beyond_its_bounds() -> None:
    reader = Reader("t", "u")

    def nested(depth: int) -> Condition:
        condition: Condition = Tagged(("x",))
        for _ in range(depth - 1):
            condition = Not(condition)
        return condition

    assert Filter(reader, nested(MAX_DEPTH)).size == 2 + MAX_DEPTH + 1
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(ValueError, match="deep"):
            Filter(reader, nested(depth))
    Filter(reader, AnyOf((Created(),) * (MAX_CONDITIONS - 1)))
    with pytest.raises(ValueError, match="conditions"):
        Filter(reader, AnyOf((Created(),) * MAX_CONDITIONS))
    wide: Condition = Created()
    for _ in range(20):
        wide = AllOf((wide,) * 10)  # 10^20 conditions in twenty objects
    with pytest.raises(ValueError, match="conditions"):
        Filter(reader, wide)


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 700), st.integers(1, 6))
def test_postings_have_each_row_once_and_are_no_larger_than_lists(seed: int, rows: int, names: int) -> None:
    rng = np.random.default_rng(seed)
    of_rows = np.sort(rng.integers(0, rows, 2 * rows, np.int32))
    codes = np.minimum(rng.zipf(1.3, 2 * rows), names).astype(np.int32) - 1
    postings = Postings.of(codes, of_rows, names, rows)
    for code in range(names):
        truth = np.unique(of_rows[codes == code])
        assert postings.list_of(code).tolist() == truth.tolist()
        assert postings.counts[code] == len(truth) == postings.count(np.array([code], np.int32))
        assert (postings.bitmap_of(code) is not None) == (len(truth) > 2 * -(-rows // 64))
    some = np.flatnonzero(rng.random(names) < 0.5).astype(np.int32)
    marked = np.zeros(-(-rows // 64), np.uint64)
    postings.mark(some, marked)
    assert row_numbers(marked).tolist() == np.unique(of_rows[np.isin(codes, some)]).tolist()
    assert postings.rows.nbytes + postings.bitmaps.nbytes <= 4 * postings.counts.sum()


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 3_000), st.sampled_from([0.0, 0.02, 0.5, 1.0]))
def test_any_stretch_of_an_order_is_found(seed: int, rows: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(-20, 20, rows)
    chosen = np.flatnonzero(rng.random(rows) < share).astype(np.int32)
    order = SortedRows.of(numbers, chosen, rows)
    assert order.prefixes.nbytes <= 8 * len(order) and order.prefixes.nbytes <= 32 * 8 * -(-rows // 64)
    for _ in range(8):
        least, greatest = np.sort(rng.integers(-25, 25, 2)).tolist()
        start, stop = order.before(least, numbers), order.before(greatest, numbers)
        truth = chosen[(numbers[chosen] >= least) & (numbers[chosen] < greatest)]
        assert stop - start == len(truth)
        assert row_numbers(order.words(start, stop)).tolist() == truth.tolist()


@few
@given(st.sets(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_names_are_found_together(names: set[str], wanted: list[str]) -> None:
    ordered = sorted(names, key=str.encode)
    kept, growing_names = SortedNames(PackedTexts.pack(ordered)), GrowingNames()
    for name in ordered:
        growing_names.add(name)
    codes = sorted({ordered.index(name) for name in wanted if name in names})
    assert kept.find_all(wanted).tolist() == growing_names.find_all(wanted).tolist() == codes
