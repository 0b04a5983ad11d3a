"""Conditions resolved against one part of the index: sets of rows whose size is bounded before they are made.

Each can be had in two ways: as a bitmap, at the cost of passes over the words, and where few rows are left as a list
of rows that the other expressions are tested for, at the cost of a look at their columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

import kernels
from index.postings import Postings, SortedRows
from index.row_sets import Words, all_rows, contains, no_rows, row_numbers
from index.views import read_only

Rows = npt.NDArray[np.int32]
"""Row numbers, ascending and distinct."""
Flags = npt.NDArray[np.bool_]

_FEW = 512
"""One in so many rows are few: looking at their columns one by one costs less than a pass over all words."""


class Expression(ABC):
    """A set of rows. at_most: an upper bound of its size; 0 means that it is empty."""

    def __init__(self, at_most: int) -> None:
        self.at_most = at_most

    @abstractmethod
    def words(self) -> Words:
        """As a bitmap, uint64[ceil(n/64)], that may belong to others: it is not to be written to."""

    @abstractmethod
    def rows(self) -> Rows:
        """As a list that is nobody else's. For when `at_most` is small."""

    @abstractmethod
    def has(self, rows: Rows) -> Flags:
        """bool[m]: which of `rows` are in it."""

    def add_to(self, target: Words) -> None:
        """target |= the set."""
        kernels.unite(target, self.words())

    def keep_in(self, target: Words) -> None:
        """target &= the set."""
        kernels.intersect(target, self.words())


class StoredRows(Expression):
    """A bitmap that exists already."""

    def __init__(self, bitmap: Words, at_most: int) -> None:
        super().__init__(at_most)
        self._bitmap = bitmap

    @property
    def nbytes(self) -> int:
        return self._bitmap.nbytes

    def within(self, rows: Words) -> tuple[Words, int]:
        """Those that are in `rows`, uint64[ceil(n/64)], too, a fresh bitmap; and how many. Cost: one pass."""
        common = np.empty(len(self._bitmap), np.uint64)
        return common, kernels.intersection(read_only(self._bitmap), read_only(rows), common)

    def words(self) -> Words:
        return self._bitmap

    def rows(self) -> Rows:
        return row_numbers(self._bitmap).astype(np.int32)

    def has(self, rows: Rows) -> Flags:
        return contains(self._bitmap, rows)


class ListedRows(Expression):
    """A list that exists already, of a part with `all_rows`."""

    def __init__(self, listed: Rows, all_rows: int) -> None:
        super().__init__(len(listed))
        self._listed = listed
        self._all_rows = all_rows

    @property
    def nbytes(self) -> int:
        return self._listed.nbytes

    def within(self, rows: Words) -> tuple[Words, int]:
        """See StoredRows. Cost: clearing the bitmap, and a look at each row of the list."""
        common = no_rows(self._all_rows)
        return common, kernels.mark_common(self._listed, read_only(rows), common)

    def words(self) -> Words:
        found = no_rows(self._all_rows)
        self.add_to(found)
        return found

    def rows(self) -> Rows:
        return self._listed.copy()

    def has(self, rows: Rows) -> Flags:
        if not len(self._listed):
            return np.zeros(len(rows), np.bool_)
        places = np.minimum(np.searchsorted(self._listed, rows), len(self._listed) - 1)
        return np.equal(self._listed[places], rows)

    def add_to(self, target: Words) -> None:
        kernels.mark_rows(self._listed, target)


RowSet = StoredRows | ListedRows
"""A set that needs no more work."""


def evaluated(expression: Expression, all_rows: int) -> RowSet:
    """The set: as a list where it has few of a part's rows, which is small to keep and quick to go on with."""
    few = all_rows // _FEW
    if expression.at_most <= few:
        return ListedRows(expression.rows(), all_rows)
    words = expression.words()
    count = kernels.count(words)
    if count > few:
        return StoredRows(words, count)
    listed = np.empty(count, np.int32)
    kernels.list_rows(words, listed)
    return ListedRows(listed, all_rows)


class NamedRows(Expression):
    """Rows with at least one of some names. codes: int32[j] of these, ascending. has: see there."""

    def __init__(self, postings: Postings, codes: Rows, has: Callable[[Rows], Flags], all_rows: int) -> None:
        super().__init__(min(postings.count(codes), all_rows))
        self._postings = postings
        self._codes = codes
        self._has = has
        self._all_rows = all_rows

    def words(self) -> Words:
        if len(self._codes) == 1:
            common = self._postings.bitmap_of(self._codes.item())
            if common is not None:
                return common
        found = no_rows(self._all_rows)
        self.add_to(found)
        return found

    def rows(self) -> Rows:
        lists = [self._postings.list_of(code) for code in self._codes.tolist()]
        return lists[0].copy() if len(lists) == 1 else _union(lists)

    def has(self, rows: Rows) -> Flags:
        return self._has(rows)

    def add_to(self, target: Words) -> None:
        self._postings.mark(self._codes, target)


class RowsBetween(Expression):
    """Rows from place `start` to `stop`, excluded, of an order. has: see there."""

    def __init__(self, order: SortedRows, start: int, stop: int, has: Callable[[Rows], Flags]) -> None:
        super().__init__(max(0, stop - start))
        self._order = order
        self._start = start
        self._stop = stop
        self._has = has

    def words(self) -> Words:
        return self._order.words(self._start, self._stop)

    def rows(self) -> Rows:
        return np.sort(self._order.order[self._start : self._stop])

    def has(self, rows: Rows) -> Flags:
        return self._has(rows)


class Intersection(Expression):
    """Rows in all of the sets."""

    def __init__(self, sets: Sequence[Expression], all_rows: int) -> None:
        super().__init__(min((each.at_most for each in sets), default=all_rows))
        flat: list[Expression] = []
        for each in sets:
            flat += each._sets if isinstance(each, Intersection) else [each]
        self._sets: list[Expression] = sorted(flat, key=lambda each: each.at_most)
        self._all_rows = all_rows

    def words(self) -> Words:
        if not self.at_most:
            return no_rows(self._all_rows)
        if not self._sets:
            return all_rows(self._all_rows)
        found = self._sets[0].words()
        if len(self._sets) > 1:
            found = found.copy()
        for each in self._sets[1:]:
            each.keep_in(found)
        return found

    def rows(self) -> Rows:
        if not self._sets:
            return np.arange(self._all_rows, dtype=np.int32)
        found = self._sets[0].rows()
        for each in self._sets[1:]:
            if not len(found):
                break
            found = found[each.has(found)]
        return found

    def has(self, rows: Rows) -> Flags:
        found = np.ones(len(rows), np.bool_)
        for each in self._sets:
            found &= each.has(rows)
        return found


class Union(Expression):
    """Rows in at least one of the sets."""

    def __init__(self, sets: Sequence[Expression], all_rows: int) -> None:
        super().__init__(min(sum(each.at_most for each in sets), all_rows))
        self._sets = [each for each in sets if each.at_most]
        self._all_rows = all_rows

    def words(self) -> Words:
        found = no_rows(self._all_rows)
        self.add_to(found)
        return found

    def rows(self) -> Rows:
        return _union([each.rows() for each in self._sets])

    def has(self, rows: Rows) -> Flags:
        found = np.zeros(len(rows), np.bool_)
        for each in self._sets:
            found |= each.has(rows)
        return found

    def add_to(self, target: Words) -> None:
        for each in self._sets:
            each.add_to(target)


class Complement(Expression):
    """Rows that are not in the set."""

    def __init__(self, inner: Expression, all_rows: int) -> None:
        super().__init__(all_rows)
        self._inner = inner
        self._all_rows = all_rows

    def words(self) -> Words:
        found = all_rows(self._all_rows)
        self.keep_in(found)
        return found

    def rows(self) -> Rows:
        return row_numbers(self.words()).astype(np.int32)

    def has(self, rows: Rows) -> Flags:
        return ~self._inner.has(rows)

    def keep_in(self, target: Words) -> None:
        if self._inner.at_most:
            kernels.subtract(target, self._inner.words())


def _union(lists: Sequence[Rows]) -> Rows:
    return np.unique(np.concatenate([np.zeros(0, np.int32), *lists]))
