"""A backup holds everything that cannot be made again, opens with the master key alone, and shows every change."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from server.adapters.backups import BackupFailed, Backups, PostgresPrograms
from server.adapters.encrypted_storage import EncryptionOptions, encrypted_storage
from server.adapters.file_master_keys import FileMasterKeys
from server.adapters.postgres.document_catalog import PostgresDocumentCatalog
from server.adapters.postgres.pool import PostgresPool
from server.domain.errors import KeyUnusable
from server.embedded.postgres import EmbeddedPostgres, postgres_program
from tests.server.postgres.conftest import ANA, EVE, Archive


@dataclass
class Kept:
    """Two tenants' documents in `data`, with a backup in `folder`."""

    keys: Path
    data: Path
    folder: Path
    mine: tuple[str, str]
    theirs: tuple[str, str]
    backups: Backups


async def one(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


@pytest.fixture
async def kept(pool: PostgresPool, archive: Archive, migrated_dsn: str, tmp_path: Path) -> Kept:
    keys, data, folder = tmp_path / "keys", tmp_path / "data", tmp_path / "backup"
    async with encrypted_storage(data, pool, EncryptionOptions(keys)) as storage:
        named = []
        for principal, text in ((ANA, "text of ana"), (EVE, "text of eve")):
            blob = await storage.blobs.put(principal.tenant, one(text), 99)
            document, _ = await archive.ready(principal, blob=blob)
            await storage.blobs.put_derived(principal.tenant, blob.key, "thumbnail", b"picture")
            named.append((document.document_id, blob.key))
    programs = PostgresPrograms(postgres_program("pg_dump"), postgres_program("pg_restore"))
    backups = Backups(FileMasterKeys(keys), programs)
    made = await backups.create(migrated_dsn, data / "blobs", folder)
    assert len(made.files) == 3
    return Kept(keys, data, folder, named[0], named[1], backups)


@pytest.fixture
async def empty_dsn(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    name = f"restored_{uuid.uuid4().hex}"
    async with await psycopg.AsyncConnection.connect(postgres_server.dsn, autocommit=True) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        yield postgres_server.dsn_of(name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def test_what_is_restored_is_what_was_there(
    kept: Kept, pool: PostgresPool, empty_dsn: str, tmp_path: Path
) -> None:
    async with pool.as_login() as connection:
        rows = await (await connection.execute("SELECT count(*) AS rows FROM chunks")).fetchone()
    found = await kept.backups.verify(kept.folder)
    assert await kept.backups.restore(kept.folder, empty_dsn, tmp_path / "new" / "blobs") == found
    # Since then a tenant was deleted: its secret is gone from the key folder, and with it what the backup holds of it.
    await FileMasterKeys(kept.keys).forget("rival")
    async with PostgresPool(empty_dsn) as restored:
        async with restored.as_login() as connection:
            again = await (await connection.execute("SELECT count(*) AS rows FROM chunks")).fetchone()
        assert again == rows
        shown = await PostgresDocumentCatalog(restored).get(ANA, kept.mine[0])
        assert shown.document_id == kept.mine[0]
        async with encrypted_storage(tmp_path / "new", restored, EncryptionOptions(kept.keys)) as storage:
            async with storage.blobs.open("acme", kept.mine[1]) as path:
                assert path.read_text() == "text of ana"
            with pytest.raises(KeyUnusable):
                async with storage.blobs.open("rival", kept.theirs[1]):
                    pass


async def test_nothing_in_a_backup_can_be_read_or_changed_unseen(kept: Kept) -> None:
    files = [path for path in kept.folder.rglob("*") if path.is_file()]
    assert len(files) == 5
    for path in files:
        whole = path.read_bytes()
        assert b"text of" not in whole and b"CREATE TABLE" not in whole
        middle = len(whole) // 2
        # Another file: those of the blobs are hard links.
        path.unlink()
        for damaged in (whole[:middle] + bytes((whole[middle] ^ 1,)) + whole[middle + 1 :], whole[:-1], None):
            if damaged is not None:
                path.write_bytes(damaged)
            with pytest.raises(BackupFailed):
                await kept.backups.verify(kept.folder)
            path.unlink(missing_ok=True)
        path.write_bytes(whole)
    more = kept.folder / "blobs" / "00" / "00" / ("0" * 32)
    more.parent.mkdir(parents=True)
    more.write_bytes(b"x")
    with pytest.raises(BackupFailed, match="does not belong"):
        await kept.backups.verify(kept.folder)
    more.unlink()
    await kept.backups.verify(kept.folder)


async def test_without_its_master_key_a_backup_does_not_open(kept: Kept, tmp_path: Path) -> None:
    other = FileMasterKeys(tmp_path / "other")
    await other.prepare(create=True)
    programs = PostgresPrograms(postgres_program("pg_dump"), postgres_program("pg_restore"))
    with pytest.raises(BackupFailed, match=r"master key .* is missing"):
        await Backups(other, programs).verify(kept.folder)


async def test_a_restoration_overwrites_nothing(kept: Kept, migrated_dsn: str, empty_dsn: str, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="database is not empty"):
        await kept.backups.restore(kept.folder, migrated_dsn, tmp_path / "new")
    with pytest.raises(BackupFailed, match="is not empty"):
        await kept.backups.restore(kept.folder, empty_dsn, kept.data / "blobs")
    with pytest.raises(BackupFailed, match="exists already"):
        await kept.backups.create(migrated_dsn, kept.data / "blobs", kept.folder)


async def test_a_backup_that_fails_leaves_nothing(
    kept: Kept, migrated_dsn: str, empty_dsn: str, tmp_path: Path
) -> None:
    folder = tmp_path / "second"
    with pytest.raises(BackupFailed, match="pg_dump failed"):
        await kept.backups.create(f"{empty_dsn}_not_there", kept.data / "blobs", folder)
    plain = kept.data / "blobs" / "11" / "11" / ("1" * 32)
    plain.parent.mkdir(parents=True)
    plain.write_bytes(b"plain")
    with pytest.raises(BackupFailed, match="is not encrypted yet"):
        await kept.backups.create(migrated_dsn, kept.data / "blobs", folder)
    assert [path.name for path in tmp_path.iterdir() if "second" in path.name] == []
    shutil.rmtree(kept.folder)
