"""The newest chunks, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from index.columns import MULTIPLE, NUMBERS, SINGLE, TEXTS, Columns, NameColumn, NameListColumn, lookup_of
from index.dense.side import DenseSide
from index.dense.vectors import Vectors, center_of, encoded, padded
from index.lexical.tantivy_segment import LexicalSearcher, RowDocuments
from index.lookup import RowLookup
from index.operations import AnalyzedChunk, Attributes
from index.part import LiveRows, Part
from index.row_sets import Words, no_rows
from index.strings import GrowingNames
from index.views import read_only

HEAD = "head"


class GrowingArray:
    """An array that its one writer appends to. Views keep what they show."""

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None) -> None:
        self._array = np.zeros((64,) if width is None else (64, width), dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def extend(self, values: npt.ArrayLike) -> None:
        """values: n more, or n more rows."""
        added = np.asarray(values, self._array.dtype)
        size = self._size + len(added)
        if size > len(self._array):
            grown = np.zeros((max(size, 2 * len(self._array)), *self._array.shape[1:]), self._array.dtype)
            grown[: self._size] = self._array[: self._size]
            self._array = grown
        self._array[self._size : size] = added
        self._size = size

    def view(self) -> npt.NDArray[Any]:
        """What was appended so far, read-only."""
        return read_only(self._array[: self._size])


class _GrowingNames:
    def __init__(self) -> None:
        self.names = GrowingNames()
        self._codes = GrowingArray(np.int32)

    def extend(self, names: Iterable[str]) -> None:
        self._codes.extend([self.names.add(name) for name in names])

    def column(self) -> NameColumn:
        return NameColumn(self._codes.view(), self.names)


class _GrowingLists:
    def __init__(self) -> None:
        self.names = GrowingNames()
        self._offsets = GrowingArray(np.int64)
        self._codes = GrowingArray(np.int32)
        self._offsets.extend([0])

    def extend(self, lists: Sequence[tuple[str, ...]]) -> None:
        first = len(self._codes)
        self._codes.extend([self.names.add(name) for names in lists for name in names])
        self._offsets.extend(first + np.cumsum([len(names) for names in lists]))

    def column(self) -> NameListColumn:
        return NameListColumn(self._offsets.view(), self._codes.view(), self.names)


class GrowingRows:
    """Attributes and vectors of chunks, in the order of their arrival. One writer; `columns` and `vectors` keep what
    they show."""

    def __init__(self, dimension: int) -> None:
        self.rows = 0
        self._digits = GrowingArray(np.uint8, padded(dimension) // 2)
        self._fine = GrowingArray(np.int8, padded(dimension))
        self._scales = GrowingArray(np.float32)
        self._center: npt.NDArray[np.float32] | None = None
        self._single = {key: _GrowingNames() for key in SINGLE}
        self._multiple = {key: _GrowingLists() for key in MULTIPLE}
        self._numbers = {key: GrowingArray(dtype) for key, dtype in NUMBERS.items()}
        self._texts: dict[str, list[str]] = {key: [] for key in TEXTS}

    def append(self, chunks: Sequence[AnalyzedChunk]) -> None:
        """At least one chunk."""
        self._append_vectors(np.stack([chunk.vector for chunk in chunks]))
        attributes = [chunk.attributes for chunk in chunks]
        self._single["tenant"].extend(each.tenant for each in attributes)
        self._single["owner"].extend(each.owner for each in attributes)
        self._single["document"].extend(each.document_id for each in attributes)
        self._single["language"].extend(each.language for each in attributes)
        self._multiple["groups"].extend([each.groups for each in attributes])
        self._multiple["tags"].extend([each.tags for each in attributes])
        for key, column in self._numbers.items():
            column.extend([each.position for each in chunks] if key == "position" else _all(attributes, key))
        self._texts["chunk_id"].extend(chunk.chunk_id for chunk in chunks)
        self._texts["tokens"].extend(chunk.tokens for chunk in chunks)
        self.rows += len(chunks)

    def _append_vectors(self, originals: npt.NDArray[np.float32]) -> None:
        if self._center is None:
            self._center = center_of(originals)
        vectors = encoded(originals, self._center)
        self._digits.extend(vectors.digits)
        self._fine.extend(vectors.fine)
        self._scales.extend(vectors.scales)

    def columns(self, lookup: RowLookup | None = None) -> Columns:
        return Columns(
            rows=self.rows,
            single={key: names.column() for key, names in self._single.items()},
            multiple={key: lists.column() for key, lists in self._multiple.items()},
            numbers={key: array.view() for key, array in self._numbers.items()},
            texts=dict(self._texts),
            lookup=lookup,
        )

    def vectors(self) -> Vectors:
        """Of at least one row."""
        assert self._center is not None, "no rows"
        return Vectors(self._digits.view(), self._fine.view(), self._scales.view(), self._center)


class Head:
    """Chunks that no segment holds yet. One writer; `part` gives what searches may use from any thread."""

    def __init__(self, dimension: int) -> None:
        self._name = HEAD
        self._rows = GrowingRows(dimension)
        self._live = LiveRows(no_rows(0), 0)
        self._row_of: dict[str, int] = {}
        self._documents: RowDocuments | None = None
        self._lexical: LexicalSearcher | None = None
        self._lookup: RowLookup | None = None

    @property
    def rows(self) -> int:
        """Rows, removed ones included."""
        return self._rows.rows

    @property
    def live(self) -> Words:
        """The rows that are not removed."""
        return self._live.words

    def append(self, chunks: Sequence[AnalyzedChunk]) -> bool:
        """Adds chunks, each in the place of an older version here; whether there was one."""
        first, dead = self.rows, self._live.rows - self._live.live
        self._rows.append(chunks)
        if self._documents is None:
            self._documents = RowDocuments()
        self._lexical = None
        self._live.append(len(chunks))
        for row, chunk in enumerate(chunks, start=first):
            self._documents.add(row, chunk.tokens, chunk.attributes)
            self.remove(chunk.chunk_id)
            self._row_of[chunk.chunk_id] = row
        return self._live.rows - self._live.live > dead

    def remove(self, chunk_id: str) -> bool:
        """Whether the chunk was here."""
        row = self._row_of.pop(chunk_id, -1)
        if row >= 0:
            self._live.remove(row)
        return row >= 0

    def freeze(self, name: str) -> None:
        """Nothing is appended any more. Filters find rows by name from now on, as they do in segments. Cost: some
        sorts, 2 ms for 8,192 rows."""
        self._name = name
        if self.rows:
            self._lookup = lookup_of(self._rows.columns())

    def columns(self) -> Columns:
        """Of all that was appended."""
        return self._rows.columns(self._lookup)

    def part(self) -> Part | None:
        """All that was appended; None if that is nothing. Costs a Tantivy commit (2 ms) if there is something new."""
        if self._documents is None:
            return None
        if self._lexical is None:
            self._lexical = self._documents.searcher()
        dense = DenseSide(self._rows.vectors())
        return Part(self._name, self.columns(), dense, self._lexical, self._live.words)

    def close(self) -> None:
        """Parts stay usable."""
        if self._documents is not None:
            self._documents.close()


def _all(attributes: Sequence[Attributes], key: str) -> list[Any]:
    return [getattr(each, key) for each in attributes]
