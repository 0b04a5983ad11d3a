"""The one owner of the index's state: applies operations, commits, rebuilds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from index import journal
from index.errors import IndexMismatch, InvalidOperation
from index.head import Head
from index.lexical.analyzer import ANALYZER, Analyzer
from index.manifest import MANIFEST_FILE, Manifest, read_manifest, write_manifest
from index.merging import SegmentFacts, plan_merge
from index.operations import AnalyzedChunk, Operation, Remove, Upsert
from index.options import IndexOptions
from index.rebuilding import Rebuild
from index.segment import Segment, remove_segment, remove_strays
from index.snapshot import Snapshot

SEGMENTS_DIRECTORY = "segments"


class IndexWriter:
    """Used by one thread at a time; `snapshot` and `position` may be read from any."""

    def __init__(
        self, directory: Path, manifest: Manifest, segments: list[Segment], options: IndexOptions, analyzer: Analyzer
    ) -> None:
        """Use `open`."""
        self._directory = directory
        self._manifest = manifest
        self._segments = segments
        self._options = options
        self._analyzer = analyzer
        self._head = Head(manifest.dimension)
        self._records: list[bytes] = []
        self._serial = manifest.serial
        self._planned: Rebuild | None = None
        self.position = manifest.position
        for record in journal.replay(directory / manifest.journal, manifest.journal_bytes):
            self._change(record)
        self.snapshot = self._snapshot()

    @classmethod
    def open(
        cls, directory: Path, dimension: int, fingerprint: str, options: IndexOptions, analyzer: Analyzer
    ) -> IndexWriter:
        """See HybridIndex.open; the caller holds the lock."""
        wanted = Manifest(dimension=dimension, fingerprint=fingerprint, analyzer=ANALYZER, journal=_journal_name(0))
        manifest = read_manifest(directory)
        if manifest is None:
            manifest = wanted
            _remove_strays(directory, kept=set())
            (directory / SEGMENTS_DIRECTORY).mkdir()
            journal.create(directory / manifest.journal)
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
    def committed_position(self) -> int:
        return self._manifest.position

    @property
    def holds_removed(self) -> bool:
        return self._head.dead > 0 or any(each.dead for each in self._segments)

    def apply(self, operations: Sequence[Operation]) -> None:
        """See HybridIndex.apply."""
        new = self._new(operations)
        for operation in new:
            self._check(operation)
        records = [self._analyzed(operation) for operation in new]
        for record in records:
            if self._change(record):
                self._records.append(journal.encode(record))
            self.position = record.position
        if records:
            self.snapshot = self._snapshot()

    def commit(self) -> None:
        """See HybridIndex.commit."""
        if self._head.rows >= self._options.seal_rows:
            self._seal([])
        elif self.position != self._manifest.position:
            path = self._directory / self._manifest.journal
            size = self._manifest.journal_bytes
            if self._records:
                size = journal.append(path, size, self._records)
            self._publish(replace(self._manifest, journal_bytes=size, position=self.position))
            self._records = []

    def plan_rebuild(self) -> Rebuild | None:
        """See HybridIndex.plan_rebuild."""
        if self._planned is None:
            facts = [SegmentFacts(each.entry.name, each.entry.rows, each.dead) for each in self._segments]
            chosen = plan_merge(facts, self._options)
            return self._plan([each for each in self._segments if each.entry.name in chosen])
        return None

    def plan_compaction(self) -> Rebuild | None:
        """See HybridIndex.plan_compaction."""
        self.commit()
        if self._head.dead:
            self._seal([])
        return None if self._planned else self._plan([each for each in self._segments if each.dead])

    def _plan(self, segments: Sequence[Segment]) -> Rebuild | None:
        if segments:
            self._planned = Rebuild(self._next_segment(), [each.part() for each in segments], segments)
        return self._planned

    def install(self, rebuild: Rebuild) -> None:
        """See HybridIndex.install."""
        self.commit()
        self._serial += 1
        self._planned = None
        if rebuild.done and all(segment in self._segments for segment in rebuild.segments):
            self._replace(rebuild.segments, rebuild.open(), self._manifest)
        else:
            self._sweep()

    def compact(self) -> None:
        """See HybridIndex.compact."""
        self.commit()
        self._seal([each for each in self._segments if each.dead])

    def _seal(self, chosen: Sequence[Segment]) -> None:
        """Commits with the head, and `chosen` segments, as one new segment.

        The other segments' removed rows, which the old journal held, are stored beside them.
        """
        head = self._head.part()
        parts = [*([head] if head else []), *(segment.part() for segment in chosen)]
        rebuild = Rebuild(self._next_segment(), parts, chosen)
        rebuild.run()
        name = _journal_name(self._serial)
        journal.create(self._directory / name)
        old, new_head = self._head, Head(self._manifest.dimension)
        manifest = replace(self._manifest, position=self.position, journal=name, journal_bytes=0)
        self._replace(chosen, rebuild.open(), manifest, new_head)
        old.close()
        self._records = []

    def _replace(
        self, old: Sequence[Segment], new: list[Segment], manifest: Manifest, head: Head | None = None
    ) -> None:
        """Commits `new` in the place of `old`, with all removed rows up to now stored; deletes what is left over."""
        segments = [*(segment for segment in self._segments if segment not in old), *new]
        entries = tuple(segment.store_tombstones(self._serial) for segment in segments)
        self._publish(replace(manifest, serial=self._serial, segments=entries))
        for segment, entry in zip(segments, entries, strict=True):
            segment.stored(entry)
        self._segments = segments
        self._head = head or self._head
        self.snapshot = self._snapshot()
        self._sweep()

    def _publish(self, manifest: Manifest) -> None:
        write_manifest(self._directory, manifest)
        self._manifest = manifest

    def _next_segment(self) -> Path:
        """A directory that was never used, not even by a commit that failed."""
        self._serial += 1
        return self._directory / SEGMENTS_DIRECTORY / f"segment-{self._serial:08d}"

    def close(self) -> None:
        self._head.close()

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

    def _analyzed(self, operation: Operation) -> journal.Record:
        if isinstance(operation, Remove):
            return operation
        return AnalyzedChunk(
            position=operation.position,
            chunk_id=operation.chunk_id,
            vector=np.ascontiguousarray(operation.vector, np.float32),
            tokens=" ".join(self._analyzer.tokens(f"{operation.heading}\n{operation.text}")),
            attributes=operation.attributes,
        )

    def _change(self, record: journal.Record) -> bool:
        """Whether the record changed anything."""
        removed = self._head.remove(record.chunk_id) or any(each.remove(record.chunk_id) for each in self._segments)
        if isinstance(record, Remove):
            return removed
        self._head.append(record)
        return True

    def _snapshot(self) -> Snapshot:
        head = self._head.part()
        parts = [*([head] if head else []), *(segment.part() for segment in self._segments)]
        return Snapshot(parts, self.position, self._manifest.dimension, self._analyzer, self._options)

    def _sweep(self) -> None:
        """Deletes files that the manifest does not name: replaced ones, and those of a commit that failed."""
        for segment in self._segments:
            remove_strays(segment.directory, segment.entry)
        _remove_strays(self._directory, _kept(self._manifest, self._planned))


def _journal_name(serial: int) -> str:
    return f"journal-{serial:08d}"


def _kept(manifest: Manifest, planned: Rebuild | None) -> set[str]:
    names = [entry.name for entry in manifest.segments] + ([planned.directory.name] if planned else [])
    return {manifest.journal, *(f"{SEGMENTS_DIRECTORY}/{name}" for name in names)}


def _remove_strays(directory: Path, kept: set[str]) -> None:
    """Deletes what a crash, or the commit before, left: journals, segments and unfinished manifests."""
    for pattern in ("journal-*", f"{MANIFEST_FILE}.new"):
        for path in directory.glob(pattern):
            if path.name not in kept:
                path.unlink()
    for path in directory.glob(f"{SEGMENTS_DIRECTORY}/*"):
        if f"{SEGMENTS_DIRECTORY}/{path.name}" not in kept:
            remove_segment(path)
    if not kept and (directory / SEGMENTS_DIRECTORY).exists():
        (directory / SEGMENTS_DIRECTORY).rmdir()
