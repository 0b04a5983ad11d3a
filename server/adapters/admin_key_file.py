"""The file with the key that an installation begins with."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import structlog

from server.adapters.file_failures import unusable
from server.adapters.signing_keys import write_secret
from server.application.identity_ports import ApiKeyStore, SecretHasher
from server.application.look_after_keys import new_first_key
from server.domain.credentials import API_KEY_PREFIX, parsed_secret
from server.domain.deadline import Deadline
from server.domain.errors import Unauthenticated

ADMIN_KEY_FILE = "admin.key"
_LIMIT_S = 60.0

_log = structlog.get_logger()


async def ensure_first_key(
    directory: Path, keys: ApiKeyStore, hasher: SecretHasher, tenant: str, user: str, groups: tuple[str, ...]
) -> None:
    """Makes the first key and writes it to `admin.key`, which nobody else can read, unless there is or was one.

    It is in a file before it is in the database: a crash in between leaves no key that nobody knows. Raises
    DependencyUnavailable, also for a directory that cannot be written.
    """
    file, draft = directory / ADMIN_KEY_FILE, directory / f".{ADMIN_KEY_FILE}"
    try:
        await _finish(file, draft, keys)
        if await keys.first_exists():
            return
        await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
        kept, written = await new_first_key(hasher, tenant, user, groups, Deadline.after(_LIMIT_S))
        await asyncio.to_thread(write_secret, draft, f"{written}\n".encode())
        if await keys.create_first(kept):
            await asyncio.to_thread(draft.replace, file)
            _log.info("admin_key_made", file=str(file), key_id=kept.key.key_id)
        else:
            await asyncio.to_thread(draft.unlink, missing_ok=True)
    except OSError as exc:
        raise unusable("the file of the first key", exc, file) from exc


async def _finish(file: Path, draft: Path, keys: ApiKeyStore) -> None:
    """What a crash interrupted."""
    if not await asyncio.to_thread(draft.exists):
        return
    with suppress(Unauthenticated):
        key_id, _ = parsed_secret(API_KEY_PREFIX, (await asyncio.to_thread(draft.read_text)).strip())
        if await keys.find(key_id) is not None:
            await asyncio.to_thread(draft.replace, file)
