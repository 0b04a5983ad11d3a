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
from index.snapshot import Snapshot
from index.writer import IndexWriter

LOCK_FILE = "lock"


class HybridIndex:
    """A searchable view of a log of operations, in one directory. See the package's docstring.

    `snapshot` and `position` are for any thread, everything else for one at a time.
    """

    def __init__(self, writer: IndexWriter, lock: contextlib.ExitStack) -> None:
        """Use `open`."""
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
        elsewhere. Cost: reading every file once to verify it (see IndexOptions), plus about 0.1 ms per chunk in the
        head.
        """
        path.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            _lock(path, stack)
            writer = IndexWriter.open(path, dimension, fingerprint, options or IndexOptions(), analyzer or Analyzer())
            return cls(writer, stack.pop_all())

    @property
    def position(self) -> int:
        """The last applied position."""
        return self._writer.position

    @property
    def committed_position(self) -> int:
        """The position that opening the index again would give."""
        return self._writer.committed_position

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
        are not finite, and applies none of them then. Cost: per chunk its analysis (about 1.5 ms per 1,000 Japanese
        characters) and 0.1 ms; per call 2 to 5 ms.
        """
        self._writer.apply(operations)

    def commit(self) -> None:
        """Makes what was applied durable. Cost: some fsyncs; when the head is full, writing it as a segment."""
        self._writer.commit()

    def maintain(self) -> bool:
        """Commits, and does one rebuild if one is due; returns whether there may be more to do.

        For owners without a thread to spare: `plan_rebuild`, `Rebuild.run` and `install` in one.
        """
        self.commit()
        rebuild = self.plan_rebuild()
        if rebuild is None:
            return False
        try:
            rebuild.run()
        finally:
            self.install(rebuild)
        return True

    def plan_rebuild(self) -> Rebuild | None:
        """A rebuild that is due: of the smallest segments when there are too many, or of one with many removed rows.

        Its `run` may take its time in any thread while changes and searches go on; give it to `install` then. None if
        nothing is due, or another rebuild is not installed yet.
        """
        return self._writer.plan_rebuild()

    def install(self, rebuild: Rebuild) -> None:
        """Commits, with the new segment in the place of those it was made of. If its `run` failed, or they are gone by
        now, the new segment is deleted instead."""
        self._writer.install(rebuild)

    def plan_compaction(self) -> Rebuild | None:
        """`compact` in two halves, as `plan_rebuild` is the first half of `maintain`.

        Commits, and writes the head as a segment if it holds a removed chunk (0.1 ms per row). Returns a rebuild of all
        segments that hold one; None if there are none, or another rebuild is not installed yet.
        """
        return self._writer.plan_compaction()

    def compact(self) -> None:
        """Commits, and rebuilds everything that holds a removed or replaced chunk: nothing of it remains on disk.

        (What the file system or a still open snapshot keeps is beyond this.)
        """
        self._writer.compact()

    def close(self) -> None:
        """Gives up what was not committed, and the lock. Snapshots stay usable. Once more does nothing."""
        self._writer.close()
        self._lock.close()

    def __enter__(self) -> HybridIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _lock(path: Path, stack: contextlib.ExitStack) -> None:
    descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise IndexLocked(path) from error
