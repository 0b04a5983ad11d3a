"""What the audit log needs from the outside. Unless it says otherwise, every coroutine raises DependencyUnavailable and
Overloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from server.domain.audit import (
    AuditClass,
    AuditEntry,
    AuditRecord,
    ChainBreak,
    ChainId,
    SignedStatement,
    Statement,
)
from server.domain.errors import AuditBroken


@dataclass(frozen=True, slots=True)
class ChainPart:
    """Entries of a chain in their order, and what the database held beside them in the same moment: the signed head,
    and the statements of purpose PRUNED and ACCEPTED, the oldest first."""

    entries: tuple[AuditEntry, ...]
    head: SignedStatement | None
    checkpoints: tuple[SignedStatement, ...]


@dataclass(frozen=True, slots=True)
class WantedEntries:
    """Conditions that all hold; None and empty ones do not count. Times are microseconds since 1970."""

    audit_class: AuditClass | None = None
    not_before_us: int | None = None
    before_us: int | None = None
    actor_id: str = ""
    action: str = ""
    object_kind: str = ""
    object_id: str = ""
    result: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class EntryPage:
    entries: tuple[AuditEntry, ...]
    next_page_token: str


class AuditLog(Protocol):
    async def append(self, records: Sequence[AuditRecord]) -> Mapping[ChainId, AuditBroken]:
        """Gives the records their places, in their order within each chain, all or none, and durable when this returns.
        The same records may be given again after a failure; they are not stored twice. Chains in the result are broken,
        and their records are not stored. Cost: five round trips, whatever the number of records; the chains are locked
        meanwhile against other writers."""

    async def read(self, chain: ChainId, after: int, limit: int) -> ChainPart:
        """The first `limit` entries behind a sequence."""

    async def chains(self, tenant: str | None) -> list[ChainId]:
        """Of the tenant, or of all; those without entries that should have some are among them."""

    async def between(self, chain: ChainId, not_before_us: int | None, before_us: int | None) -> tuple[int, int | None]:
        """The sequences of the first entry that is not before the one time and of the last one before the other; 1 and
        None where a time is None. Without entries in between, the last one is that before the first."""

    async def page(self, tenant: str, wanted: WantedEntries, size: int, token: str) -> EntryPage:
        """Newest first. Raises InvalidPageToken."""


class AuditRetention(Protocol):
    async def last_before(self, chain: ChainId, time_us: int) -> int:
        """The sequence up to which all entries are older, 0 if the first one is not; never that of the last entry,
        which the chain goes on behind."""

    async def prune(self, upto: SignedStatement, before_us: int) -> int:
        """Removes the entries up to the one of the statement, and keeps the statement in their place; how many they
        were. One of several processes does, the others return 0."""

    async def accept(self, chain: ChainId, first: AuditRecord) -> tuple[ChainBreak, int] | None:
        """Lets a chain to which nothing can be added go on behind all sequences that were ever known of it, with
        `first` as its next entry: why nothing could be, and the sequence behind which it goes on. None, and nothing is
        done, where something can be added. What is broken stays so."""


class AuditSigner(Protocol):
    """The key that is not in the database, and the public halves of those that were used before it."""

    def sign(self, statement: Statement) -> SignedStatement: ...

    def trusts(self, signed: SignedStatement) -> bool:
        """Whether the signature is by one of the keys."""

    @property
    def public_keys(self) -> Mapping[str, bytes]:
        """By their ids; 32 bytes each (RFC 8032)."""


class AuditAnchors(Protocol):
    """Signed heads that are kept outside the database: who sets it back to what it was cannot set them back."""

    def note(self, head: SignedStatement) -> None:
        """A head that is durable in the database. Never waits."""

    def of(self, chain: ChainId) -> Sequence[Statement]:
        """Those that are known, the oldest first."""

    async def keep(self) -> int:
        """Writes down the newest of those that were noted since the last time; how many. Raises OSError."""
