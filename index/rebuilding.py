"""Joining the live rows of some heads or segments into one new segment. The slow half of it needs no owner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from index.heads import JournaledHead
from index.manifest import SegmentEntry
from index.options import IndexOptions
from index.row_sets import row_numbers
from index.segment import Segment, write_segment


class Rebuild:
    """A new segment from what frozen heads and segments have now. The owner makes it and installs it; `run` may use any
    thread."""

    def __init__(
        self,
        directory: Path,
        heads: Sequence[JournaledHead],
        segments: Sequence[Segment],
        position: int,
        options: IndexOptions,
    ) -> None:
        """directory: the new segment's. position: the index's now."""
        self.directory = directory
        self.heads = tuple(heads)
        self.segments = tuple(segments)
        self.done = False
        self._position = position
        self._options = options
        sources: tuple[JournaledHead | Segment, ...] = (*heads, *segments)
        self._parts = tuple((source, part) for source in sources if (part := source.part()) is not None)
        self._entry: SegmentEntry | None = None

    @property
    def rows(self) -> int:
        """That are written."""
        return self._entry.rows if self._entry else 0

    def run(self) -> None:
        """Writes the segment. Cost: 0.1 ms per row without a graph, 0.3 ms with one. Raises IndexCorrupt if a source is
        damaged: what it copies would get a checksum that is right."""
        for segment in self.segments:
            segment.verify()
        live = [(part, row_numbers(part.live)) for _, part in self._parts]
        live = [(part, rows) for part, rows in live if len(rows)]
        if live:
            self._entry = write_segment(self.directory, live, self._options)
        self.done = True

    def open(self) -> list[Segment]:
        """The new segment, without the rows that were removed since; none if there was no live row."""
        if self._entry is None:
            return []
        new = Segment(self.directory, self._entry, verify=False)
        for source, part in self._parts:
            gone = row_numbers(part.live & ~source.live).tolist()
            new.remove([part.columns.chunk_id(row) for row in gone], self._position + 1)
        return [new]
