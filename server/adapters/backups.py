"""Backups: the database and the blobs, in a folder, encrypted.

    folder/key.json           the backup's key, wrapped by the master key
    folder/database.sealed    what pg_dump writes (custom format), sealed with that key
    folder/manifest.sealed    which files belong to the backup, with their sizes and SHA-256, sealed with that key
    folder/blobs/…            the blobs' files, encrypted as they are: hard links where the file systems are one

The key folder is not part of it, and wants a backup of its own (`file_master_keys`). Nor is the index: it is made anew
from the change log in the database.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import secrets
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import psycopg.conninfo

from server.adapters.file_blobs import stored_blobs
from server.adapters.sealed_files import NotAuthentic, SealedFile, SealedHeader, SealedName, Sealer
from server.application.encryption_ports import DataKey, MasterKeys, WrappedKey
from server.domain.errors import PinakesError

_FORMAT = 1
_PART_BYTES = 256 * 1024
_TENANT = ""
"""No tenant has this name: what is wrapped for it is the installation's."""
# As of the migrations, which find them in the cluster then.
_ROLES = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pinakes_tenant') THEN
            CREATE ROLE pinakes_tenant NOLOGIN;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pinakes_spanning') THEN
            CREATE ROLE pinakes_spanning NOLOGIN;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pinakes_app') THEN
            CREATE ROLE pinakes_app LOGIN NOINHERIT;
            GRANT pinakes_tenant, pinakes_spanning TO pinakes_app;
        END IF;
        IF NOT pg_has_role(current_user, 'pinakes_tenant', 'SET') THEN
            EXECUTE format('GRANT pinakes_tenant, pinakes_spanning TO %I WITH INHERIT FALSE, SET TRUE', current_user);
        END IF;
    END $$
"""


class BackupFailed(Exception):
    """One sentence that says why, and what to do."""


@dataclass(frozen=True, slots=True)
class BackedUpFile:
    """`path` is relative to the backup's folder; the hash is of the encrypted bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    format: int
    create_time: str
    files: tuple[BackedUpFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """pg_dump and pg_restore, of the database's version or a later one."""

    dump: Path
    restore: Path


class Backups:
    """Every method blocks nothing for long and raises BackupFailed."""

    def __init__(self, masters: MasterKeys, programs: PostgresPrograms) -> None:
        self._masters = masters
        self._programs = programs

    async def create(self, dsn: str, blobs: Path, folder: Path) -> Manifest:
        """Of the database at `dsn` (as a role that reads every row) and the blobs below `blobs`, also while they are in
        use. `folder` must not exist; it is whole when this returns, and gone if it fails."""
        draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
        if folder.exists():
            raise BackupFailed(f"{folder} exists already")
        try:
            draft.mkdir(mode=0o700, parents=True)
            with _told():
                key = await self._new_key(draft)
                # What is stored before the dump ends is in one of the two: the dump names nothing that is missing.
                await asyncio.to_thread(_link_all, blobs, draft / "blobs")
                await self._dump(dsn, key, draft / "database.sealed")
                await asyncio.to_thread(_link_all, blobs, draft / "blobs")
                manifest = await asyncio.to_thread(_manifest_of, draft)
                sealed = Sealer(key, _name("manifest"))
                content = json.dumps(asdict(manifest)).encode()
                await asyncio.to_thread(
                    _write, draft / "manifest.sealed", sealed.header + sealed.update(content) + sealed.finish()
                )
                draft.rename(folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
        return manifest

    async def verify(self, folder: Path) -> Manifest:
        """Reads everything: every file is there, as it was, and the dump opens. Needs the master key alone."""
        with _told():
            key, manifest = await self._opened(folder)
            await asyncio.to_thread(_check, folder, manifest)
            await asyncio.to_thread(lambda: sum(len(part) for part in _unsealed(folder, "database", key)))
        return manifest

    async def restore(self, folder: Path, dsn: str, blobs: Path) -> Manifest:
        """Into the empty database at `dsn` and the folder `blobs`, which must not exist or be empty. The database is
        restored in one transaction, after the files were verified and copied."""
        manifest = await self.verify(folder)
        with _told():
            if blobs.exists() and any(blobs.iterdir()):
                raise BackupFailed(f"{blobs} is not empty; restore into a data directory of its own")
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
                cursor = await connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
                row = await cursor.fetchone()
                if row is None or row[0]:
                    raise BackupFailed("the database is not empty; restore into one of its own")
                await connection.execute(_ROLES)
            key, _ = await self._opened(folder)
            await asyncio.to_thread(_copy_all, folder / "blobs", blobs)
            await self._load(dsn, key, folder)
        return manifest

    async def _new_key(self, folder: Path) -> DataKey:
        key = DataKey(str(uuid.uuid4()), secrets.token_bytes(32))
        wrapped = await self._masters.wrap(_TENANT, key)
        told = {
            "key_id": key.key_id,
            "master_key_id": wrapped.master_key_id,
            "wrapped": base64.b64encode(wrapped.wrapped).decode(),
        }
        await asyncio.to_thread(_write, folder / "key.json", json.dumps(told).encode())
        return key

    async def _opened(self, folder: Path) -> tuple[DataKey, Manifest]:
        told = json.loads(await asyncio.to_thread((folder / "key.json").read_bytes))
        wrapped = WrappedKey(_TENANT, told["key_id"], told["master_key_id"], base64.b64decode(told["wrapped"]))
        key = await self._masters.unwrap(wrapped)
        found = json.loads(await asyncio.to_thread(lambda: b"".join(_unsealed(folder, "manifest", key))))
        if found["format"] != _FORMAT:
            raise BackupFailed(f"the backup is of format {found['format']}, and this version reads {_FORMAT}")
        files = tuple(BackedUpFile(**file) for file in found["files"])
        return key, Manifest(found["format"], found["create_time"], files)

    async def _dump(self, dsn: str, key: DataKey, file: Path) -> None:
        options = ("--format=custom", "--no-owner")
        async with _started(self._programs.dump, dsn, *options, reads=False) as process:
            assert process.stdout is not None
            sealer = Sealer(key, _name("database"))
            with file.open("xb") as out:
                out.write(sealer.header)
                while part := await process.stdout.read(_PART_BYTES):
                    await asyncio.to_thread(out.write, sealer.update(part))
                out.write(sealer.finish())
                out.flush()
                await asyncio.to_thread(os.fsync, out.fileno())

    async def _load(self, dsn: str, key: DataKey, folder: Path) -> None:
        options = ("--single-transaction", "--no-owner", "--exit-on-error")
        async with _started(self._programs.restore, dsn, *options, reads=True) as process:
            assert process.stdin is not None
            parts = _unsealed(folder, "database", key)
            # If it has ended, its status and what it said tell why.
            with suppress(BrokenPipeError, ConnectionResetError):
                while (part := await asyncio.to_thread(next, parts, None)) is not None:
                    process.stdin.write(part)
                    await process.stdin.drain()
                process.stdin.close()


@asynccontextmanager
async def _started(program: Path, dsn: str, *options: str, reads: bool) -> AsyncIterator[asyncio.subprocess.Process]:
    """Ends well, or raises BackupFailed with what the program said last. The password is not in its arguments."""
    named: dict[str, Any] = dict(psycopg.conninfo.conninfo_to_dict(dsn))
    password = named.pop("password", None)
    process = await asyncio.create_subprocess_exec(
        program,
        *options,
        f"--dbname={psycopg.conninfo.make_conninfo(**named)}",
        stdin=asyncio.subprocess.PIPE if reads else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL if reads else asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(password),
    )
    assert process.stderr is not None
    said = asyncio.create_task(process.stderr.read())
    try:
        yield process
        status = await process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    finally:
        text = (await said).decode(errors="replace").strip()
    if status != 0:
        last = text.splitlines()[0] if text else f"status {status}"
        raise BackupFailed(f"{program.name} failed: {last}")


def _environment(password: Any) -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8"} | ({} if password is None else {"PGPASSWORD": str(password)})


@contextmanager
def _told() -> Iterator[None]:
    """What files, keys and databases say, as BackupFailed."""
    try:
        yield
    except OSError as error:
        raise BackupFailed(f"{error.filename or 'a file'}: {error.strerror}") from error
    except (PinakesError, psycopg.Error) as error:
        raise BackupFailed(str(error)) from error
    except NotAuthentic as error:
        raise BackupFailed("a file of the backup is damaged, or not of this backup") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackupFailed("this is no backup that this version made") from error


def _name(part: str) -> SealedName:
    return SealedName(_TENANT, part, "backup")


def _unsealed(folder: Path, part: str, key: DataKey) -> Iterator[bytes]:
    """Raises NotAuthentic, OSError."""
    with (folder / f"{part}.sealed").open("rb") as file:
        header = SealedHeader.read(file)
        if header is None or header.name != _name(part):
            raise NotAuthentic
        yield from SealedFile(file, header, key).chunks()


def _link_all(blobs: Path, target: Path) -> None:
    """Adds what `target` lacks. Raises BackupFailed for a blob that is not encrypted."""
    target.mkdir(exist_ok=True)
    for path in stored_blobs(blobs):
        linked = target / path.relative_to(blobs)
        if linked.exists():
            continue
        linked.parent.mkdir(parents=True, exist_ok=True)
        # Gone: it was deleted meanwhile.
        with suppress(FileNotFoundError):
            with path.open("rb") as file:
                if SealedHeader.read(file) is None:
                    raise BackupFailed(f"blob {path.name} is not encrypted yet; the server does it in the background")
            try:
                os.link(path, linked)
            except FileNotFoundError:
                raise
            except OSError:
                shutil.copyfile(path, linked)


def _copy_all(source: Path, target: Path) -> None:
    """Copies, not links: what is restored is not to change with the backup."""
    for path in stored_blobs(source):
        copied = target / path.relative_to(source)
        copied.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
        with copied.open("rb") as file:
            os.fsync(file.fileno())


def _manifest_of(folder: Path) -> Manifest:
    paths = (folder / "database.sealed", *stored_blobs(folder / "blobs"))
    files = tuple(_described(folder, path) for path in sorted(paths))
    return Manifest(_FORMAT, datetime.now(UTC).isoformat(), files)


def _described(folder: Path, path: Path) -> BackedUpFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return BackedUpFile(str(path.relative_to(folder)), path.stat().st_size, digest)


def _check(folder: Path, manifest: Manifest) -> None:
    """Raises BackupFailed."""
    for expected in manifest.files:
        path = folder / expected.path
        if not path.is_file():
            raise BackupFailed(f"{path} is missing")
        if _described(folder, path) != expected:
            raise BackupFailed(f"{path} was changed or damaged")
    named = {file.path for file in manifest.files}
    for path in stored_blobs(folder / "blobs"):
        if str(path.relative_to(folder)) not in named:
            raise BackupFailed(f"{path} does not belong to the backup")


def _write(file: Path, content: bytes) -> None:
    with file.open("xb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
