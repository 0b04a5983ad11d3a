"""Immutable segments: written once, opened by memory map, replaced by merging."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from index import columns as column_store
from index.columns import Columns
from index.dense import side as dense_store
from index.dense.side import DenseSide
from index.errors import HelperStopped, IndexCorrupt
from index.lexical.tantivy_segment import LexicalSearcher, RowDocuments, open_segment
from index.manifest import FileEntry, SegmentEntry
from index.options import IndexOptions
from index.part import LiveRows, Part
from index.row_sets import Words, all_rows
from index.stopping import Stop, never
from index.storage import file_checksum, read_arrays, sync_directory, sync_file, write_arrays
from index.strings import PackedTexts, RowOfId, hash_ids

ROWS_FILE = "rows"
LEXICAL_DIRECTORY = "lexical"
SMALL_FILE_BYTES = 1 << 20
"""Files up to this size are verified whenever a segment is opened."""
_TANTIVY_LOCKS = ".tantivy-"


class RowSource(NamedTuple):
    """What rows of a segment are taken from."""

    columns: Columns
    dense: DenseSide


def write_segment(
    directory: Path, sources: Sequence[tuple[RowSource, npt.NDArray[np.int64]]], options: IndexOptions, stop: Stop
) -> SegmentEntry:
    """Writes some rows of each source as a new segment, durably; at least one row. Creates `directory`. Raises
    HelperStopped, and leaves what is written so far."""
    directory.mkdir()
    columns = column_store.join([(part.columns, rows) for part, rows in sources])
    dense, order = dense_store.join(
        [(part.dense, rows) for part, rows in sources], options.graph_rows, options.graph, options.build_threads
    )
    if order is not None:
        columns = column_store.join([(columns, order)])
    rows_of_ids = RowOfId.of(columns.texts["chunk_id"])
    write_arrays(directory / ROWS_FILE, {**dense.arrays(), **columns.arrays(), **rows_of_ids.arrays()})
    _write_lexical(directory / LEXICAL_DIRECTORY, columns, stop)
    files = {str(path.relative_to(directory)): path for path in sorted(directory.rglob("*")) if path.is_file()}
    sync_directory(directory)
    sync_directory(directory.parent)
    return SegmentEntry(directory.name, columns.rows, {name: describe(path) for name, path in files.items()})


def _write_lexical(directory: Path, columns: Columns, stop: Stop) -> None:
    directory.mkdir()
    with closing(RowDocuments(directory)) as documents:
        for row, attributes in enumerate(columns.attributes()):
            if stop():
                raise HelperStopped
            documents.add(row, columns.tokens(row), attributes)
        documents.searcher()
    for path in directory.iterdir():
        if path.name.startswith(_TANTIVY_LOCKS):
            path.unlink()
        else:
            sync_file(path)
    sync_directory(directory)


def describe(path: Path) -> FileEntry:
    return FileEntry(path.stat().st_size, file_checksum(path))


class Segment:
    """An open segment. Its rows never change, but can be removed (by the one writer). `first_removal`: position of the
    oldest removal of a row whose bytes are still here, if any; 0 for one of before it was opened."""

    def __init__(self, directory: Path, entry: SegmentEntry, verify: bool) -> None:
        """Raises IndexCorrupt, and OSError for a file that cannot be opened now. Without `verify` sizes, headers and
        small files are checked."""
        self.directory = directory
        self.entry = entry
        check_files(directory, entry.files, math.inf if verify else SMALL_FILE_BYTES)
        arrays = read_arrays(directory / ROWS_FILE)
        try:
            self._columns = Columns.from_arrays(arrays)
            self._dense = DenseSide.from_arrays(arrays)
            ids = PackedTexts(arrays["chunk_id.offsets"], arrays["chunk_id.content"])
            self._rows_of_ids = RowOfId(ids, arrays["id_hashes"], arrays["rows_by_hash"])
        except KeyError as error:
            raise IndexCorrupt(directory / ROWS_FILE, f"no array {error}") from error
        except ValueError as error:
            raise IndexCorrupt(directory / ROWS_FILE, str(error)) from error
        self._lexical = self._open_lexical()
        self._live = LiveRows(self._stored_live_rows(), entry.rows)
        self._stored_dead = self.dead
        self.first_removal = 0 if self.dead else None

    def _open_lexical(self) -> LexicalSearcher:
        """Tantivy panics at some damage; that is neither an Exception nor a class that can be imported."""
        try:
            return open_segment(self.directory / LEXICAL_DIRECTORY)
        except BaseException as error:
            if not isinstance(error, ValueError | OSError) and type(error).__name__ != "PanicException":
                raise
            self.verify()  # names the file, or raises OSError if files cannot be opened now
            raise IndexCorrupt(self.directory / LEXICAL_DIRECTORY, str(error)) from error

    def _stored_live_rows(self) -> npt.NDArray[np.uint64]:
        if self.entry.tombstones is None:
            return all_rows(self.entry.rows)
        path = self.directory / self.entry.tombstones
        try:
            return read_arrays(path)["live"].copy()
        except KeyError as error:
            raise IndexCorrupt(path, f"no array {error}") from error

    @property
    def dead(self) -> int:
        """Rows removed."""
        return self._live.rows - self._live.live

    @property
    def live(self) -> Words:
        """The rows that are not removed."""
        return self._live.words

    def remove(
        self, chunk_ids: Sequence[str], position: int, hashes: npt.NDArray[np.uint64] | None = None
    ) -> npt.NDArray[np.bool_]:
        """bool[n]: which of the chunks were here until now. position: of their removal, the first one's if of many.
        hashes: of `chunk_ids`, if the caller has them. Raises IndexCorrupt."""
        try:
            rows = self._rows_of_ids.find(chunk_ids, hash_ids(chunk_ids) if hashes is None else hashes)
        except ValueError as error:
            raise IndexCorrupt(self.directory / ROWS_FILE, str(error)) from error
        removed = np.zeros(len(rows), np.bool_)
        for number in np.flatnonzero(rows >= 0).tolist():
            row = int(rows[number])
            removed[number] = row in self._live
            self._live.remove(row)
        if self.first_removal is None and removed.any():
            self.first_removal = position
        return removed

    def verify(self, stop: Stop = never) -> None:
        """Reads every file. Raises IndexCorrupt, which names the first that is damaged; HelperStopped."""
        check_files(self.directory, self.entry.files, math.inf, stop)

    def part(self) -> Part:
        return Part(self.entry.name, self._columns, self._dense, self._lexical, self._live.words)

    def store_tombstones(self, serial: int) -> SegmentEntry:
        """Writes, durably, which rows are removed; returns the entry that says so. The old file stays."""
        if self.dead == self._stored_dead:
            return self.entry
        name = f"tombstones-{serial:08d}"
        write_arrays(self.directory / name, {"live": self._live.words})
        sync_directory(self.directory)
        files = {path: entry for path, entry in self.entry.files.items() if path != self.entry.tombstones}
        files[name] = describe(self.directory / name)
        return SegmentEntry(self.entry.name, self.entry.rows, files, name)

    def stored(self, entry: SegmentEntry) -> None:
        """Takes over an entry of `store_tombstones` once the manifest has it."""
        if entry.tombstones != self.entry.tombstones:
            self._stored_dead = self.dead
        self.entry = entry


def check_files(directory: Path, files: Mapping[str, FileEntry], largest_verified: float, stop: Stop = never) -> None:
    """Raises IndexCorrupt, naming the first file that is missing, has another size or, unless it is larger than
    `largest_verified` bytes, another checksum; HelperStopped."""
    for name, entry in files.items():
        path = directory / name
        if not path.is_file():
            raise IndexCorrupt(path, "missing")
        if path.stat().st_size != entry.size_bytes:
            raise IndexCorrupt(path, f"{path.stat().st_size} bytes instead of {entry.size_bytes}")
        if entry.size_bytes <= largest_verified and file_checksum(path, stop) != entry.crc32:
            raise IndexCorrupt(path, "checksum differs")


def remove_unnamed(directory: Path, entry: SegmentEntry) -> None:
    """Deletes what a crash left in a segment's directory."""
    for path in directory.rglob("*"):
        if path.is_file() and str(path.relative_to(directory)) not in entry.files:
            path.unlink()


def remove_segment(directory: Path) -> None:
    """Snapshots that still use it keep its files mapped."""
    shutil.rmtree(directory)
