"""The index as its owner sees it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from index.errors import IndexLocked
from index.lexical.analyzer import Analyzer
from index.operations import Operation
from index.options import IndexOptions
from index.rebuilding import Rebuild
from index.saving import save_index
from index.snapshot import Snapshot
from index.writer import IndexWriter

LOCK_FILE = "lock"


class HybridIndex:
    """A searchable view of a log of operations, in one directory. See the package's docstring.

    `snapshot`, `position`, `verify` and `stop_background` are for any thread, everything else for one at a time.
    """

    def __init__(self, directory: Path, writer: IndexWriter, lock: contextlib.ExitStack) -> None:
        """Use `open`."""
        self._directory = directory
        self._writer = writer
        self._lock = lock

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        dimension: int,
        fingerprint: str,
        options: IndexOptions | None = None,
        analyzer: Analyzer | None = None,
    ) -> HybridIndex:
        """Opens or creates the index as it was last committed, and deletes what a crash left beside it.

        `fingerprint` names the model that made the vectors. Raises IndexMismatch if the directory holds an index of
        other vectors, another analyzer or another format; IndexCorrupt if a file is damaged; IndexLocked if it is open
        elsewhere; OSError if a file that is there cannot be opened now. Large files are mapped and not read (see
        IndexOptions.verify_checksums, and `verify`). Cost: some milliseconds per segment, plus about 0.05 ms per chunk
        in the heads.
        """
        path.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            lock_directory(path, stack)
            writer = IndexWriter.open(path, dimension, fingerprint, options or IndexOptions(), analyzer or Analyzer())
            return cls(path, writer, stack.pop_all())

    @property
    def position(self) -> int:
        """The last applied position."""
        return self._writer.snapshot.position

    @property
    def committed_position(self) -> int:
        """The position that opening the index again would give."""
        return self._writer.manifest.position

    @property
    def holds_removed(self) -> bool:
        """Whether a removed or replaced chunk is still on disk."""
        return self._writer.holds_removed

    def snapshot(self) -> Snapshot:
        """The index as it is now: everything applied, committed or not."""
        return self._writer.snapshot

    def apply(self, operations: Sequence[Operation]) -> None:
        """Applies operations in the order of their positions; those at or before `position` are ignored.

        The next snapshot has them all. Raises InvalidOperation for a vector of another dimension or with values that
        are not finite, and HelperFailed; none of them is applied then. Cost: per chunk its analysis (about 2 ms per
        1,000 Japanese characters; of masses of chunks in a process of its own) and 0.05 ms; per call 5 ms of Tantivy's
        threads, so that few large batches are better than many small ones.
        """
        self._writer.apply(operations)

    def commit(self) -> None:
        """Makes what was applied durable, and freezes the head when it is full: searched on, but waiting for a rebuild
        to write it as a segment.

        Cost: some fsyncs. If more heads wait than IndexOptions.max_frozen_heads allows, because rebuilds are not run or
        are too slow for the changes, they are written at once: 0.1 ms per row, during which the caller waits and
        searches go on.
        """
        self._writer.commit()

    def maintain(self) -> bool:
        """Commits, and does one rebuild if one is due; returns whether there may be more to do.

        For owners without a thread to spare: `plan_rebuild`, `Rebuild.run` and `install` in one.
        """
        self.commit()
        return self._do(self.plan_rebuild())

    def _do(self, rebuild: Rebuild | None) -> bool:
        if rebuild is None:
            return False
        try:
            rebuild.run()
        finally:
            self.install(rebuild)
        return True

    def plan_rebuild(self) -> Rebuild | None:
        """A rebuild that is due: first of all of the frozen heads, then of segments, when there are too many of a size
        or one has many removed rows.

        Its `run` may take its time in any thread while changes and searches go on; give it to `install` then, whether
        it succeeded or not. There may be two at a time, one of heads and one of segments, so that a long merge holds no
        head up. None if nothing else is due.
        """
        return self._writer.plan_rebuild()

    def install(self, rebuild: Rebuild) -> None:
        """Commits, with the new segment in the place of what it was made of. If its `run` failed, or that is gone by
        now, the new segment is deleted instead."""
        self._writer.install(rebuild)

    def plan_compaction(self, up_to: int) -> Rebuild | None:
        """The next step of a compaction in the background: commits, and returns a rebuild of some of what holds chunks
        that were removed at or before the position `up_to`. Ask again once it is installed.

        None if nothing of them is on disk any more; or if another rebuild is not installed yet.
        """
        return self._writer.plan_compaction(up_to)

    def compact(self) -> None:
        """Commits, writes the heads as a segment, and rebuilds every segment that holds a removed or replaced chunk:
        nothing of it remains on disk.

        (What the file system, a still open snapshot or a rebuild that is planned and not installed keeps is beyond
        this.)
        """
        self._writer.compact()

    def merge_all(self) -> None:
        """Commits, and joins everything into one segment: the fastest to search, for an index that rarely changes."""
        self._writer.merge_all()

    def verify(self) -> None:
        """Reads every file of every segment (1 to 4 GB/s, without the GIL) and compares checksums, for any thread.

        Raises IndexCorrupt, which names the first file that is damaged: rebuild the index from the log then; and
        HelperStopped after `stop_background`. Journals and the manifest need none of it: opening has read them.
        """
        self._writer.verify()

    def save_snapshot(self, directory: Path) -> None:
        """Commits, and makes a copy of the index in a new directory, to be opened like any other.

        On the same file system segments are hard links and cost nothing, else they are copied while the caller waits.
        `directory` appears whole or not at all. Raises FileExistsError.
        """
        self.commit()
        save_index(self._directory, self._writer.manifest, directory)

    def stop_background(self) -> None:
        """For any thread, before `close`: rebuilds and `verify` end soon, and raise HelperStopped. What rebuilds wrote
        is deleted when they are installed, or the index is opened."""
        self._writer.stop_background()

    def close(self) -> None:
        """Gives up what was not committed, and the lock; what works in the background ends as after `stop_background`.
        Snapshots stay usable. Once more does nothing."""
        self._writer.close()
        self._lock.close()

    def __enter__(self) -> HybridIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def lock_directory(path: Path, stack: contextlib.ExitStack) -> None:
    """Until the stack is closed. Raises IndexLocked."""
    descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise IndexLocked(path) from error
