"""Files that are encrypted in chunks, so that they are written and read with bounded memory, from any chunk on.

The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance, CRYPTO 2015, section 7) over AES-256-GCM: the nonce of a chunk is a prefix of the file's, the chunk's
number, and whether it is the last one. Chunks can therefore not be left out, repeated, put in another order, or cut
off. Each file has a key of its own, derived by HKDF-SHA256 (RFC 5869) from the data key and the whole header, which
names what the file is: a file that is put in another's place, or whose header is changed, does not open. That is how
Tink's AES-GCM-HKDF streaming does it, too; a random salt keeps the keys of any number of files apart.

    magic "PNKSEAL1"  chunk size u32  data key's id 16  salt 32  nonce prefix 7  tenant, name, kind: each u16 and UTF-8
    chunk 0, tag 16   chunk 1, tag 16   …   last chunk (it may be shorter, or empty), tag 16

Numbers are big-endian; the chunk size is that of the plain text.
"""

from __future__ import annotations

import os
import secrets
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server.application.encryption_ports import DataKey

MAGIC = b"PNKSEAL1"
CHUNK_BYTES = 64 * 1024
LONGEST_NAME = 1024
"""Bytes in UTF-8, of each of the three names."""
_TAG_BYTES = 16
_SALT_BYTES = 32
_PREFIX_BYTES = 7
_MOST_CHUNKS = 2**32
_LARGEST_CHUNK = 2**24
_FIXED = struct.Struct(f">{len(MAGIC)}sI16s{_SALT_BYTES}s{_PREFIX_BYTES}s")
_LENGTH = struct.Struct(">H")
_PURPOSE = b"pinakes sealed file 1\0"


class NotAuthentic(Exception):
    """The file is not, whole and in order, what was written under this name with this key."""


@dataclass(frozen=True, slots=True)
class SealedName:
    """What a file is: `kind` is empty for a document's bytes, else what was made from them."""

    tenant: str
    name: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class SealedHeader:
    key_id: str
    name: SealedName
    salt: bytes
    prefix: bytes
    chunk_bytes: int

    @classmethod
    def fresh(cls, key_id: str, name: SealedName, chunk_bytes: int) -> Self:
        return cls(key_id, name, secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_PREFIX_BYTES), chunk_bytes)

    @classmethod
    def read(cls, file: BinaryIO) -> Self | None:
        """Leaves the file behind the header. None for a file that is not sealed. Raises NotAuthentic."""
        fixed = file.read(_FIXED.size)
        if fixed[: len(MAGIC)] != MAGIC:
            return None
        if len(fixed) < _FIXED.size:
            raise NotAuthentic
        _, chunk_bytes, key_id, salt, prefix = _FIXED.unpack(fixed)
        if not 0 < chunk_bytes <= _LARGEST_CHUNK:
            raise NotAuthentic
        name = SealedName(_text(file), _text(file), _text(file))
        return cls(str(uuid.UUID(bytes=key_id)), name, salt, prefix, chunk_bytes)

    def encoded(self) -> bytes:
        names = b"".join(
            _LENGTH.pack(len(encoded)) + encoded
            for encoded in (text.encode() for text in (self.name.tenant, self.name.name, self.name.kind))
        )
        key_id = uuid.UUID(self.key_id).bytes
        return _FIXED.pack(MAGIC, self.chunk_bytes, key_id, self.salt, self.prefix) + names

    def cipher(self, key: DataKey) -> AESGCM:
        """Of the file's own key, which depends on every byte of the header."""
        return AESGCM(HKDF(SHA256(), 32, self.salt, _PURPOSE + self.encoded()).derive(key.key))

    def nonce(self, number: int, *, last: bool) -> bytes:
        return self.prefix + number.to_bytes(4, "big") + bytes((last,))


class Sealer:
    """Encrypts one file, piece by piece: `header`, then what `update` returns, then what `finish` returns."""

    def __init__(self, key: DataKey, name: SealedName, chunk_bytes: int = CHUNK_BYTES) -> None:
        """Raises ValueError for a name of over LONGEST_NAME bytes."""
        if any(len(text.encode()) > LONGEST_NAME for text in (name.tenant, name.name, name.kind)):
            raise ValueError("the name is too long")
        header = SealedHeader.fresh(key.key_id, name, chunk_bytes)
        self.header = header.encoded()
        self._form = header
        self._cipher = header.cipher(key)
        self._held = bytearray()
        self._number = 0

    def update(self, part: bytes) -> bytes:
        """Whole chunks, as far as it is known that they are not the last one."""
        size = self._form.chunk_bytes
        self._held += part
        sealed = []
        at = 0
        with memoryview(self._held) as held:
            while len(held) - at > size:
                sealed.append(self._sealed(held[at : at + size], last=False))
                at += size
        del self._held[:at]
        return b"".join(sealed)

    def finish(self) -> bytes:
        return self._sealed(self._held, last=True)

    def _sealed(self, chunk: bytearray | memoryview, *, last: bool) -> bytes:
        if self._number >= _MOST_CHUNKS:
            raise ValueError("the file is too large to be sealed")
        sealed = self._cipher.encrypt(self._form.nonce(self._number, last=last), chunk, None)
        self._number += 1
        return sealed


class SealedFile:
    """Reads a file that was sealed, in any order. `file` is at the end of its header, and may be used by one thread."""

    def __init__(self, file: BinaryIO, header: SealedHeader, key: DataKey) -> None:
        """Raises NotAuthentic for a file too short to hold a chunk."""
        self._file = file
        self._header = header
        self._cipher = header.cipher(key)
        self._first = file.tell()
        self._stride = header.chunk_bytes + _TAG_BYTES
        body = os.fstat(file.fileno()).st_size - self._first
        self._chunks = max(1, -(-body // self._stride))
        if body - (self._chunks - 1) * self._stride < _TAG_BYTES:
            raise NotAuthentic
        self.size = body - self._chunks * _TAG_BYTES
        """Of the plain text, as the file's length has it: what `chunks` yields proves it."""

    def chunks(self) -> Iterator[bytes]:
        """The whole plain text. Raises NotAuthentic; what came before is then genuine, but not all there was."""
        for number in range(self._chunks):
            yield self._chunk(number)

    def range(self, offset: int, length: int) -> Iterator[bytes]:
        """A part of the plain text, as far as there is any; reads the chunks that it lies in. That these are genuine
        does not say that the file is whole behind them. Raises NotAuthentic."""
        end = min(offset + length, self.size)
        size = self._header.chunk_bytes
        for number in range(offset // size, -(-end // size)):
            begin = number * size
            yield self._chunk(number)[max(0, offset - begin) : end - begin]

    def _chunk(self, number: int) -> bytes:
        self._file.seek(self._first + number * self._stride)
        sealed = self._file.read(self._stride)
        try:
            return self._cipher.decrypt(self._header.nonce(number, last=number == self._chunks - 1), sealed, None)
        except InvalidTag as exc:
            raise NotAuthentic from exc


def seal(key: DataKey, name: SealedName, data: bytes) -> bytes:
    """All of a small file."""
    sealer = Sealer(key, name)
    return sealer.header + sealer.update(data) + sealer.finish()


def _text(file: BinaryIO) -> str:
    length = file.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        raise NotAuthentic
    encoded = file.read(_LENGTH.unpack(length)[0])
    if len(encoded) < _LENGTH.unpack(length)[0]:
        raise NotAuthentic
    try:
        return encoded.decode()
    except UnicodeDecodeError as exc:
        raise NotAuthentic from exc
