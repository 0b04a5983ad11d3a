"""Master keys in files: the key management service of an installation that has no other.

    folder/master.keys       a line for each master key, the newest last: its id, and 32 bytes in base64
    folder/tenants/HASH      a tenant's secret, 32 bytes; HASH.destroyed, empty, when it was destroyed

The folder must not lie in the backups of database and blobs: whoever has all three reads the documents, and a deleted
tenant's documents cannot be read from older backups because its secret is gone from here. It wants a backup of its own,
which is made anew after tenants were deleted.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server.adapters.durable_files import flush_folder, locked, make_private, write_private
from server.adapters.file_failures import unusable
from server.application.encryption_ports import DataKey, WrappedKey
from server.domain.errors import KeyUnusable

_KEY_BYTES = 32
_NONCE_BYTES = 12
_NO_KEYS = "the master keys cannot be read"
_PURPOSE = b"pinakes data key wrapping 1"
_HEAD = "# Master keys of Pinakes, the newest last. Keep a copy apart from the backups of the data.\n"

_T = TypeVar("_T")


class FileMasterKeys:
    """The port `MasterKeys`. Several processes may use a folder. The files are looked at for every key: data keys are
    unwrapped rarely."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    @property
    def file(self) -> Path:
        return self._folder / "master.keys"

    async def prepare(self, *, create: bool) -> None:
        """Makes the first master key if there is none and `create` says that none can be missing. Raises KeyUnusable,
        DependencyUnavailable."""
        await self._do(partial(self._prepare, create))

    async def current(self) -> str:
        return (await self._do(self._masters))[-1][0]

    async def wrap(self, tenant: str, key: DataKey) -> WrappedKey:
        return await self._do(partial(self._wrap, tenant, key))

    async def unwrap(self, wrapped: WrappedKey) -> DataKey:
        return await self._do(partial(self._unwrap, wrapped))

    async def renew(self) -> str:
        return await self._do(self._renew)

    async def forget(self, tenant: str) -> None:
        """The secret is written over before its file is removed; what a file system or a disk keeps besides is beyond
        this."""
        await self._do(partial(self._forget, tenant))

    async def forgotten(self, tenants: Sequence[str]) -> list[str]:
        return await self._do(lambda: [tenant for tenant in tenants if self._destroyed_file(tenant).exists()])

    def _prepare(self, create: bool) -> None:
        with locked(self._folder / "lock"):
            if not self.file.exists():
                if not create:
                    raise KeyUnusable(
                        "the master keys are missing",
                        f"{self.file} is not there, and stored documents are encrypted with keys that need it; put the "
                        "file back, or set encryption.key_folder to where it is",
                    )
                self._write([_new_master()])
            self._masters()

    def _renew(self) -> str:
        with locked(self._folder / "lock"):
            masters = [*self._masters(), _new_master()]
            self._write(masters)
            return masters[-1][0]

    def _wrap(self, tenant: str, key: DataKey) -> WrappedKey:
        master_id, master = self._masters()[-1]
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = _cipher(master, self._tenant_secret(tenant))
        wrapped = nonce + cipher.encrypt(nonce, key.key, _names(tenant, key.key_id, master_id))
        return WrappedKey(tenant, key.key_id, master_id, wrapped)

    def _unwrap(self, wrapped: WrappedKey) -> DataKey:
        masters = dict(self._masters())
        if wrapped.master_key_id not in masters:
            raise KeyUnusable(
                f"the master key {wrapped.master_key_id} is missing",
                f"data keys are wrapped with it; put it back in {self.file}",
            )
        try:
            secret = self._secret_file(wrapped.tenant).read_bytes()
        except FileNotFoundError as exc:
            raise KeyUnusable(
                f"there is no secret of the tenant {wrapped.tenant}: it was destroyed, or is missing",
                f"in {self._folder}",
            ) from exc
        nonce, sealed = wrapped.wrapped[:_NONCE_BYTES], wrapped.wrapped[_NONCE_BYTES:]
        names = _names(wrapped.tenant, wrapped.key_id, wrapped.master_key_id)
        try:
            key = _cipher(masters[wrapped.master_key_id], secret).decrypt(nonce, sealed, names)
        except InvalidTag as exc:
            raise KeyUnusable(
                f"the data key {wrapped.key_id} of the tenant {wrapped.tenant} does not open: it, or what it is "
                "wrapped with, was changed",
                f"the keys are those in {self._folder}",
            ) from exc
        return DataKey(wrapped.key_id, key)

    def _forget(self, tenant: str) -> None:
        file = self._secret_file(tenant)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._destroyed_file(tenant).touch(mode=0o600)
        flush_folder(file.parent)
        with suppress(FileNotFoundError):
            with file.open("r+b") as opened:
                opened.write(bytes(_KEY_BYTES))
                opened.flush()
                os.fsync(opened.fileno())
            file.unlink()
            flush_folder(file.parent)

    def _masters(self) -> list[tuple[str, bytes]]:
        """Raises KeyUnusable."""
        try:
            with self.file.open("r", encoding="ascii") as opened:
                if os.fstat(opened.fileno()).st_mode & 0o077:
                    raise KeyUnusable("others may read the master keys", f"chmod 600 {self.file}")
                text = opened.read()
        except FileNotFoundError as exc:
            raise KeyUnusable("the master keys are missing", f"{self.file} is not there") from exc
        except UnicodeDecodeError as exc:
            raise KeyUnusable(_NO_KEYS, f"{self.file} is no file of master keys") from exc
        masters = [_master_of(line.split(), self.file) for line in text.splitlines() if line and line[0] != "#"]
        if not masters:
            raise KeyUnusable(_NO_KEYS, f"{self.file} holds no master key")
        return masters

    def _tenant_secret(self, tenant: str) -> bytes:
        """Made if there is none; of several that make one at once, one does. Raises KeyUnusable."""
        file = self._secret_file(tenant)
        if self._destroyed_file(tenant).exists():
            raise KeyUnusable(f"the keys of the tenant {tenant} were destroyed when it was deleted")
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_private(file, secrets.token_bytes(_KEY_BYTES))
            flush_folder(self._folder)
        return file.read_bytes()

    def _secret_file(self, tenant: str) -> Path:
        return self._folder / "tenants" / hashlib.sha256(tenant.encode()).hexdigest()[:32]

    def _destroyed_file(self, tenant: str) -> Path:
        return self._secret_file(tenant).with_suffix(".destroyed")

    def _write(self, masters: list[tuple[str, bytes]]) -> None:
        draft = self.file.with_name(f"{self.file.name}.{secrets.token_hex(8)}")
        lines = (f"{master_id} {base64.b64encode(key).decode()}\n" for master_id, key in masters)
        write_private(draft, (_HEAD + "".join(lines)).encode())
        draft.replace(self.file)
        flush_folder(self._folder)

    async def _do(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.to_thread(work)
        except OSError as exc:
            raise unusable("the key folder", exc, self._folder) from exc


def _new_master() -> tuple[str, bytes]:
    key = secrets.token_bytes(_KEY_BYTES)
    return _id_of(key), key


def _id_of(key: bytes) -> str:
    """Tells of the key only which one it is."""
    return hashlib.sha256(b"pinakes master key id\0" + key).hexdigest()[:16]


def _master_of(fields: list[str], file: Path) -> tuple[str, bytes]:
    try:
        master_id, encoded = fields
        key = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as exc:
        raise KeyUnusable(_NO_KEYS, f"{file} has a line that is no master key") from exc
    if len(key) != _KEY_BYTES or _id_of(key) != master_id:
        raise KeyUnusable(f"the master key {master_id} was changed", f"in {file}")
    return master_id, key


def _cipher(master: bytes, secret: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), _KEY_BYTES, secret, _PURPOSE).derive(master))


def _names(*names: str) -> bytes:
    return "\0".join(names).encode()
