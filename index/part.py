"""What a search sees of one part of the index: the head or a segment, at one moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from index.columns import Columns
from index.dense.side import DenseSide
from index.lexical.tantivy_segment import LexicalSearcher
from index.row_sets import Words, all_rows, row_numbers, without
from index.views import read_only


@dataclass(frozen=True, slots=True)
class Part:
    """Immutable. Row r is the same chunk everywhere. live: uint64[ceil(rows/64)], rows not removed or replaced."""

    name: str
    columns: Columns
    dense: DenseSide
    lexical: LexicalSearcher
    live: Words


class LiveRows:
    """The rows that are not removed. One writer; `words` stay as they are for who holds them."""

    def __init__(self, words: Words, rows: int) -> None:
        self._words = words
        self._shared = True
        self.rows = rows
        self.live = len(row_numbers(words))

    @property
    def words(self) -> Words:
        """uint64[ceil(rows/64)], read-only."""
        self._shared = True
        return read_only(self._words[: -(-self.rows // 64)])

    def append(self, rows: int) -> None:
        """So many more rows, live."""
        first, self.rows = self.rows, self.rows + rows
        self._own(-(-self.rows // 64))
        added = all_rows(self.rows)[first // 64 :]
        added[:1] &= ~np.uint64((1 << first % 64) - 1)
        self._words[first // 64 : first // 64 + len(added)] |= added
        self.live += rows

    def remove(self, row: int) -> None:
        """No effect on a row that is removed already."""
        if row in self:
            self._own(len(self._words))
            without(self._words, row)
            self.live -= 1

    def __contains__(self, row: int) -> bool:
        return bool(self._words[row // 64] >> np.uint64(row % 64) & np.uint64(1))

    def _own(self, words: int) -> None:
        """Makes the words writable: `words` of them at least, and shared with nobody."""
        if words > len(self._words):
            words = max(words, 2 * len(self._words))
        elif not self._shared:
            return
        else:
            words = len(self._words)
        own = np.zeros(words, np.uint64)
        own[: len(self._words)] = self._words
        self._words = own
        self._shared = False
