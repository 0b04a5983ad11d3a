"""A head and the journal that makes it durable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from index import journal
from index.columns import Columns
from index.head import HEAD, Head
from index.manifest import JournalEntry
from index.operations import AnalyzedChunk, Remove
from index.part import Part
from index.row_sets import Words


class JournaledHead:
    """The newest chunks, or (frozen) those that wait to be written as a segment. A frozen head takes no more chunks,
    only removals. `first_removal`: position of the oldest removal of which the journal still has something, if any: the
    removed chunk, or its id."""

    def __init__(self, directory: Path, dimension: int, entry: JournalEntry) -> None:
        """With the journal as committed; `records` gives its content, for the owner to apply."""
        self._path = directory / entry.name
        self._head = Head(dimension)
        self._pending: list[bytes] = []
        self.entry = entry
        self.first_removal: int | None = None

    @property
    def rows(self) -> int:
        return self._head.rows

    @property
    def live(self) -> Words:
        return self._head.live

    def part(self) -> Part | None:
        return self._head.part()

    def columns(self) -> Columns:
        return self._head.columns()

    def freeze(self) -> None:
        """Takes no more chunks."""
        self._head.freeze(f"{HEAD}-{self.entry.name}")

    def append(self, chunks: Sequence[AnalyzedChunk]) -> None:
        """Each in the place of its older version here."""
        if self._head.append(chunks):
            self._removed_at(chunks[0].position)

    def remove(self, chunk_id: str, position: int) -> bool:
        """Whether the chunk was here."""
        removed = self._head.remove(chunk_id)
        if removed:
            self._removed_at(position)
        return removed

    def note(self, record: journal.Record) -> None:
        """The record is to be in the journal."""
        self._pending.append(journal.encode(record))
        if isinstance(record, Remove):
            self._removed_at(record.position)

    def _removed_at(self, position: int) -> None:
        if self.first_removal is None:
            self.first_removal = position

    def records(self) -> list[journal.Record]:
        """Of the committed journal. Raises IndexCorrupt."""
        records = list(journal.replay(self._path, self.entry.size_bytes))
        for record in records:
            if isinstance(record, Remove):
                self._removed_at(record.position)
        return records

    def write(self) -> JournalEntry:
        """Makes the journal durable; gives the entry to commit, and then to hand to `written`."""
        if not self._pending:
            return self.entry
        return JournalEntry(self.entry.name, journal.append(self._path, self.entry.size_bytes, self._pending))

    def written(self, entry: JournalEntry) -> None:
        self.entry = entry
        self._pending = []

    def close(self) -> None:
        """Parts stay usable."""
        self._head.close()
