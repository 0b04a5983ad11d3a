"""Blobs as files in a directory."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from server.application.ports import StoredBlob
from server.domain.errors import DependencyUnavailable, DocumentTooLarge

_NAME = "the blob store"
_UNFINISHED = ".unfinished"
_KEY_CHARACTERS = 32

_T = TypeVar("_T")


class FileBlobStore:
    """`root/ab/cd/abcd…`: 65,536 folders, so that none grows large.

    A file gets its name when it is complete and on disk, and the name is on disk when `put` returns. What a crash left
    unfinished is listed by `older_than` as well. What is derived from a blob lies beside it, as `abcd….kind`, and goes
    with it: it is listed and removed under the blob's key. Disk work runs in threads of its own: `async with` stops
    them.
    """

    def __init__(self, root: Path, threads: int = 4) -> None:
        self._root = root.absolute()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="blobs")

    async def __aenter__(self) -> Self:
        await self._do(partial(self._root.mkdir, parents=True, exist_ok=True, mode=0o700))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._threads.shutdown)

    async def put(self, parts: AsyncIterator[bytes], limit_bytes: int) -> StoredBlob:
        file = _GrowingFile(self._path(secrets.token_hex(_KEY_CHARACTERS // 2)))
        try:
            await self._do(file.create)
            async for part in parts:
                if file.size + len(part) > limit_bytes:
                    raise DocumentTooLarge(limit_bytes)
                await self._do(partial(file.append, part))
            await self._do(file.seal)
        except BaseException:
            # Also when this task is being cancelled.
            await asyncio.shield(self._do(file.abandon))
            raise
        return StoredBlob(file.path.name, file.sha256, file.size)

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[Path]:
        path = self._path(key)
        if not await self._do(path.is_file):
            raise DependencyUnavailable(_NAME, f"blob {key} is gone")
        yield path

    async def derived(self, key: str, kind: str) -> bytes | None:
        return await self._do(partial(_content, _beside(self._path(key), kind)))

    async def put_derived(self, key: str, kind: str, data: bytes) -> None:
        """Not flushed to the disk: after a crash it is made again."""
        await self._do(partial(_put_beside, self._path(key), kind, data))

    async def delete(self, key: str) -> None:
        path = self._path(key)
        await self._do(partial(_remove, path))

    async def older_than(self, age_s: float) -> list[str]:
        return await self._do(partial(self._older_than, time.time() - age_s))

    def _older_than(self, moment: float) -> list[str]:
        keys = []
        for path in self._root.glob("*/*/*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime <= moment:
                    keys.append(path.name.split(".", 1)[0])
        return sorted(set(keys))

    def _path(self, key: str) -> Path:
        if len(key) != _KEY_CHARACTERS or not set(key) <= set("0123456789abcdef"):
            raise DependencyUnavailable(_NAME, "this is no key of a blob")
        return self._root / key[:2] / key[2:4] / key

    async def _do(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as exc:
            raise DependencyUnavailable(_NAME, exc.strerror or type(exc).__name__) from exc


class _GrowingFile:
    """A file that gets its name `path` when it is complete. Used by one thread at a time: the lock orders a write that
    is still under way, when the task that waited for it is cancelled, and the removal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._unfinished = path.with_name(path.name + _UNFINISHED)
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._abandoned = False

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def create(self) -> None:
        with self._lock:
            if not self._abandoned:
                self._unfinished.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._file = self._unfinished.open("xb")

    def append(self, part: bytes) -> None:
        with self._lock:
            if self._file is not None:
                self._file.write(part)
                self._digest.update(part)
                self.size += len(part)

    def seal(self) -> None:
        """Durable when it returns: the bytes, and the folders' entries that lead to them."""
        with self._lock:
            if self._file is None:
                return
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._unfinished.rename(self.path)
            for folder in list(self.path.parents)[:3]:
                _flush_folder(folder)

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            if self._file is not None:
                # It writes what is buffered: to a full disk it cannot. The file is closed nevertheless.
                with suppress(OSError):
                    self._file.close()
                self._file = None
            _remove(self.path)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}.{kind}")


def _put_beside(path: Path, kind: str, data: bytes) -> None:
    """Under another name until it is complete: several may do so at once, and the last one stays. Nothing stays beside
    a blob that was removed meanwhile."""
    unfinished = _beside(path, f"{kind}.{secrets.token_hex(8)}{_UNFINISHED}")
    try:
        unfinished.write_bytes(data)
        unfinished.rename(_beside(path, kind))
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    if not path.exists():
        _beside(path, kind).unlink(missing_ok=True)


def _remove(path: Path) -> None:
    """The complete and the unfinished file, and what was derived from it."""
    path.unlink(missing_ok=True)
    for other in path.parent.glob(f"{path.name}.*"):
        other.unlink(missing_ok=True)
