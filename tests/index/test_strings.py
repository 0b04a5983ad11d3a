"""Texts in flat arrays, and rows by id."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import strings
from index.part import LiveRows
from index.row_sets import no_rows, row_numbers
from index.strings import PackedTexts, RowOfId, hash_ids, join_texts

texts = st.lists(st.text(max_size=8), max_size=20)


@given(st.lists(st.tuples(texts, st.lists(st.integers(0, 19)), st.booleans()), max_size=3), st.integers(1, 5))
def test_joining_takes_the_rows_in_their_order(
    sources: list[tuple[list[str], list[int], bool]], taken_at_once: int
) -> None:
    chosen = [
        (each, np.array([row for row in rows if row < len(each)], np.int64), packed) for each, rows, packed in sources
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strings, "_TAKEN_AT_ONCE", taken_at_once)
        joined = join_texts((PackedTexts.pack(each) if packed else each, rows) for each, rows, packed in chosen)
    assert [joined[row] for row in range(len(joined))] == [each[row] for each, rows, _ in chosen for row in rows]


@given(st.lists(st.text(max_size=4), unique=True), st.lists(st.text(max_size=4)), st.booleans())
def test_a_row_is_found_by_its_id_and_not_by_its_hash(ids: list[str], others: list[str], colliding: bool) -> None:
    asked = ids + others
    with pytest.MonkeyPatch.context() as patch:
        if colliding:
            patch.setattr(strings, "hash_ids", lambda each: np.array([len(one) for one in each], np.uint64))
        rows_of_ids = RowOfId.of(PackedTexts.pack(ids))
        rows = rows_of_ids.find(asked, strings.hash_ids(asked))
    assert rows.tolist() == [ids.index(each) if each in ids else -1 for each in asked]


def test_the_hash_is_the_one_of_the_format() -> None:
    assert hash_ids(["chunk-1", "検索"]).tolist() == [0x893CDA9DCA9E1231, 0xE03920B6960C0295]


@given(st.lists(st.tuples(st.integers(0, 150), st.lists(st.integers(0, 999)))))
def test_live_rows_grow_and_shrink_and_leave_views_alone(steps: list[tuple[int, list[int]]]) -> None:
    live, expected = LiveRows(no_rows(0), 0), set[int]()
    views = []
    for added, removed in steps:
        expected |= set(range(live.rows, live.rows + added))
        live.append(added)
        for row in removed:
            if row < live.rows:
                live.remove(row)
                expected.discard(row)
        views.append((live.words, set(expected)))
        assert live.live == len(expected)
    for words, rows in views:
        assert set(row_numbers(words).tolist()) == rows
