"""Search by words in one part of the index: what is left out of the work is not left out of the result."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest

from index import Attributes, Created, Filter, Not, OnPages, Reader
from index.lexical import tantivy_segment
from index.lexical.query import LexicalQuery, Phrase
from index.lexical.tantivy_segment import LexicalHits, LexicalSearcher, RowDocuments, TokenWeight, global_weights
from index.row_sets import all_rows, contains, no_rows

ROWS = 600
WANTED = Filter(Reader("t", "u"))
EVERY_ROW = all_rows(ROWS)


def attributes(row: int) -> Attributes:
    return Attributes(
        tenant="t", owner="u", document_id=f"d{row}", tenant_wide=True, created_unix_s=row, first_page=1, last_page=1
    )


@pytest.fixture(scope="module")
def searcher() -> Iterator[LexicalSearcher]:
    """Words by a Zipf law: w0 is in most rows, w300 in few."""
    rng = np.random.default_rng(3)
    share = 1 / np.arange(1, 400)
    documents = RowDocuments()
    for row in range(ROWS):
        words = rng.choice(len(share), rng.integers(5, 40), p=share / share.sum())
        documents.add(row, " ".join(f"w{word}" for word in words), attributes(row))
    yield documents.searcher()
    documents.close()


def search(searcher: LexicalSearcher, words: list[int], limit: int, every: int = 1) -> tuple[LexicalHits, int]:
    """Of every so-and-so-many-th row; and how often Tantivy was asked."""
    query = LexicalQuery(optional=tuple(dict.fromkeys(f"w{word}" for word in words)))
    allowed = no_rows(ROWS)
    for row in range(0, ROWS, every):
        allowed[row // 64] |= np.uint64(1) << np.uint64(row % 64)
    weights = global_weights([searcher], query.scoring)[0]
    with mock.patch.object(LexicalSearcher, "_best", autospec=True, side_effect=LexicalSearcher._best) as asked:
        hits = searcher.search(query, weights, WANTED, allowed, ROWS // every, limit)
    assert contains(allowed, hits.rows).all()
    return hits, asked.call_count


def test_common_words_are_skipped_only_where_that_changes_nothing(searcher: LexicalSearcher) -> None:
    rng = np.random.default_rng(1)
    skipped = repeated = 0
    for number in range(150):
        every = (1, 2, 5)[number % 3]
        words = [0, *rng.integers(1, 4, 2).tolist(), *rng.integers(20, 350, 3).tolist()]
        limit = int(rng.integers(1, 20))
        expected, _ = search(searcher, words, limit, every)
        with (
            mock.patch.object(tantivy_segment, "_LEAST_COMMON_ROWS", 1),
            mock.patch.object(tantivy_segment, "_COMMON_SHARE", float(rng.choice([0.5, 2]))),
        ):
            hits, asked = search(searcher, words, limit, every)
            weights = global_weights([searcher], [f"w{word}" for word in words])[0]
            skipped += bool(searcher._common(list(weights), weights, ROWS // every, limit))
            repeated += asked - 1
        np.testing.assert_allclose(hits.scores, expected.scores, rtol=1e-5)
        assert set(hits.rows[hits.scores > expected.scores[-1] * 1.00001].tolist()) <= set(expected.rows.tolist())
    assert 0 < repeated < skipped


def matched(searcher: LexicalSearcher, asked: mock.MagicMock) -> list[int]:
    """How many rows fit each query that Tantivy was asked: so many it scores."""
    queries = [call.args[1] for call in asked.call_args_list]
    return [len(searcher._searcher.search(query, ROWS, count=False).hits) for query in queries]


def test_rows_with_only_common_words_are_not_scored(searcher: LexicalSearcher) -> None:
    query = LexicalQuery(optional=("w0", "w1", "w60", "w61", "w62", "w63"))
    weights = global_weights([searcher], query.scoring)[0]
    rows = [weights[token].rows for token in query.optional]
    with (
        mock.patch.object(tantivy_segment, "_LEAST_COMMON_ROWS", 1),
        mock.patch.object(tantivy_segment, "_COMMON_SHARE", 0.4),
        mock.patch.object(LexicalSearcher, "_best", autospec=True, side_effect=LexicalSearcher._best) as asked,
    ):
        searcher.search(query, weights, WANTED, EVERY_ROW, ROWS, 3)
    (scored,) = matched(searcher, asked)
    assert max(rows[2:]) <= scored <= sum(rows[2:]) < rows[0]


def test_rows_that_the_reader_may_not_see_are_not_scored() -> None:
    """Not even if names that differ read alike one after the other."""
    may = [("t", "u", (), False), ("t", "x", ("g",), False), ("t", "x", (), True)]
    may_not = [("t", "x", ("h",), False), ("tu", "", (), True), ("", "tu", ("tg",), False), ("s", "u", ("g",), True)]
    documents = RowDocuments()
    for row, (tenant, owner, groups, wide) in enumerate(may + may_not):
        documents.add(row, "apple", Attributes(tenant, owner, "d", groups, tenant_wide=wide))
    searcher, query = documents.searcher(), LexicalQuery(optional=("apple",))
    weights = global_weights([searcher], query.scoring)[0]
    reader = Filter(Reader("t", "u", frozenset({"g"})))
    with mock.patch.object(LexicalSearcher, "_best", autospec=True, side_effect=LexicalSearcher._best) as asked:
        hits = searcher.search(query, weights, reader, all_rows(7), 7, 7)
    assert (hits.rows.tolist(), matched(searcher, asked)) == ([0, 1, 2], [3])
    documents.close()


def test_a_long_phrase_is_no_deep_query(searcher: LexicalSearcher) -> None:
    words = tuple(f"w{word % 390}" for word in range(5_000))
    query = LexicalQuery(required=(Phrase(words),))
    weights = {token: TokenWeight(1.5, 1.0, 1) for token in query.scoring}
    assert len(searcher.search(query, weights, WANTED, EVERY_ROW, ROWS, 10).rows) == 0


def test_no_row_is_asked_for_where_none_is_allowed(searcher: LexicalSearcher) -> None:
    query = LexicalQuery(optional=("w0",))
    weights = global_weights([searcher], ["w0"])[0]
    with mock.patch.object(LexicalSearcher, "_best") as asked:
        assert len(searcher.search(query, weights, WANTED, no_rows(ROWS), 0, 10).rows) == 0
    assert not asked.called


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        (Created(None, 3), [0, 1, 2]),
        (Created(597), [597, 598, 599]),
        (Created(10**30), []),
        (Created(None, -(10**30)), []),
        (Not(Created(2)), [0, 1]),
        (OnPages(2, 1), []),
        (OnPages(2), []),
    ],
)
def test_few_rows_by_time_or_page_are_found_at_once(
    searcher: LexicalSearcher, condition: Created | OnPages | Not, rows: list[int]
) -> None:
    query = LexicalQuery(excluded=(Phrase(("none",)),), optional=tuple(f"w{word}" for word in range(400)))
    weights = global_weights([searcher], query.scoring)[0]
    wanted = Filter(WANTED.reader, condition)
    hits = searcher.search(query, weights, wanted, EVERY_ROW, ROWS // 10, 100)
    assert sorted(hits.rows.tolist()) == rows


def test_what_the_bitmap_forbids_makes_it_ask_for_more(searcher: LexicalSearcher) -> None:
    allowed = no_rows(ROWS)
    allowed[5] = np.uint64(0b1011)
    query = LexicalQuery(optional=tuple(f"w{word}" for word in range(400)))
    weights = global_weights([searcher], query.scoring)[0]
    hits = searcher.search(query, weights, WANTED, allowed, 3, 50)
    assert sorted(hits.rows.tolist()) == [320, 321, 323]
