"""The names of files in an index directory, and what to delete of them."""

from __future__ import annotations

from pathlib import Path

from index.manifest import MANIFEST_FILE, Manifest
from index.segment import remove_segment

SEGMENTS_DIRECTORY = "segments"


def journal_name(serial: int) -> str:
    return f"journal-{serial:08d}"


def segment_directory(directory: Path, serial: int) -> Path:
    return directory / SEGMENTS_DIRECTORY / f"segment-{serial:08d}"


def remove_strays(directory: Path, manifest: Manifest | None, in_use: set[str]) -> None:
    """Deletes what a crash, or the commit before, left: journals, segments and unfinished manifests. Journals and
    segments `in_use` are kept."""
    journals = in_use | ({entry.name for entry in manifest.journals} if manifest else set())
    segments = in_use | ({entry.name for entry in manifest.segments} if manifest else set())
    for path in (*directory.glob("journal-*"), *directory.glob(f"{MANIFEST_FILE}.new")):
        if path.name not in journals:
            path.unlink()
    for path in directory.glob(f"{SEGMENTS_DIRECTORY}/*"):
        if path.name not in segments:
            remove_segment(path)
