"""What has happened, as a record that cannot be changed unnoticed.

Each tenant has one chain of entries for each class. An entry's hash covers the entry and the hash before it (Haber and
Stornetta, "How to time-stamp a digital document", 1991; Schneier and Kelsey, "Secure audit logs to support computer
forensics", 1999, section 3), so that whoever changes, removes or inserts one has to make all later hashes anew; and the
last of them is in a *statement*, signed with a key that is not in the database, as are the places from which old
entries were removed (Crosby and Wallach, "Efficient data structures for tamper-evident logging", 2009, call it a
commitment). `server/AUDIT.md` is the format for those who verify without this code.

Entries name ids, never contents: no text of documents, no questions, no secrets.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

FORMAT = 1
GENESIS = bytes(32)
"""The hash before the first entry of a chain."""

_ENTRY_DOMAIN = b"pinakes.audit.entry.v1\0"
_STATEMENT_DOMAIN = b"pinakes.audit.statement.v1\0"
# Ids, method names, addresses: what people write has spaces, and what is longer is no id.
_PLAIN = re.compile(r"[A-Za-z0-9._:/@+%=;,\[\]-]*")
_LONGEST_ID = 200


class AuditClass(StrEnum):
    """Of one kind for one retention; each is a chain of its own, so that removing what is old leaves no gap."""

    AUDIT = "audit"
    """Changes, sign-ins, refusals, and what the audit log itself is asked: durable before a caller learns of it."""
    ACCESS = "access"
    """Calls that show documents, or what is in them."""
    APPLICATION = "application"
    """Calls that show neither, and what the server does by itself."""


class ActorKind(StrEnum):
    USER = "user"
    SERVICE = "service"
    ANONYMOUS = "anonymous"
    """Nobody who is known."""
    SYSTEM = "system"
    """The server itself."""


BEGUN = "BEGUN"
"""The result of an entry that was written before the call ran. Another one with its request id tells the outcome; where
there is none, the server ended in between, or the call did not run since its caller had gone or been refused by then:
the outcome is unknown."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """What happened. `action` is a method (`DocumentService/DeleteDocument`) or a name of ours (`audit.pruned`),
    `result` a gRPC status code's name or BEGUN. Texts are as `plain` leaves them, empty where there is nothing to tell;
    `detail` is `name=value`, more of them after semicolons. Times are microseconds since 1970-01-01T00:00:00Z. An entry
    may hold anything once somebody has changed it: so `actor_kind` is what an ActorKind is written as, and times are
    numbers."""

    tenant: str
    audit_class: AuditClass
    time_us: int
    actor_kind: str
    actor_id: str
    credential_id: str
    action: str
    object_kind: str
    object_id: str
    result: str
    peer: str
    request_id: str
    trace_id: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ChainId:
    tenant: str
    audit_class: AuditClass


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A record with its place: `sequence` counts from 1 in its chain."""

    sequence: int
    record: AuditRecord
    hash: bytes

    @property
    def chain(self) -> ChainId:
        return ChainId(self.record.tenant, self.record.audit_class)


class Purpose(StrEnum):
    """What a statement says of the entry that it names."""

    HEAD = "head"
    """It was the last one."""
    PRUNED = "pruned"
    """It and all before it were removed, since they were older than their class is kept."""
    EXPORTED = "exported"
    """It was the last one of an export, and all entries of the export were as they had been written."""
    ACCEPTED = "accepted"
    """The chain goes on behind it although it was found broken; an operator has accepted that."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Signed, it commits whoever has the key to the entry and to all before it."""

    purpose: Purpose
    chain: ChainId
    sequence: int
    hash: bytes
    time_us: int

    @property
    def members(self) -> dict[str, str | int]:
        return {
            "purpose": self.purpose.value,
            "tenant": self.chain.tenant,
            "class": self.chain.audit_class.value,
            "sequence": self.sequence,
            "hash": self.hash.hex(),
            "time_us": self.time_us,
        }

    def signed_bytes(self) -> bytes:
        """Of which the signature is."""
        return _STATEMENT_DOMAIN + canonical(self.members)


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """`key_id` names the key; `signature` is Ed25519's, over `signed_bytes`."""

    statement: Statement
    key_id: str
    signature: bytes

    @property
    def members(self) -> dict[str, str | int]:
        """As it is written down outside the database."""
        return self.statement.members | {"key_id": self.key_id, "signature": self.signature.hex()}


class BreakReason(StrEnum):
    """Why a chain does not hold at an entry."""

    CHANGED = "changed"
    """The entry, or the hash before it, is not what was written."""
    MISSING = "missing"
    """There is no entry of this sequence, though there are later ones, or the signed head is later."""
    INSERTED = "inserted"
    """The entry does not belong there: it follows the signed head, or stands where entries were removed."""
    HEAD_MISMATCH = "head_mismatch"
    """The last entry fits those before it, but not the signed head: the chain was written anew from somewhere on."""
    HEAD_MISSING = "head_missing"
    HEAD_FORGED = "head_forged"
    """The head's signature is not by a key that is trusted here."""
    CHECKPOINT_FORGED = "checkpoint_forged"
    """The same of the statement that says from where on old entries were removed, or the break was accepted."""
    ANCHOR_MISMATCH = "anchor_mismatch"
    """The entry is not the one that an anchor outside the database names: entries before it were written anew."""
    ROLLED_BACK = "rolled_back"
    """An anchor outside the database names a later entry: entries and head were set back to what they had been."""


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first place at which a chain does not hold."""

    sequence: int
    reason: BreakReason


def plain(text: str, longest: int = _LONGEST_ID) -> str:
    """Text as entries hold it: ids as they are; anything else, which might be contents, as `sha256:` and its hash."""
    if len(text) <= longest and _PLAIN.fullmatch(text):
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def canonical(members: Mapping[str, object]) -> bytes:
    """The one JSON text of the members: RFC 8785 (JCS), for keys in ASCII, texts without lone surrogates, and whole
    numbers below 2^53, which is all that the format has."""
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def members_of(record: AuditRecord, sequence: int) -> dict[str, str | int]:
    """All that is known of an entry but its hash, by the names of the format. A field of the record that were forgotten
    here would not be protected: they are taken from it."""
    members: dict[str, str | int] = {"format": FORMAT, "sequence": sequence}
    for name in _NAMES:
        value = getattr(record, name)
        members[name] = value if isinstance(value, int) else str(value)
    members["class"] = members.pop("audit_class")
    return members


_NAMES = tuple(each.name for each in fields(AuditRecord))


def link(previous: bytes, record: AuditRecord, sequence: int) -> bytes:
    """The hash of an entry behind one with the hash `previous`. Some 10 us."""
    return hashlib.sha256(_ENTRY_DOMAIN + previous + canonical(members_of(record, sequence))).digest()
