"""Blobs as files in a directory, encrypted."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from server.adapters.durable_files import flush_folder
from server.adapters.file_failures import unusable
from server.adapters.memory_files import MemoryBudget, MemoryFile
from server.adapters.sealed_files import NotAuthentic, SealedFile, SealedHeader, SealedName, Sealer, seal
from server.application.document_ports import StoredBlob
from server.application.encryption_ports import DataKeys, SealingRecord
from server.domain.errors import DependencyUnavailable, DocumentDamaged, DocumentTooLarge

_NAME = "the blob store"
_UNFINISHED = ".unfinished"
_KEY = re.compile(r"(?:([0-9a-f]{16})-)?([0-9a-f]{32})")
_COPIED_BYTES = 1024 * 1024

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class BlobOptions:
    """Documents that are being read lie decrypted in memory, `memory_bytes` of them at a time; a larger one alone.
    Whoever finds no room waits for `memory_wait_s`."""

    threads: int = 4
    memory_bytes: int = 1024 * 2**20
    memory_wait_s: float = 60.0


class FileBlobStore:
    """`root/tenant/ab/tenant-abcd…`, where `tenant` stands for 16 hexadecimal digits of the hash of its name; `root/ab/
    cd/abcd…` for blobs that were stored before keys named the tenant.

    Each file is encrypted with a data key of its tenant (`sealed_files`), and opens only as what it was stored as:
    damaged or exchanged files raise DocumentDamaged. Blobs that were stored before that are read as they are until
    all of them have been encrypted in place, and never again after that.

    A file gets its name when it is complete and on disk, and the name is on disk when `put` returns. What a crash left
    unfinished is listed by `older_than` as well. What is derived from a blob lies beside it, as `abcd….kind`, and goes
    with it: it is listed and removed under the blob's key. Disk work and encryption run in threads of their own: `async
    with` stops them.
    """

    def __init__(self, root: Path, keys: DataKeys, sealing: SealingRecord, options: BlobOptions | None = None) -> None:
        options = options or BlobOptions()
        self._root = root.absolute()
        self._data_keys = keys
        self._sealing = sealing
        self._memory = MemoryBudget("documents in memory", options.memory_bytes, options.memory_wait_s)
        self._threads = ThreadPoolExecutor(options.threads, thread_name_prefix="blobs")

    async def __aenter__(self) -> Self:
        await self._do(partial(self._root.mkdir, parents=True, exist_ok=True, mode=0o700))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._threads.shutdown)

    async def put(self, tenant: str, parts: AsyncIterator[bytes], limit_bytes: int) -> StoredBlob:
        path = self._path(f"{_folder_of(tenant)}-{secrets.token_hex(16)}")
        sealer = Sealer(await self._data_keys.current(tenant), SealedName(tenant, path.name))
        file = _GrowingFile(path, sealer)
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
    async def open(self, tenant: str, key: str) -> AsyncIterator[Path]:
        path = self._path(key)
        async with AsyncExitStack() as opened:
            try:
                file = opened.enter_context(await self._do(lambda: path.open("rb")))
            except DependencyUnavailable as exc:
                if isinstance(exc.__cause__, FileNotFoundError):
                    raise DependencyUnavailable(_NAME, f"blob {key} is gone") from exc
                raise
            name = SealedName(tenant, key)
            sealed = await self._sealed(file, name)
            if sealed is None:
                yield path
                return
            await opened.enter_async_context(self._memory.share(sealed.size))
            plain = opened.enter_context(await self._decrypted(sealed, key))
            file.close()
            yield plain.path

    async def derived(self, tenant: str, key: str, kind: str) -> bytes | None:
        """None for one that cannot be opened, too: it is made again."""
        path = _beside(self._path(key), kind)
        try:
            with await self._do(lambda: path.open("rb")) as file:
                sealed = await self._sealed(file, SealedName(tenant, key, kind))
                return None if sealed is None else await self._do(lambda: b"".join(sealed.chunks()))
        except DependencyUnavailable as exc:
            if isinstance(exc.__cause__, FileNotFoundError):
                return None
            raise
        except (NotAuthentic, DocumentDamaged):
            return None

    async def put_derived(self, tenant: str, key: str, kind: str, data: bytes) -> None:
        """Not flushed to the disk: after a crash it is made again."""
        path, name, data_key = self._path(key), SealedName(tenant, key, kind), await self._data_keys.current(tenant)
        await self._do(lambda: _put_beside(path, kind, seal(data_key, name, data)))

    async def delete(self, key: str) -> None:
        path = self._path(key)
        await self._do(partial(_remove, path))

    async def delete_all(self, tenant: str) -> None:
        """The port `TenantBlobs`. Whoever stores something for the tenant at this moment fails."""
        await self._do(partial(_remove_folder, self._root / _folder_of(tenant)))

    async def older_than(self, age_s: float) -> list[str]:
        return await self._do(partial(self._older_than, time.time() - age_s))

    async def keys(self) -> AsyncIterator[str]:
        """The port `PlainBlobs`."""
        for key in await self._do(self._plain):
            yield key

    async def seal(self, tenant: str, key: str) -> bool:
        """The port `PlainBlobs`. What was derived from the blob is removed: it is made again."""
        data_key = await self._data_keys.current(tenant)
        return await self._do(partial(_seal_in_place, self._path(key), Sealer(data_key, SealedName(tenant, key))))

    async def _sealed(self, file: BinaryIO, name: SealedName) -> SealedFile | None:
        """None for a blob that may be read as it is. Raises DocumentDamaged, KeyUnusable."""
        try:
            header = await self._do(partial(SealedHeader.read, file))
            if header is None:
                # Blobs whose keys name a tenant were never stored in another way.
                if "-" in name.name or await self._sealing.all_sealed():
                    raise DocumentDamaged(name.name)
                return None
            if header.name != name:
                raise DocumentDamaged(name.name)
            data_key = await self._data_keys.named(name.tenant, header.key_id)
            return await self._do(partial(SealedFile, file, header, data_key))
        except NotAuthentic as exc:
            raise DocumentDamaged(name.name) from exc

    async def _decrypted(self, sealed: SealedFile, key: str) -> MemoryFile:
        try:
            return await self._do(lambda: MemoryFile(sealed.chunks()))
        except NotAuthentic as exc:
            raise DocumentDamaged(key) from exc

    def _plain(self) -> list[str]:
        keys = []
        for path in self._root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"):
            if _KEY.fullmatch(path.name):
                with suppress(FileNotFoundError), path.open("rb") as file, suppress(NotAuthentic):
                    if SealedHeader.read(file) is None:
                        keys.append(path.name)
        return keys

    def _older_than(self, moment: float) -> list[str]:
        keys = []
        for path in self._root.glob("*/*/*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime <= moment:
                    keys.append(path.name.split(".", 1)[0])
        return sorted(set(keys))

    def _path(self, key: str) -> Path:
        match = _KEY.fullmatch(key)
        if match is None:
            raise DependencyUnavailable(_NAME, "this is no key of a blob")
        folder, name = match.groups()
        return self._root / folder / name[:2] / key if folder else self._root / name[:2] / name[2:4] / key

    async def _do(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as exc:
            raise unusable(_NAME, exc) from exc


class _GrowingFile:
    """A file that gets its name `path` when it is complete. Used by one thread at a time: the lock orders a write that
    is still under way, when the task that waited for it is cancelled, and the removal."""

    def __init__(self, path: Path, sealer: Sealer) -> None:
        self.path = path
        self.size = 0
        self._unfinished = path.with_name(path.name + _UNFINISHED)
        self._file: BinaryIO | None = None
        self._sealer = sealer
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._abandoned = False

    @property
    def sha256(self) -> str:
        """Of the plain text, as `size` is."""
        return self._digest.hexdigest()

    def create(self) -> None:
        with self._lock:
            if not self._abandoned:
                self._unfinished.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._file = self._unfinished.open("xb")
                self._file.write(self._sealer.header)

    def append(self, part: bytes) -> None:
        with self._lock:
            if self._file is not None:
                self._file.write(self._sealer.update(part))
                self._digest.update(part)
                self.size += len(part)

    def seal(self) -> None:
        """Durable when it returns: the bytes, and the folders' entries that lead to them."""
        with self._lock:
            if self._file is None:
                return
            self._file.write(self._sealer.finish())
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._unfinished.rename(self.path)
            for folder in list(self.path.parents)[:3]:
                flush_folder(folder)

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            if self._file is not None:
                # It writes what is buffered: to a full disk it cannot. The file is closed nevertheless.
                with suppress(OSError):
                    self._file.close()
                self._file = None
            _remove(self.path)


def stored_blobs(root: Path) -> list[Path]:
    """The files of all blobs that are complete, without what was derived from them."""
    return sorted(path for path in root.glob("*/*/*") if _KEY.fullmatch(path.name))


def _folder_of(tenant: str) -> str:
    return hashlib.sha256(b"pinakes tenant\0" + tenant.encode()).hexdigest()[:16]


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


def _seal_in_place(path: Path, sealer: Sealer) -> bool:
    """The encrypted file is whole and on disk before it takes the plain one's place, whose bytes the file system then
    gives up: on most, they can be recovered from the raw disk until they are written over."""
    unfinished = _beside(path, f"{secrets.token_hex(8)}{_UNFINISHED}")
    try:
        with path.open("rb") as plain, unfinished.open("xb") as sealed:
            if SealedHeader.read(plain) is not None:
                # By another process, meanwhile.
                unfinished.unlink()
                return True
            plain.seek(0)
            sealed.write(sealer.header)
            while part := plain.read(_COPIED_BYTES):
                sealed.write(sealer.update(part))
            sealed.write(sealer.finish())
            sealed.flush()
            os.fsync(sealed.fileno())
        if not path.exists():
            # It was deleted meanwhile.
            unfinished.unlink()
            return False
        unfinished.rename(path)
        flush_folder(path.parent)
    except FileNotFoundError:
        unfinished.unlink(missing_ok=True)
        return False
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    for other in path.parent.glob(f"{path.name}.*"):
        other.unlink(missing_ok=True)
    return True


def _remove_folder(folder: Path) -> None:
    """Also while somebody writes into it."""
    while folder.exists():
        with suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(folder)


def _remove(path: Path) -> None:
    """The complete and the unfinished file, and what was derived from it."""
    path.unlink(missing_ok=True)
    for other in path.parent.glob(f"{path.name}.*"):
        other.unlink(missing_ok=True)
