"""The key that signs the heads of the audit log, in a file that only its owner can read."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from server.adapters.durable_files import make_private
from server.domain.audit import SignedStatement, Statement

_log = structlog.get_logger()


class UnusableAuditKey(OSError):
    """What is wrong with the file."""


class FileAuditSigner:
    """Ed25519 (RFC 8032). Signing takes some 40 us, verifying 100.

    The folder of the key also holds the public half of each key that was ever used, as `KEY_ID.pub`: a new key, put in
    the old one's place, leaves what the old one signed valid.
    """

    def __init__(self, private: Ed25519PrivateKey, public: Mapping[str, Ed25519PublicKey]) -> None:
        self._private = private
        self._key_id = key_id_of(_raw(private.public_key()))
        self._public = {**public, self._key_id: private.public_key()}

    @classmethod
    def open(cls, file: Path) -> FileAuditSigner:
        """With a new key if there is no such file. Blocks. Raises UnusableAuditKey for a file that is no such key, or
        that others can read."""
        if not file.exists():
            _make(file)
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise UnusableAuditKey(f"{file} can be read by others; chmod 600 it, and consider the key known")
        private = _private_key(file)
        own = private.public_key()
        public = file.with_name(f"{key_id_of(_raw(own))}.pub")
        if not public.exists():
            public.write_bytes(own.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return cls(private, {path.stem: _public_key(path) for path in file.parent.glob("*.pub")})

    def sign(self, statement: Statement) -> SignedStatement:
        return SignedStatement(statement, self._key_id, self._private.sign(statement.signed_bytes()))

    def trusts(self, signed: SignedStatement) -> bool:
        key = self._public.get(signed.key_id)
        if key is None:
            return False
        try:
            key.verify(signed.signature, signed.statement.signed_bytes())
        except InvalidSignature:
            return False
        return True

    @property
    def public_keys(self) -> Mapping[str, bytes]:
        return {key_id: _raw(key) for key_id, key in self._public.items()}


def key_id_of(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:16]


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if make_private(file, key):
        _log.info("audit_key_made", file=str(file))


def _private_key(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as exc:
        raise UnusableAuditKey(f"{file} holds no private key in PEM") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableAuditKey(f"{file} holds no Ed25519 key")
    return key


def _public_key(file: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError) as exc:
        raise UnusableAuditKey(f"{file} holds no public key in PEM") from exc
    if not isinstance(key, Ed25519PublicKey) or key_id_of(_raw(key)) != file.stem:
        raise UnusableAuditKey(f"{file} holds no Ed25519 key of this name")
    return key


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
