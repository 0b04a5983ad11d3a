"""Office files as archives: what they hold, and whether it is safe to unpack them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.domain.errors import PinakesError, UnreadableDocument

_OFFICE = "application/vnd.openxmlformats-officedocument."
DOCX = _OFFICE + "wordprocessingml.document"
PPTX = _OFFICE + "presentationml.presentation"
XLSX = _OFFICE + "spreadsheetml.sheet"

_CONTENT_TYPES = "[Content_Types].xml"
_LARGEST_INDEX = 4_000_000
# The types of the main part of files that the readers open; with macros, which nobody runs, in the last two.
_MAIN_PARTS = (
    (b"wordprocessingml.document.main+xml", DOCX),
    (b"presentationml.presentation.main+xml", PPTX),
    (b"spreadsheetml.sheet.main+xml", XLSX),
    (b"ms-powerpoint.presentation.macroEnabled.main+xml", PPTX),
    (b"ms-excel.sheet.macroEnabled.main+xml", XLSX),
)
# Of the ways to pack, the ones that office programs use; zipfile keeps their output to what it asked for.
_PACKED = frozenset((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
_MIMETYPE_BYTES = 100


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """What a file may unpack to, and how many times its packed size that may be; the ratio counts from `ratio_from`
    bytes on, since small parts of text pack well."""

    unpacked_bytes: int = 512_000_000
    entries: int = 20_000
    ratio: int = 200
    ratio_from: int = 8_000_000


def check_archive(path: Path, options: ArchiveOptions) -> None:
    """Raises UnreadableDocument for an archive that is broken or would unpack to more than it may. Reads its directory
    alone: zipfile unpacks no more of an entry than the directory says."""
    with parsing("the file"), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if len(entries) > options.entries:
        raise UnreadableDocument(f"the file has {len(entries):,} parts; at most {options.entries:,} are read")
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if unpacked > options.unpacked_bytes:
        raise UnreadableDocument(
            f"the file unpacks to {unpacked:,} bytes; at most {options.unpacked_bytes:,} are unpacked"
        )
    # By what the file takes: entries may claim to share their packed bytes.
    if unpacked > options.ratio_from and unpacked > options.ratio * min(packed, path.stat().st_size):
        raise UnreadableDocument(f"the file unpacks to more than {options.ratio} times its size")
    if any(entry.compress_type not in _PACKED for entry in entries):
        raise UnreadableDocument("parts of the file are packed in a way that office files are not")


def archive_media_type(path: Path) -> str | None:
    """What an archive is, by its list of contents or its short `mimetype`; None if it is broken."""
    try:
        with parsing("the file"), zipfile.ZipFile(path) as archive:
            return _media_type(archive)
    except UnreadableDocument:
        return None


def _media_type(archive: zipfile.ZipFile) -> str:
    sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    if sizes.get("mimetype", _MIMETYPE_BYTES) < _MIMETYPE_BYTES:
        return archive.read("mimetype").decode("ascii", errors="replace").strip()
    if sizes.get(_CONTENT_TYPES, _LARGEST_INDEX) < _LARGEST_INDEX:
        index = archive.read(_CONTENT_TYPES)
        for main_part, media_type in _MAIN_PARTS:
            if main_part in index:
                return media_type
    return "application/zip"


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Around parsers that raise whatever their code happens to trip over in a file that breaks the rules. Raises
    UnreadableDocument from it; MemoryError passes."""
    try:
        yield
    except (PinakesError, MemoryError):
        raise
    except RecursionError as exc:
        raise UnreadableDocument(f"{what} is nested too deeply") from exc
    except Exception as exc:
        raise UnreadableDocument(f"{what} is broken") from exc
