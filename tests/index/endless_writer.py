"""Writes until it is killed: `python -m tests.index.endless_writer DIRECTORY`. Prints each committed position."""

from __future__ import annotations

import sys
from pathlib import Path

from index import HybridIndex, IndexOptions, Operation, Remove
from tests.index.model import DIMENSION, FINGERPRINT, chunk


def operation_at(position: int) -> Operation:
    """The same history for whoever asks."""
    chunk_id = f"chunk-{position * position % 31}"
    return Remove(position, chunk_id) if position % 5 == 0 else chunk(position, chunk_id, text="apple 東京")


def write(directory: Path) -> None:
    options = IndexOptions(seal_rows=8, merge_width=2)
    with HybridIndex.open(directory, dimension=DIMENSION, fingerprint=FINGERPRINT, options=options) as index:
        while True:
            index.apply([operation_at(index.position + 1)])
            index.maintain()
            sys.stdout.write(f"{index.committed_position}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
