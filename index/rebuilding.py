"""Joining the live rows of some heads or segments into one new segment. The slow half of it needs no owner, and shares
nothing with the index but files: a process of its own can do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from index import journal
from index.dense.side import DenseSide
from index.errors import IndexCorrupt
from index.head import GrowingRows
from index.heads import JournaledHead
from index.manifest import JournalEntry, SegmentEntry
from index.operations import AnalyzedChunk
from index.options import IndexOptions
from index.processes import HelperProcess
from index.row_sets import Words, row_numbers
from index.segment import RowSource, Segment, write_segment
from index.stopping import Stop, never


@dataclass(frozen=True, slots=True)
class JournaledRows:
    """The rows of a frozen head, and which of them are live: uint64[ceil(rows/64)]."""

    directory: Path
    entry: JournalEntry
    rows: int
    live: Words


@dataclass(frozen=True, slots=True)
class SegmentRows:
    """The rows of a segment, and which of them are live: uint64[ceil(rows/64)], whatever its tombstones say."""

    directory: Path
    entry: SegmentEntry
    live: Words


@dataclass(frozen=True, slots=True)
class RebuildOrder:
    """What a rebuild makes of what. `directory`: the new segment's, which must not be there yet. No source changes
    while it runs."""

    directory: Path
    dimension: int
    heads: tuple[JournaledRows, ...]
    segments: tuple[SegmentRows, ...]
    options: IndexOptions

    @property
    def live(self) -> list[Words]:
        """Of the heads, then of the segments."""
        return [*(head.live for head in self.heads), *(segment.live for segment in self.segments)]


def carry_out(order: RebuildOrder, stop: Stop = never) -> SegmentEntry | None:
    """Writes the segment; None if there is no live row. Cost: 0.1 ms per row without a graph, 0.3 ms with one.

    Raises IndexCorrupt if a source of live rows is damaged: what is copied would get a checksum that is right. Raises
    HelperStopped.
    """
    sources = [(_of_head(each, order.dimension), each.live) for each in order.heads if each.live.any()]
    sources += [(_of_segment(each), each.live) for each in order.segments if each.live.any()]
    chosen = [(source, row_numbers(live)) for source, live in sources]
    return write_segment(order.directory, chosen, order.options, stop) if chosen else None


def _of_head(head: JournaledRows, dimension: int) -> RowSource:
    """From its journal: that has the vectors as they came."""
    path = head.directory / head.entry.name
    records = journal.replay(path, head.entry.size_bytes)
    chunks = [record for record in records if isinstance(record, AnalyzedChunk)]
    if len(chunks) != head.rows:
        raise IndexCorrupt(path, f"{len(chunks)} chunks instead of {head.rows}")
    rows = GrowingRows(dimension)
    rows.append(chunks)
    return RowSource(rows.columns(), DenseSide(rows.vectors()))


def _of_segment(segment: SegmentRows) -> RowSource:
    """Its file of tombstones is left alone: that is replaced at any time."""
    files = {name: each for name, each in segment.entry.files.items() if name != segment.entry.tombstones}
    source = Segment(segment.directory, replace(segment.entry, files=files, tombstones=None), verify=True)
    part = source.part()
    return RowSource(part.columns, part.dense)


class Rebuild:
    """A new segment from what frozen heads and segments have now. The owner makes it and installs it; `run` may use any
    thread."""

    def __init__(
        self,
        order: RebuildOrder,
        heads: Sequence[JournaledHead],
        segments: Sequence[Segment],
        position: int,
        helper: HelperProcess,
        stop: Stop,
    ) -> None:
        """heads, segments: what the order's sources are. position: the index's now. stop: ends what the helper does not
        do, which has an end of its own."""
        self.directory = order.directory
        self.heads = tuple(heads)
        self.segments = tuple(segments)
        self.done = False
        self._order = order
        self._position = position
        self._helper = helper
        self._stop = stop
        self._columns = [*(head.columns() for head in heads), *(segment.part().columns for segment in segments)]
        self._entry: SegmentEntry | None = None

    @property
    def rows(self) -> int:
        """That are written."""
        return self._entry.rows if self._entry else 0

    def run(self) -> None:
        """Writes the segment: in a helper process if it has many rows (see IndexOptions.helper_rows), else here. Cost:
        see `carry_out`.

        Raises IndexCorrupt if a source is damaged, HelperFailed, and HelperStopped once the index is being closed.
        """
        if sum(len(row_numbers(live)) for live in self._order.live) >= self._order.options.helper_rows:
            self._entry = self._helper.call(carry_out, self._order)
        else:
            self._entry = carry_out(self._order, self._stop)
        self.done = True

    def open(self) -> list[Segment]:
        """The new segment, without the rows that were removed since; none if there was no live row."""
        if self._entry is None:
            return []
        new = Segment(self.directory, self._entry, verify=False)
        now = [*(head.live for head in self.heads), *(segment.live for segment in self.segments)]
        for columns, before, after in zip(self._columns, self._order.live, now, strict=True):
            gone = row_numbers(before & ~after).tolist()
            new.remove([columns.chunk_id(row) for row in gone], self._position + 1)
        return [new]
