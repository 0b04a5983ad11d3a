"""Comparing the files of an open index with their checksums, while it serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from index.errors import IndexCorrupt
from index.segment import Segment
from index.stopping import Stop


def verify_segments(current: Callable[[], Sequence[Segment]], stop: Stop) -> None:
    """Raises IndexCorrupt, and HelperStopped. `current` gives the index's segments now: those that were replaced
    meanwhile, whose files are deleted, are left out, and the new ones, written a moment ago, are not read."""
    for segment in current():
        while True:
            entry = segment.entry
            try:
                segment.verify(stop)
                break
            except (IndexCorrupt, OSError):
                if segment not in current():
                    break
                if segment.entry is entry:
                    raise
