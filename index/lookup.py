"""All that a filter needs to find a segment's rows by their attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import kernels
from index.cache import LeastRecentlyUsed
from index.expressions import RowSet
from index.postings import Postings, SortedRows
from index.row_sets import Words, no_rows

_CACHED_BYTES_PER_ROW = 16
"""Room for 128 bitmaps, and for many more lists."""
_LEAST_CACHED_BYTES = 1 << 16
_ORDERS = ("created_unix_s", "first_page", "last_page")
_TENANT_WIDE = "tenant_wide.bitmap"


@dataclass(frozen=True, slots=True, eq=False)
class RowLookup:
    """Rows by name, for each column that has names; in the order of numbers; and those that are tenant-wide.

    tenant_wide: uint64[ceil(n/64)], of `tenant_wide_count` rows. The orders of pages have only rows that stand on
    pages. `cache` has row sets by what asked for them; valid for ever, because a segment's attributes never change.
    """

    postings: dict[str, Postings]
    orders: dict[str, SortedRows]
    tenant_wide: Words
    tenant_wide_count: int
    cache: LeastRecentlyUsed[RowSet]

    @classmethod
    def of(
        cls,
        names: Mapping[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], int]],
        numbers: Mapping[str, npt.NDArray[Any]],
    ) -> RowLookup:
        """names: for each column the codes of its names, int32[m], the row of each, and how many names there are.
        numbers: the columns of numbers. Cost: a sort for each column, some 0.1 s per million rows."""
        tenant_wide, first_page, last_page = (numbers[key] for key in ("tenant_wide", "first_page", "last_page"))
        rows = len(tenant_wide)
        postings = {key: Postings.of(codes, of_rows, many, rows) for key, (codes, of_rows, many) in names.items()}
        every = np.ones(rows, np.bool_)
        on_pages = (first_page > 0) & (first_page <= last_page)
        orders = {
            key: SortedRows.of(numbers[key], np.flatnonzero(chosen).astype(np.int32), rows)
            for key, chosen in zip(_ORDERS, (every, on_pages, on_pages), strict=True)
        }
        wide = no_rows(rows)
        kernels.mark_rows(np.flatnonzero(tenant_wide).astype(np.int32), wide)
        return cls._with_cache(postings, orders, wide, rows)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As named arrays, for an array file."""
        arrays: dict[str, npt.NDArray[Any]] = {_TENANT_WIDE: self.tenant_wide}
        for key, postings in self.postings.items():
            arrays |= postings.arrays(f"{key}.postings")
        for key, order in self.orders.items():
            arrays |= order.arrays(key)
        return arrays

    @classmethod
    def from_arrays(cls, keys: Iterable[str], rows: int, arrays: dict[str, npt.NDArray[Any]]) -> RowLookup:
        """The reverse of `arrays`; keys: of the columns with names. Raises KeyError if an array is missing."""
        return cls._with_cache(
            {key: Postings.from_arrays(f"{key}.postings", arrays) for key in keys},
            {key: SortedRows.from_arrays(key, arrays) for key in _ORDERS},
            arrays[_TENANT_WIDE],
            rows,
        )

    @classmethod
    def _with_cache(
        cls, postings: dict[str, Postings], orders: dict[str, SortedRows], tenant_wide: Words, rows: int
    ) -> RowLookup:
        cache = LeastRecentlyUsed[RowSet](max(_LEAST_CACHED_BYTES, _CACHED_BYTES_PER_ROW * rows))
        return cls(postings, orders, tenant_wide, kernels.count(tenant_wide), cache)
