"""Folders that are there whole or not at all, files that stand for others, and work that one process does at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".part-"
"""What the folders begin with that are not finished: whoever holds the lock may remove them."""


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """A folder that becomes `target` when the context ends without an error, and leaves nothing otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=UNFINISHED))
    try:
        yield partial
        partial.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def link(source: Path, target: Path) -> Path:
    """Makes `target`, which is not there, the same file; a copy where the file system cannot. Returns it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """The lock of that file; `on_wait` is called if another holds it. Released by the kernel when the process ends,
    however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
