"""The one owner of the index's state: applies operations, commits, rebuilds."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from index import journal
from index.errors import IndexMismatch, InvalidOperation
from index.heads import JournaledHead
from index.layout import SEGMENTS_DIRECTORY, journal_name, remove_strays, segment_directory
from index.lexical.analyzer import ANALYZER, Analyzer
from index.lexical.streams import StreamMaker
from index.manifest import JournalEntry, Manifest, read_manifest, write_manifest
from index.merging import SegmentFacts, plan_merge
from index.operations import AnalyzedChunk, Operation, Remove, Upsert
from index.options import IndexOptions
from index.processes import HelperProcess
from index.rebuilding import JournaledRows, Rebuild, RebuildOrder, SegmentRows
from index.segment import Segment, remove_unnamed
from index.snapshot import Snapshot
from index.strings import hash_ids
from index.verifying import verify_segments

_SEALING_NICENESS = 10
"""Heads must be written as fast as they fill up, or changes wait for it."""
_ANALYSIS_S = 120.0
"""A batch takes a second at most; a helper that needs longer hangs, and the writer with it."""
_MERGING_NICENESS = 19
_WAITING_FOR_REBUILD = 2
"""While a rebuild of heads is planned, so many times as many of them may wait."""


class IndexWriter:
    """Used by one thread at a time; `snapshot`, `position` and `segments` may be read from any.

    The state: segments, and heads over them, oldest first. Changes go to the last head; the ones before it are frozen,
    which a commit does to a full head. Each head has a journal, and is replaced, together with all that are older, by
    a segment; only then are the journals deleted.
    """

    def __init__(
        self, directory: Path, manifest: Manifest, segments: list[Segment], options: IndexOptions, analyzer: Analyzer
    ) -> None:
        """Use `open`."""
        self._directory = directory
        self._manifest = manifest
        self._options = options
        self._analyzer = analyzer
        self._heads: list[JournaledHead] = []
        self._serial = manifest.serial
        self._planned: list[Rebuild] = []
        self._sealing = HelperProcess(_SEALING_NICENESS)
        self._merging = HelperProcess(_MERGING_NICENESS)
        self._analysing = HelperProcess(answer_s=_ANALYSIS_S)
        self._stopping = threading.Event()
        self._streams = StreamMaker(analyzer, self._analysing)
        self.segments = tuple(segments)
        self.position = manifest.position
        for entry in manifest.journals:
            self._begin_head(entry)
            self._change(self._heads[-1].records())
        self.snapshot = self._snapshot()

    @classmethod
    def open(
        cls, directory: Path, dimension: int, fingerprint: str, options: IndexOptions, analyzer: Analyzer
    ) -> IndexWriter:
        """See HybridIndex.open; the caller holds the lock."""
        first = JournalEntry(journal_name(0))
        wanted = Manifest(dimension=dimension, fingerprint=fingerprint, analyzer=ANALYZER, journals=(first,))
        manifest = read_manifest(directory)
        if manifest is None:
            manifest = wanted
            remove_strays(directory, None, set())
            (directory / SEGMENTS_DIRECTORY).mkdir(exist_ok=True)
            journal.create(directory / first.name)
            write_manifest(directory, manifest)
        for what in ("dimension", "fingerprint", "analyzer"):
            if getattr(manifest, what) != getattr(wanted, what):
                raise IndexMismatch(what, getattr(manifest, what), getattr(wanted, what))
        segments = [
            Segment(directory / SEGMENTS_DIRECTORY / entry.name, entry, options.verify_checksums)
            for entry in manifest.segments
        ]
        writer = cls(directory, manifest, segments, options, analyzer)
        writer._sweep()
        return writer

    @property
    def manifest(self) -> Manifest:
        """As committed."""
        return self._manifest

    @property
    def holds_removed(self) -> bool:
        return any(each.first_removal is not None for each in self._sources)

    def apply(self, operations: Sequence[Operation]) -> None:
        """See HybridIndex.apply."""
        new = self._new(operations)
        for operation in new:
            self._check(operation)
        if new:
            for record in self._change(self._analyzed(new)):
                self._heads[-1].note(record)
            self.position = new[-1].position
        if self.snapshot.position != self.position:
            self.snapshot = self._snapshot()

    def commit(self) -> None:
        """See HybridIndex.commit."""
        self._commit(freeze=self._heads[-1].rows >= self._options.seal_rows)
        # A rebuild that was planned takes most of them: writing them here as well would be done for nothing.
        times = _WAITING_FOR_REBUILD if any(each.heads for each in self._planned) else 1
        if len(self._frozen) > times * self._options.max_frozen_heads:
            self._run(self._rebuild(self._frozen, ()))

    def plan_rebuild(self) -> Rebuild | None:
        """See HybridIndex.plan_rebuild."""
        if self._frozen and not any(each.heads for each in self._planned):
            return self._plan(self._frozen, ())
        if any(each.segments for each in self._planned):
            return None
        chosen = plan_merge(
            [SegmentFacts(each.entry.name, each.entry.rows, each.dead) for each in self.segments], self._options
        )
        return self._plan((), [each for each in self.segments if each.entry.name in chosen]) if chosen else None

    def plan_compaction(self, up_to: int) -> Rebuild | None:
        """See HybridIndex.plan_compaction."""
        if self._planned:
            return None
        heads, segments = self._holding_removed(up_to)
        return self._plan(heads, segments) if heads or segments else None

    def _holding_removed(self, up_to: int) -> tuple[Sequence[JournaledHead], Sequence[Segment]]:
        """Commits. All heads, if one holds anything removed at or before `up_to`; else one segment, if one does."""

        def holds(source: JournaledHead | Segment) -> bool:
            return source.first_removal is not None and source.first_removal <= up_to

        self._commit(freeze=holds(self._heads[-1]))
        if any(map(holds, self._frozen)):
            return self._frozen, ()
        return (), [each for each in self.segments if holds(each)][:1]

    def _plan(self, heads: Sequence[JournaledHead], segments: Sequence[Segment]) -> Rebuild:
        planned = self._rebuild(heads, segments)
        self._planned.append(planned)
        return planned

    def _rebuild(self, heads: Sequence[JournaledHead], segments: Sequence[Segment]) -> Rebuild:
        """Into a directory that was never used, not even by a commit that failed."""
        order = RebuildOrder(
            segment_directory(self._directory, self._next_serial()),
            self._manifest.dimension,
            tuple(JournaledRows(self._directory, head.entry, head.rows, head.live) for head in heads),
            tuple(SegmentRows(segment.directory, segment.entry, segment.live) for segment in segments),
            self._options,
        )
        helper = self._merging if segments else self._sealing
        return Rebuild(order, heads, segments, self.position, helper, self._stopping.is_set)

    def install(self, rebuild: Rebuild) -> None:
        """See HybridIndex.install."""
        try:
            self.commit()
        finally:
            self._planned.remove(rebuild)
        if rebuild.done and set(rebuild.heads) <= set(self._heads) and set(rebuild.segments) <= set(self.segments):
            self._replace(rebuild)
        else:
            self._sweep()

    def compact(self) -> None:
        """See HybridIndex.compact."""
        position = self.position
        self._commit(freeze=self._heads[-1].rows > 0)
        if self._frozen:
            self._run(self._rebuild(self._frozen, ()))
        while any(found := self._holding_removed(position)):
            self._run(self._rebuild(*found))

    def merge_all(self) -> None:
        """See HybridIndex.merge_all."""
        self._commit(freeze=self._heads[-1].rows > 0)
        if self._frozen or self.holds_removed or len(self.segments) > 1:
            self._run(self._rebuild(self._frozen, self.segments))

    def verify(self) -> None:
        """See HybridIndex.verify. For any thread."""
        verify_segments(lambda: self.segments, self._stopping.is_set)

    def stop_background(self) -> None:
        """See HybridIndex.stop_background. For any thread."""
        self._stopping.set()
        for helper in (self._sealing, self._merging, self._analysing):
            helper.stop()

    def close(self) -> None:
        self.stop_background()
        for head in self._heads:
            head.close()

    @property
    def _sources(self) -> Sequence[JournaledHead | Segment]:
        return *reversed(self._heads), *self.segments

    @property
    def _frozen(self) -> Sequence[JournaledHead]:
        return self._heads[:-1]

    def _commit(self, *, freeze: bool) -> None:
        if not freeze and self.position == self._manifest.position:
            return
        written = self._heads[-1].write()
        journals = (*self._manifest.journals[:-1], written)
        if freeze:
            journals = (*journals, JournalEntry(journal_name(self._next_serial())))
            journal.create(self._directory / journals[-1].name)
        self._publish(replace(self._manifest, journals=journals, position=self.position, serial=self._serial))
        self._heads[-1].written(written)
        if freeze:
            self._begin_head(journals[-1])

    def _begin_head(self, entry: JournalEntry) -> None:
        if self._heads:
            self._heads[-1].freeze()
        self._heads = [*self._heads, JournaledHead(self._directory, self._manifest.dimension, entry)]

    def _run(self, rebuild: Rebuild) -> None:
        rebuild.run()
        self._replace(rebuild)

    def _replace(self, rebuild: Rebuild) -> None:
        """Commits the new segment in the place of what it was made of, with all removed rows up to now stored (so far,
        those of other segments may be known from the journals alone); deletes what is left over."""
        serial = self._next_serial()
        segments = (*(each for each in self.segments if each not in rebuild.segments), *rebuild.open())
        heads = [each for each in self._heads if each not in rebuild.heads]
        entries = tuple(segment.store_tombstones(serial) for segment in segments)
        journals = tuple(head.entry for head in heads)
        self._publish(replace(self._manifest, serial=serial, segments=entries, journals=journals))
        for segment, entry in zip(segments, entries, strict=True):
            segment.stored(entry)
        self.segments = segments
        self._heads = heads
        self.snapshot = self._snapshot()
        for head in rebuild.heads:
            head.close()
        self._sweep()

    def _publish(self, manifest: Manifest) -> None:
        write_manifest(self._directory, manifest)
        self._manifest = manifest

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _new(self, operations: Sequence[Operation]) -> list[Operation]:
        position = self.position
        new = []
        for operation in operations:
            if operation.position > position:
                new.append(operation)
                position = operation.position
        return new

    def _check(self, operation: Operation) -> None:
        if isinstance(operation, Upsert):
            if operation.vector.shape != (self._manifest.dimension,):
                raise InvalidOperation(operation.position, f"its vector has the shape {operation.vector.shape}")
            if not np.isfinite(operation.vector).all():
                raise InvalidOperation(operation.position, "its vector has values that are not finite")

    def _analyzed(self, operations: Sequence[Operation]) -> list[journal.Record]:
        upserts = [each for each in operations if isinstance(each, Upsert)]
        streams = iter(self._streams.streams([(each.heading, each.text) for each in upserts]))
        return [
            operation
            if isinstance(operation, Remove)
            else AnalyzedChunk(
                position=operation.position,
                chunk_id=operation.chunk_id,
                vector=np.ascontiguousarray(operation.vector, np.float32),
                tokens=next(streams),
                attributes=operation.attributes,
            )
            for operation in operations
        ]

    def _change(self, records: Sequence[journal.Record]) -> list[journal.Record]:
        """Those of the records that changed anything."""
        changed: list[journal.Record] = []
        was_in_segment = iter(self._remove_from_segments(records))
        for kind, run in itertools.groupby(records, type):
            some = list(run)
            removed = list(itertools.islice(was_in_segment, len(some)))
            for number, record in enumerate(some):
                for head in self._heads if kind is Remove else self._frozen:
                    removed[number] |= head.remove(record.chunk_id, record.position)
            if kind is Remove:
                changed += [record for record, found in zip(some, removed, strict=True) if found]
            else:
                self._heads[-1].append([record for record in some if isinstance(record, AnalyzedChunk)])
                changed += some
        return changed

    def _remove_from_segments(self, records: Sequence[journal.Record]) -> list[bool]:
        """Whether each record's chunk was in a segment until now."""
        removed = np.zeros(len(records), np.bool_)
        if self.segments and records:
            ids = [record.chunk_id for record in records]
            hashes = hash_ids(ids)
            for segment in self.segments:
                removed |= segment.remove(ids, records[0].position, hashes)
        return [bool(each) for each in removed]

    def _snapshot(self) -> Snapshot:
        parts = [part for each in self._sources if (part := each.part()) is not None]
        return Snapshot(parts, self.position, self._manifest.dimension, self._analyzer, self._options)

    def _sweep(self) -> None:
        """Deletes files that the manifest does not name: replaced ones, and those of a commit that failed. What planned
        rebuilds write and read stays until they are installed."""
        for segment in self.segments:
            remove_unnamed(segment.directory, segment.entry)
        in_use = {each.directory.name for each in self._planned}
        for rebuild in self._planned:
            in_use |= {head.entry.name for head in rebuild.heads}
            in_use |= {segment.directory.name for segment in rebuild.segments}
        remove_strays(self._directory, self._manifest, in_use)
