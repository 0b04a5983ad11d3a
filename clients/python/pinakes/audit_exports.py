"""Verifies an exported audit log, without the server and without its code.

The format is described in the server's `server/AUDIT.md`: the entries' hashes are SHA-256 over the hash before and the
entry as canonical JSON (RFC 8785), and the last of them is in a statement that is signed with Ed25519 (RFC 8032).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

_ENTRY_DOMAIN = b"pinakes.audit.entry.v1\0"
_STATEMENT_DOMAIN = b"pinakes.audit.statement.v1\0"
_HEADER, _END = "pinakes.audit.export", "pinakes.audit.end"
_FORMAT = 1
_STATEMENT = ("purpose", "tenant", "class", "sequence", "hash", "time_us")


class Signature(Enum):
    """What is known of who wrote the export."""

    BY_TRUSTED_KEY = "by a trusted key"
    BY_KEY_OF_FILE = "by a key that only the file names"
    """Whoever changed the file may have put it there: compare the key with the server's."""


class BrokenExport(ValueError):
    """The export is not what the server wrote. `line` is the first one that says so, from 1 on."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


@dataclass(frozen=True, slots=True)
class VerifiedExport:
    """`first_sequence` and `last_sequence` are 0 for an export without entries. `public_key` is in hexadecimal."""

    tenant: str
    audit_class: str
    first_sequence: int
    last_sequence: int
    hash: str
    signature: Signature
    public_key: str


def verify_export(lines: Iterable[str], trusted_keys: Iterable[str] = ()) -> VerifiedExport:
    """Reads the lines once, in constant memory. `trusted_keys` are public keys in hexadecimal, as the server's operator
    tells them; without any, the keys of the file are believed. Raises BrokenExport; ModuleNotFoundError where the
    package `cryptography`, which the extra `audit` brings, is not installed."""
    read = 0

    def counted() -> Iterator[str]:
        nonlocal read
        for line in lines:
            read += 1
            yield line

    try:
        return _verified(enumerate(counted(), 1), set(trusted_keys))
    except BrokenExport:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BrokenExport(read, "something is missing, or is not what it should be") from error


def _verified(lines: Iterator[tuple[int, str]], trusted: set[str]) -> VerifiedExport:
    header: dict[str, Any] = {}
    end: dict[str, Any] = {}
    number, first, sequence, hash_ = 0, 0, 0, b""
    for number, line in lines:
        members = _parsed(number, line.rstrip("\r\n"))
        if number == 1:
            header = members
            if header.get("kind") != _HEADER or header.get("format") != _FORMAT:
                raise BrokenExport(number, "this is no export of an audit log in a format that is known here")
            sequence, hash_ = int(header["previous_sequence"]), _bytes(header["previous_hash"])
        elif end:
            raise BrokenExport(number, "something follows the end")
        elif members.get("kind") == _END:
            end = members
        else:
            hash_ = _linked(number, members, header, sequence, hash_)
            sequence += 1
            first = first or sequence
    if not end:
        raise BrokenExport(number, "the end is missing")
    if "broken" in end:
        told = end["broken"]
        raise BrokenExport(number, f"the server found entry {told['sequence']} broken: {told['reason']}")
    key = _signed(number, header, end["statement"], sequence, hash_)
    if trusted and key not in trusted:
        raise BrokenExport(number, "it is signed by another key than those that are trusted")
    return VerifiedExport(
        tenant=header["tenant"],
        audit_class=header["class"],
        first_sequence=first,
        last_sequence=sequence if first else 0,
        hash=hash_.hex(),
        signature=Signature.BY_TRUSTED_KEY if trusted else Signature.BY_KEY_OF_FILE,
        public_key=key,
    )


def _linked(number: int, members: Mapping[str, Any], header: Mapping[str, Any], sequence: int, before: bytes) -> bytes:
    """The entry's hash, if it follows."""
    entry = members.get("entry")
    if not isinstance(entry, dict) or set(members) != {"entry", "hash"}:
        raise BrokenExport(number, "this is no entry")
    if (entry.get("tenant"), entry.get("class")) != (header["tenant"], header["class"]):
        raise BrokenExport(number, "the entry is of another chain")
    if entry.get("sequence") != sequence + 1:
        raise BrokenExport(number, f"entry {sequence + 1} is missing")
    made = hashlib.sha256(_ENTRY_DOMAIN + before + _canonical(entry)).digest()
    if made.hex() != members["hash"]:
        raise BrokenExport(number, f"entry {sequence + 1} was changed, or one before it")
    return made


def _signed(number: int, header: Mapping[str, Any], statement: Mapping[str, Any], sequence: int, hash_: bytes) -> str:
    """The public key that has signed that this is the end."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    told = (statement.get("purpose"), statement.get("tenant"), statement.get("class"))
    if told != ("exported", header["tenant"], header["class"]):
        raise BrokenExport(number, "the signed statement is of another chain, or says something else")
    if (statement.get("sequence"), statement.get("hash")) != (sequence, hash_.hex()):
        raise BrokenExport(number, "the signed statement names another entry as the last one")
    key = header["public_keys"].get(statement.get("key_id"))
    if not isinstance(key, str):
        raise BrokenExport(number, "the signature is by a key that is not there")
    signed = _STATEMENT_DOMAIN + _canonical({name: statement[name] for name in _STATEMENT})
    try:
        Ed25519PublicKey.from_public_bytes(_bytes(key)).verify(_bytes(statement["signature"]), signed)
    except (InvalidSignature, ValueError) as error:
        raise BrokenExport(number, "the signature is wrong") from error
    return key


def _bytes(text: str) -> bytes:
    """Raises ValueError for what is not the one way to write them."""
    raw = bytes.fromhex(text)
    if raw.hex() != text:
        raise ValueError(text)
    return raw


def _parsed(number: int, line: str) -> dict[str, Any]:
    """Raises BrokenExport for a line that is not the one way to write what it says."""
    try:
        members = json.loads(line)
    except ValueError as error:
        raise BrokenExport(number, "this is no JSON") from error
    if not isinstance(members, dict) or _canonical(members) != line.encode("utf-8", "surrogatepass"):
        raise BrokenExport(number, "this is no canonical JSON object")
    return members


def _canonical(members: Mapping[str, Any]) -> bytes:
    text = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")
