"""The one file that says what the index consists of. Replacing it is what makes a commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from index.errors import IndexMismatch
from index.storage import read_json, replace_json

FORMAT = 3
"""Version of everything in the directory; FORMAT.md describes it."""

MANIFEST_FILE = "manifest"


@dataclass(frozen=True, slots=True)
class FileEntry:
    size_bytes: int
    crc32: int


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """files: path below the segment's directory to size and checksum. tombstones: the one of them that holds the rows
    removed since the segment was made, if any."""

    name: str
    rows: int
    files: Mapping[str, FileEntry]
    tombstones: str | None = None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What counts of a journal; a crash may have left more."""

    name: str
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """`position` is the last applied position of the log; `serial` numbers the files that commits make. `journals`: one
    per head, oldest first; all but the last are of frozen heads."""

    dimension: int
    fingerprint: str
    analyzer: str
    journals: tuple[JournalEntry, ...]
    position: int = 0
    serial: int = 0
    segments: tuple[SegmentEntry, ...] = ()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Atomic and durable."""
    replace_json(directory / MANIFEST_FILE, {"format": FORMAT, **asdict(manifest)})


def read_manifest(directory: Path) -> Manifest | None:
    """None if the directory holds no index. Raises IndexCorrupt; IndexMismatch for another format."""
    fields = read_json(directory / MANIFEST_FILE)
    if fields is None:
        return None
    stored_format = fields.pop("format")
    if stored_format != FORMAT:
        raise IndexMismatch("format", stored_format, FORMAT)
    segments = tuple(
        SegmentEntry(**{**entry, "files": {name: FileEntry(**each) for name, each in entry["files"].items()}})
        for entry in fields.pop("segments")
    )
    journals = tuple(JournalEntry(**entry) for entry in fields.pop("journals"))
    return Manifest(**fields, journals=journals, segments=segments)
