"""Blobs with their keys, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from server.adapters.file_blobs import BlobOptions, FileBlobStore
from server.adapters.file_master_keys import FileMasterKeys
from server.adapters.postgres.data_keys import (
    DataKeyOptions,
    PostgresBlobOwners,
    PostgresDataKeys,
    PostgresSealingRecord,
)
from server.adapters.postgres.pool import PostgresPool
from server.application.delete_tenant import DeleteTenantOptions
from server.application.seal_blobs import SealBlobs, SealOptions


@dataclass(frozen=True, slots=True)
class EncryptionOptions:
    """`key_folder`: where master keys and tenants' secrets are (`file_master_keys`); without one, `keys` in the data
    directory, which protects copies of the blobs and of the database, but no copy of the whole directory."""

    key_folder: Path | None = None
    data_keys: DataKeyOptions = field(default_factory=DataKeyOptions)
    blobs: BlobOptions = field(default_factory=BlobOptions)
    sealing: SealOptions = field(default_factory=SealOptions)
    deletions: DeleteTenantOptions = field(default_factory=DeleteTenantOptions)


@dataclass(frozen=True, slots=True)
class EncryptedStorage:
    masters: FileMasterKeys
    keys: PostgresDataKeys
    blobs: FileBlobStore
    sealing: SealBlobs


@asynccontextmanager
async def encrypted_storage(
    data_dir: Path, pool: PostgresPool, options: EncryptionOptions
) -> AsyncIterator[EncryptedStorage]:
    """While the context lasts. The first time, makes the master key. Raises KeyUnusable when one that is needed is
    missing or another one, DependencyUnavailable."""
    masters = FileMasterKeys(options.key_folder or data_dir / "keys")
    keys = PostgresDataKeys(pool, masters, options.data_keys)
    await masters.prepare(create=not await keys.any_wrapped())
    await keys.check()
    record = PostgresSealingRecord(pool)
    async with FileBlobStore(data_dir / "blobs", keys, record, options.blobs) as blobs:
        yield EncryptedStorage(
            masters, keys, blobs, SealBlobs(blobs, PostgresBlobOwners(pool), record, options.sealing)
        )
