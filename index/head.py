"""The newest chunks, in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from index.columns import MULTIPLE, NUMBERS, SINGLE, TEXTS, Columns, NameColumn, NameListColumn
from index.dense.vectors import Vectors, code_width, quantized
from index.lexical.tantivy_segment import LexicalSearcher, RowDocuments
from index.operations import AnalyzedChunk
from index.part import LiveRows, Part
from index.row_sets import no_rows
from index.strings import GrowingNames

HEAD = "head"


class GrowingArray:
    """An array that its one writer appends to. Views keep what they show."""

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None) -> None:
        self._array = np.zeros((64,) if width is None else (64, width), dtype)
        self._size = 0

    def append(self, value: Any) -> None:
        if self._size == len(self._array):
            grown = np.zeros((2 * self._size, *self._array.shape[1:]), self._array.dtype)
            grown[: self._size] = self._array
            self._array = grown
        self._array[self._size] = value
        self._size += 1

    def view(self) -> npt.NDArray[Any]:
        """What was appended so far, read-only."""
        view = self._array[: self._size]
        view.flags.writeable = False
        return view


class _GrowingLists:
    def __init__(self) -> None:
        self.names = GrowingNames()
        self._offsets = GrowingArray(np.int64)
        self._codes = GrowingArray(np.int32)
        self._offsets.append(0)

    def append(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._codes.append(self.names.add(name))
        self._offsets.append(len(self._codes.view()))

    def column(self) -> NameListColumn:
        return NameListColumn(self._offsets.view(), self._codes.view(), self.names)


class Head:
    """Chunks that no segment holds yet. One writer; `part` gives what searches may use from any thread."""

    def __init__(self, dimension: int) -> None:
        self._codes = GrowingArray(np.int8, code_width(dimension))
        self._scales = GrowingArray(np.float32)
        self._originals = GrowingArray(np.float32, dimension)
        self._single = {key: (GrowingArray(np.int32), GrowingNames()) for key in SINGLE}
        self._multiple = {key: _GrowingLists() for key in MULTIPLE}
        self._numbers = {key: GrowingArray(dtype) for key, dtype in NUMBERS.items()}
        self._texts: dict[str, list[str]] = {key: [] for key in TEXTS}
        self._live = LiveRows(no_rows(0), 0)
        self._row_of: dict[str, int] = {}
        self._documents: RowDocuments | None = None
        self._lexical: LexicalSearcher | None = None

    @property
    def rows(self) -> int:
        """Rows, removed ones included."""
        return self._live.rows

    @property
    def dead(self) -> int:
        """Rows removed."""
        return self._live.rows - self._live.live

    def append(self, chunk: AnalyzedChunk) -> None:
        """The caller has removed the chunk's older version."""
        vectors = quantized(chunk.vector[None, :])
        self._codes.append(vectors.codes[0])
        self._scales.append(vectors.scales[0])
        self._originals.append(vectors.originals[0])
        attributes = chunk.attributes
        for key, name in zip(SINGLE, _names(chunk), strict=True):
            codes, names = self._single[key]
            codes.append(names.add(name))
        self._multiple["groups"].append(attributes.groups)
        self._multiple["tags"].append(attributes.tags)
        for key, column in self._numbers.items():
            column.append(chunk.position if key == "position" else getattr(attributes, key))
        self._texts["chunk_id"].append(chunk.chunk_id)
        self._texts["tokens"].append(chunk.tokens)
        if self._documents is None:
            self._documents = RowDocuments()
        self._documents.add(self.rows, chunk.tokens, attributes)
        self._lexical = None
        self._row_of[chunk.chunk_id] = self.rows
        self._live.append()

    def remove(self, chunk_id: str) -> bool:
        """Whether the chunk was here."""
        row = self._row_of.pop(chunk_id, -1)
        if row >= 0:
            self._live.remove(row)
        return row >= 0

    def part(self) -> Part | None:
        """All that was appended; None if that is nothing. Costs a Tantivy commit (2 ms) if there is something new."""
        if self._documents is None:
            return None
        if self._lexical is None:
            self._lexical = self._documents.searcher()
        columns = Columns(
            rows=self.rows,
            single={key: NameColumn(codes.view(), names) for key, (codes, names) in self._single.items()},
            multiple={key: lists.column() for key, lists in self._multiple.items()},
            numbers={key: array.view() for key, array in self._numbers.items()},
            texts=dict(self._texts),
        )
        vectors = Vectors(self._codes.view(), self._scales.view(), self._originals.view())
        return Part(HEAD, columns, vectors, self._lexical, self._live.words)

    def close(self) -> None:
        """Parts stay usable."""
        if self._documents is not None:
            self._documents.close()


def _names(chunk: AnalyzedChunk) -> tuple[str, ...]:
    attributes = chunk.attributes
    return attributes.tenant, attributes.owner, attributes.document_id, attributes.language
