"""The private key that this server signs access tokens with, in a file that nobody else can read.

Each server has its own; the public halves of all are in the database (`postgres/verification_keys.py`), so that what
one signs the others verify."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from server.adapters.durable_files import flush_folder
from server.adapters.file_failures import unusable
from server.domain.errors import DependencyUnavailable

_FILE = "token-signing-key.pem"
_NAME = "the signing key"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """`kid` names it in tokens: the beginning of the public key's SHA-256. `made` is its file's time (seconds since
    1970)."""

    kid: str
    private: Ed25519PrivateKey
    public: bytes
    made: float


def signing_key(directory: Path, renew_after_s: float) -> SigningKey:
    """The key in the directory; a new one if there is none, or it is older than `renew_after_s`. Blocks.

    Raises DependencyUnavailable for a file that others may read, that is no Ed25519 key, or that cannot be written.
    """
    file = directory / _FILE
    try:
        if file.exists():
            key = _read(file)
            if time.time() - key.made < renew_after_s:
                return key
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(file, _pem(Ed25519PrivateKey.generate()))
        return _read(file)
    except OSError as exc:
        raise unusable(_NAME, exc, file) from exc


def write_secret(file: Path, content: bytes) -> None:
    """Appears whole and durable, in the place of what was there, for this user alone. Blocks. Raises OSError."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        os.fchmod(out.fileno(), 0o600)
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    flush_folder(file.parent)


def _read(file: Path) -> SigningKey:
    with file.open("rb") as opened:
        state = os.fstat(opened.fileno())
        if state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise DependencyUnavailable(_NAME, "others may read it", detail=f"chmod 600 {file}, or delete it")
        content = opened.read(16_384)
    try:
        private = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise DependencyUnavailable(_NAME, "it is no Ed25519 key", detail=f"delete {file} to have one made")
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return SigningKey(hashlib.sha256(public).hexdigest()[:16], private, public, state.st_mtime)


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
