"""Where the bytes of an upload come from, and how they are cut into parts."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pinakes.options import UploadOptions

PART_BYTES = 256 * 1024

Source = str | os.PathLike[str] | bytes | BinaryIO
"""A path, the bytes themselves, or a binary file, which is read from where it stands and left open."""


class Parts:
    """The bytes of one attempt. gRPC reads them from a thread of its own, which may outlive the attempt: after `close`
    it reads no more, so the next attempt can rewind the file. What reading raised is kept, since gRPC hides it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._closed = False
        self.failure: Exception | None = None

    def read(self) -> bytes:
        """The next part; empty at the end."""
        with self._lock:
            if self._closed:
                return b""
            try:
                return self._file.read(PART_BYTES)
            except (OSError, ValueError) as exc:
                self.failure = exc
                raise

    def close(self) -> None:
        with self._lock:
            self._closed = True


@dataclass(frozen=True, slots=True)
class UploadSource:
    """Bytes that can be read once per attempt. `repeatable` is False for a file that cannot be rewound: its upload is
    tried once."""

    name: str
    repeatable: bool
    _source: Path | bytes | BinaryIO
    _start: int = 0

    @classmethod
    def of(cls, source: Source, options: UploadOptions) -> UploadSource:
        """Raises ValueError if the document has no name, and OSError if there is no such file."""
        given = options.get("name", "")
        match source:
            case str() | os.PathLike():
                path = Path(source)
                path.stat()
                return cls(given or path.name, True, path)
            case bytes():
                return cls(_named(given), True, source)
            case _:
                file_name = getattr(source, "name", "")
                name = given or (Path(file_name).name if isinstance(file_name, str) else "")
                rewindable = source.seekable()
                return cls(_named(name), rewindable, source, source.tell() if rewindable else 0)

    @contextmanager
    def open(self) -> Iterator[Parts]:
        """The bytes from their start. Only a file that was opened here is closed."""
        match self._source:
            case Path():
                with self._source.open("rb") as file, _closing(Parts(file)) as parts:
                    yield parts
            case bytes():
                with _closing(Parts(io.BytesIO(self._source))) as parts:
                    yield parts
            case _:
                if self.repeatable:
                    self._source.seek(self._start)
                with _closing(Parts(self._source)) as parts:
                    yield parts


@contextmanager
def _closing(parts: Parts) -> Iterator[Parts]:
    try:
        yield parts
    finally:
        parts.close()


def _named(name: str) -> str:
    if not name:
        raise ValueError("a document made from bytes needs a name: upload(..., name='report.pdf')")
    return name
