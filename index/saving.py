"""A copy of a committed index in another directory."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from index.layout import SEGMENTS_DIRECTORY
from index.manifest import Manifest, write_manifest
from index.storage import sync_directory, sync_file

_UNFINISHED = ".unfinished"


def save_index(source: Path, manifest: Manifest, target: Path) -> None:
    """Immutable files as hard links where the file system can; the manifest, and what counts of the journals, copied.

    Written beside `target` under a temporary name; a crash leaves that for the next call to delete. Raises
    FileExistsError if there is a target already.
    """
    if target.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + _UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for entry in manifest.journals:
        with (source / entry.name).open("rb") as journal:
            _write(unfinished / entry.name, journal.read(entry.size_bytes))
    directories = {unfinished / SEGMENTS_DIRECTORY}
    (unfinished / SEGMENTS_DIRECTORY).mkdir()
    for segment in manifest.segments:
        for name in segment.files:
            path = Path(SEGMENTS_DIRECTORY, segment.name, name)
            (unfinished / path).parent.mkdir(parents=True, exist_ok=True)
            directories |= {unfinished / path.parent, unfinished / SEGMENTS_DIRECTORY / segment.name}
            _link_or_copy(source / path, unfinished / path)
    for directory in directories:
        sync_directory(directory)
    write_manifest(unfinished, manifest)
    unfinished.replace(target)
    sync_directory(target.parent)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    sync_file(path)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copyfile(source, target)
        sync_file(target)
