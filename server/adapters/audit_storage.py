"""Where the audit log is kept: in the database, with its key and its anchors outside."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from server.adapters.audit_anchors import FileAuditAnchors
from server.adapters.audit_keys import FileAuditSigner
from server.adapters.postgres.audit_log import PostgresAuditLog
from server.adapters.postgres.pool import PostgresPool


@dataclass(frozen=True, slots=True)
class AuditStorageOptions:
    """Without a `key_file` the key is in the folder of the other keys, made at the first start. Servers that share a
    database must share the key, too: each refuses to go on behind a head that it cannot verify."""

    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class AuditStorage:
    log: PostgresAuditLog
    signer: FileAuditSigner
    anchors: FileAuditAnchors


async def audit_storage(
    data_dir: Path, key_folder: Path, pool: PostgresPool, options: AuditStorageOptions
) -> AuditStorage:
    """Raises UnusableAuditKey and other OSErrors."""
    file = options.key_file or key_folder / "audit" / "signing-key.pem"
    signer = await asyncio.to_thread(FileAuditSigner.open, file)
    anchors = await asyncio.to_thread(FileAuditAnchors.open, data_dir / "audit" / "anchors.jsonl", signer)
    return AuditStorage(PostgresAuditLog(pool, signer, anchors), signer, anchors)
