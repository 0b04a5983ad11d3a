"""Which rows of a segment have an attribute: made when it is written, so that a filter touches no other row."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import kernels
from index.row_sets import Words, no_rows, row_numbers
from index.views import read_only

Rows = npt.NDArray[np.int32]

_COMMON = 2
"""A name with more rows than so many per word is kept as a bitmap, which is smaller then than a list of its rows."""
_PREFIXES = 32
"""Bitmaps in a sorted order, evenly spaced: as many as a row number has bits, and so as large as the order itself."""


@dataclass(frozen=True, slots=True)
class Postings:
    """The rows of each name of a dictionary, by its code.

    counts: int32[k], how many rows each has; offsets: int64[k + 1] and rows: int32[m]: code c has
    rows[offsets[c]:offsets[c + 1]], ascending, or no list but a bitmap: common: int32[b], ascending codes, and bitmaps:
    uint64[b, ceil(n/64)], theirs. At most 4 bytes for each row of each name.
    """

    counts: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    rows: Rows
    common: npt.NDArray[np.int32]
    bitmaps: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, codes: npt.NDArray[np.int32], rows: Rows, names: int, all_rows: int) -> Postings:
        """codes[i] is a name of row rows[i]; rows: int32[m], ascending, of `all_rows`; codes below `names`.

        Cost: a sort.
        """
        order = np.argsort(codes, kind="stable")
        codes, rows = codes[order], rows[order]
        first = np.ones(len(codes), np.bool_)
        first[1:] = (codes[1:] != codes[:-1]) | (rows[1:] != rows[:-1])
        codes, rows = codes[first], rows[first]
        counts = np.bincount(codes, minlength=names).astype(np.int32)
        words = len(no_rows(all_rows))
        listed = counts <= _COMMON * words
        common = np.flatnonzero(~listed).astype(np.int32)
        bitmaps = np.zeros((len(common), words), np.uint64)
        ends = np.cumsum(counts, dtype=np.int64)
        for bitmap, code in zip(bitmaps, common.tolist(), strict=True):
            kernels.mark_rows(rows[ends[code] - counts[code] : ends[code]], bitmap)
        offsets = np.zeros(names + 1, np.int64)
        np.cumsum(np.where(listed, counts, 0), out=offsets[1:])
        return cls(
            read_only(counts),
            read_only(offsets),
            read_only(rows[listed[codes]]),
            read_only(common),
            read_only(bitmaps),
        )

    def count(self, codes: Rows) -> int:
        """How many rows the codes have; a row with several of them counts several times."""
        return sum(map(self.counts.item, codes.tolist()))

    def list_of(self, code: int) -> Rows:
        """The rows of a code, in order."""
        bitmap = self.bitmap_of(code)
        if bitmap is not None:
            return row_numbers(bitmap).astype(np.int32)
        return self.rows[self.offsets[code] : self.offsets[code + 1]]

    def bitmap_of(self, code: int) -> Words | None:
        """The rows of a common code, read-only; None for another."""
        if self.counts.item(code) <= _COMMON * self.bitmaps.shape[1]:
            return None
        words: Words = self.bitmaps[np.searchsorted(self.common, code)]
        return words

    def mark(self, codes: npt.NDArray[np.int32], target: Words) -> None:
        """Adds the rows of `codes`, int32[j], ascending. Cost: 1 ns a row, a pass over the words for a common code."""
        kernels.mark_postings(self.offsets, self.rows, self.common, self.bitmaps, codes, target)

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """As named arrays, for an array file."""
        return {f"{name}.{field}": getattr(self, field) for field in self.__slots__}

    @classmethod
    def from_arrays(cls, name: str, arrays: dict[str, npt.NDArray[Any]]) -> Postings:
        """Raises KeyError if an array is missing."""
        return cls(*(read_only(arrays[f"{name}.{field}"]) for field in cls.__slots__))


@dataclass(frozen=True, slots=True)
class SortedRows:
    """Rows in the order of a number that they have.

    order: int32[m]; prefixes: uint64[m // step, ceil(n/64)], the beginnings of the order as bitmaps: number i has the
    first (i + 1) * step rows. From the nearest ones any stretch of the order becomes a bitmap for some passes over the
    words and `step` single rows. step: m/32, and n/64 at least. At most 8 bytes per row.
    """

    order: Rows
    prefixes: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, numbers: npt.NDArray[Any], rows: Rows, all_rows: int) -> SortedRows:
        """rows: int32[m], ascending, of `all_rows`; numbers: the whole column. Cost: a sort."""
        order = rows[np.argsort(numbers[rows], kind="stable")]
        words = len(no_rows(all_rows))
        step = _step(len(order), words)
        prefixes = np.zeros((len(order) // step, words), np.uint64)
        for number, prefix in enumerate(prefixes):
            if number:
                prefix[:] = prefixes[number - 1]
            kernels.mark_rows(order[number * step : (number + 1) * step], prefix)
        return cls(read_only(order), read_only(prefixes))

    def __len__(self) -> int:
        return len(self.order)

    def before(self, number: int, number_of: npt.NDArray[Any]) -> int:
        """How many rows have a lesser number. number_of: the column that the order was made from."""
        return bisect_left(range(len(self.order)), number, key=lambda place: number_of.item(self.order.item(place)))

    def words(self, start: int, stop: int) -> Words:
        """order[start:stop] as a bitmap, a fresh one."""
        found = np.zeros(self.prefixes.shape[1], np.uint64)
        if stop - start <= self._step:
            kernels.mark_rows(self.order[start:stop], found)
            return found
        self._mark_first(stop, found)
        if start:
            earlier = np.zeros_like(found)
            self._mark_first(start, earlier)
            kernels.subtract(found, earlier)
        return found

    def _mark_first(self, stop: int, found: Words) -> None:
        """Makes order[:stop] of an empty set."""
        nearest = min((stop + self._step // 2) // self._step, len(self.prefixes))
        if nearest:
            found[:] = self.prefixes[nearest - 1]
        kernels.mark_rows(self.order[nearest * self._step : stop], found)
        kernels.clear_rows(self.order[stop : nearest * self._step], found)

    @property
    def _step(self) -> int:
        return _step(len(self.order), self.prefixes.shape[1])

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """As named arrays, for an array file."""
        return {f"{name}.{field}": getattr(self, field) for field in self.__slots__}

    @classmethod
    def from_arrays(cls, name: str, arrays: dict[str, npt.NDArray[Any]]) -> SortedRows:
        """Raises KeyError if an array is missing."""
        return cls(*(read_only(arrays[f"{name}.{field}"]) for field in cls.__slots__))


def _step(rows: int, words: int) -> int:
    """Less than a row per word would make bitmaps larger than the rows in them."""
    return max(1, -(-rows // _PREFIXES), words)
