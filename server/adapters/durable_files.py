"""Small files that appear whole and durable. Everything blocks, and raises OSError."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_private(file: Path, content: bytes) -> None:
    """A new file for this user alone. Its name is durable when its folder is flushed."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def make_private(file: Path, content: bytes) -> bool:
    """Whether the file is this one: of several processes that make it at once, the first one does."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    write_private(draft, content)
    made = False
    try:
        with suppress(FileExistsError):
            os.link(draft, file)
            made = True
    finally:
        draft.unlink()
    flush_folder(file.parent)
    return made


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """One at a time, of all processes; `file` is there for nothing else. Its folder is made, for this user alone."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def flush_folder(folder: Path) -> None:
    """Makes the names in it durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
