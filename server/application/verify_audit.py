"""Finds out whether the audit log is what was written, and writes it out for those who want to find out themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from server.application.audit_ports import AuditAnchors, AuditLog, AuditSigner, ChainPart
from server.application.record_audit import now_us
from server.domain.audit import (
    FORMAT,
    GENESIS,
    AuditEntry,
    BreakReason,
    ChainBreak,
    ChainId,
    Purpose,
    SignedStatement,
    Statement,
    canonical,
    link,
    members_of,
)
from server.domain.deadline import Deadline
from server.domain.errors import StageDeadline

_PART = 1_000


@dataclass(frozen=True, slots=True)
class ChainProgress:
    chain: ChainId
    sequence: int
    last_sequence: int


@dataclass(frozen=True, slots=True)
class ChainReport:
    """`first_sequence` and `last_sequence` are those of the entries that were looked at, 0 without any; up to
    `pruned_sequence` entries were removed as too old; `anchored_sequence` is the last that the anchors name. `broken`
    is the first place at which the chain does not hold, if there is one."""

    chain: ChainId
    first_sequence: int
    last_sequence: int
    pruned_sequence: int
    anchored_sequence: int
    broken: ChainBreak | None


class VerifyAudit:
    def __init__(self, log: AuditLog, signer: AuditSigner, anchors: AuditAnchors) -> None:
        self._log = log
        self._signer = signer
        self._anchors = anchors

    async def run(
        self, chain: ChainId, first_sequence: int, deadline: Deadline
    ) -> AsyncGenerator[ChainProgress | ChainReport, None]:
        """Progress for each `_PART` entries, then the report. Entries before `first_sequence` are taken for good.
        Memory for one part; 15 us an entry. Raises StageDeadline."""
        walk = _Walk(self._signer, self._anchors.of(chain), chain, max(first_sequence, 1))
        while not walk.ended and walk.broken is None:
            head = await self._step(walk, deadline, "verify")
            if head is not None and not walk.ended:
                yield ChainProgress(chain, walk.position, head.statement.sequence)
        yield walk.report()

    async def export(
        self, chain: ChainId, not_before_us: int | None, before_us: int | None, deadline: Deadline
    ) -> AsyncGenerator[Sequence[str], None]:
        """Lines of the format, by parts, of what lies between the times. What follows it is looked at, too, since only
        the signed head says that it is what was written. Raises StageDeadline."""
        first, last = await self._log.between(chain, not_before_us, before_us)
        walk = _Walk(self._signer, self._anchors.of(chain), chain, first)
        exported: tuple[int, bytes] | None = None
        while not walk.ended and not (walk.broken is not None and last is not None and walk.position >= last):
            await self._step(walk, deadline, "export")
            if exported is None:
                exported = walk.base
                yield [_line(self._header(walk))]
            entries = [entry for entry in walk.seen if last is None or entry.sequence <= last]
            if entries:
                exported = entries[-1].sequence, entries[-1].hash
                yield [_line(_exported(entry)) for entry in entries]
        yield [_line(self._trailer(walk, exported or walk.base))]

    async def upto(self, chain: ChainId, last: int, deadline: Deadline) -> AuditEntry | ChainBreak | None:
        """The entry of that sequence, if the chain holds up to it; None if it was removed meanwhile. Raises
        StageDeadline."""
        walk = _Walk(self._signer, self._anchors.of(chain), chain, 1)
        while walk.broken is None and walk.position < last:
            await self._step(walk, deadline, "verify", last)
            if not walk.seen:
                break
        if walk.broken is not None:
            return walk.broken
        # What lies behind it may have been read, too: reading begins behind what was removed.
        return next((entry for entry in walk.seen if entry.sequence == last), None)

    async def _step(
        self, walk: _Walk, deadline: Deadline, stage: str, last: int | None = None
    ) -> SignedStatement | None:
        """One part further; the chain's head."""
        if deadline.remaining() <= 0:
            raise StageDeadline(stage)
        wanted = _PART if last is None else min(_PART, last - walk.position)
        part = await self._log.read(walk.chain, walk.position, wanted)
        # Off the event loop, which has calls to answer.
        await asyncio.to_thread(walk.take, part, at_the_end=last is None and len(part.entries) < wanted)
        return part.head

    def _header(self, walk: _Walk) -> Mapping[str, object]:
        sequence, hash_ = walk.base
        return {
            "kind": "pinakes.audit.export",
            "format": FORMAT,
            "tenant": walk.chain.tenant,
            "class": walk.chain.audit_class.value,
            "previous_sequence": sequence,
            "previous_hash": hash_.hex(),
            "public_keys": {key_id: key.hex() for key_id, key in self._signer.public_keys.items()},
        }

    def _trailer(self, walk: _Walk, exported: tuple[int, bytes]) -> Mapping[str, object]:
        """Signed, if the chain holds."""
        end: dict[str, object] = {"kind": "pinakes.audit.end"}
        if walk.broken is not None:
            return end | {"broken": {"sequence": walk.broken.sequence, "reason": walk.broken.reason.value}}
        statement = Statement(Purpose.EXPORTED, walk.chain, *exported, now_us())
        return end | {"statement": self._signer.sign(statement).members}


class _Walk:
    """Along a chain, part by part; the parts' entries, head and checkpoints were each read in one moment.

    `base` is the place before the first entry that is looked at, and its hash: that is taken from the statement of what
    was removed, or accepted, or from the entry itself where the walk begins later. It need not be looked at: the
    entries behind it commit to it, and the signed head to them.
    """

    def __init__(self, signer: AuditSigner, anchors: Sequence[Statement], chain: ChainId, first: int) -> None:
        self.chain = chain
        # The entry before the first one says what hash it had.
        self.position = max(first - 2, 0)
        self.hash = GENESIS
        self.base = (0, GENESIS)
        self.broken: ChainBreak | None = None
        self.ended = False
        self.seen: list[AuditEntry] = []
        self._signer = signer
        self._anchors = {anchor.sequence: anchor.hash for anchor in anchors}
        self._first = first
        self._begun = first == 1
        self._looked_at = 0
        self._pruned = 0

    def take(self, part: ChainPart, *, at_the_end: bool) -> None:
        """Looks at the entries behind `position`: they are `seen` then. With the last of them the walk has `ended`."""
        self.seen = []
        self._heed(part.checkpoints)
        for entry in part.entries:
            self._enter(entry)
        if at_the_end:
            self.ended = True
            self._at_the_end(part.head)

    def report(self) -> ChainReport:
        first = self.base[0] + 1 if self._looked_at else 0
        last = self.position if self._looked_at else 0
        return ChainReport(self.chain, first, last, self._pruned, max(self._anchors, default=0), self.broken)

    def _heed(self, checkpoints: Sequence[SignedStatement]) -> None:
        """What was removed, also since the last part, and what was accepted, is no break."""
        for signed in checkpoints:
            if not self._signer.trusts(signed):
                self._break(signed.statement.sequence, BreakReason.CHECKPOINT_FORGED)
                return
        statements = [signed.statement for signed in checkpoints]
        for accepted in statements:
            if not self._begun and accepted.purpose is Purpose.ACCEPTED and accepted.sequence == self._first - 1:
                self._go_on(accepted.sequence, accepted.hash)
        pruned = [statement for statement in statements if statement.purpose is Purpose.PRUNED]
        if not pruned:
            return
        upto = pruned[-1]
        self._pruned = upto.sequence
        if upto.sequence > self.position if self._begun else upto.sequence >= self._first - 1:
            self._go_on(upto.sequence, upto.hash)
        elif upto.sequence == self.position and upto.hash != self.hash and self._begun:
            self._break(upto.sequence, BreakReason.CHANGED)

    def _go_on(self, sequence: int, hash_: bytes) -> None:
        self.position, self.hash = sequence, hash_
        if not self._looked_at:
            self.base = (sequence, hash_)
        self._begun = True

    def _enter(self, entry: AuditEntry) -> None:
        if not self._begun:
            if entry.sequence != self._first - 1:
                self._break(self._first - 1, BreakReason.MISSING)
                self._begun = True
            else:
                self._go_on(entry.sequence, entry.hash)
                return
        if entry.sequence == self._first - 1:
            # Taken for good, with the statement that accepts it.
            return
        if entry.sequence <= self.position:
            self._break(entry.sequence, BreakReason.INSERTED)
            return
        if entry.sequence > self.position + 1:
            self._break(self.position + 1, BreakReason.MISSING)
        elif link(self.hash, entry.record, entry.sequence) != entry.hash:
            self._break(entry.sequence, BreakReason.CHANGED)
        elif self._anchors.get(entry.sequence, entry.hash) != entry.hash:
            self._break(entry.sequence, BreakReason.ANCHOR_MISMATCH)
        self.position, self.hash = entry.sequence, entry.hash
        self._looked_at += 1
        self.seen.append(entry)

    def _at_the_end(self, head: SignedStatement | None) -> None:
        anchored = max(self._anchors, default=0)
        # One without a sequence was made for a first entry that did not come.
        if head is None or head.statement.sequence == 0:
            if self.position > 0:
                self._break(self.position, BreakReason.HEAD_MISSING)
            elif anchored:
                self._break(1, BreakReason.ROLLED_BACK)
            return
        statement = head.statement
        if not self._signer.trusts(head):
            self._break(statement.sequence, BreakReason.HEAD_FORGED)
        elif not self._begun:
            # The walk was to begin behind the end, or behind an entry that is not there.
            if statement.sequence >= self._first - 1:
                self._break(self._first - 1, BreakReason.MISSING)
        elif self.position < statement.sequence:
            self._break(self.position + 1, BreakReason.MISSING)
        elif self.position > statement.sequence:
            self._break(statement.sequence + 1, BreakReason.INSERTED)
        elif self.hash != statement.hash:
            self._break(self.position, BreakReason.HEAD_MISMATCH)
        elif anchored > statement.sequence:
            self._break(statement.sequence + 1, BreakReason.ROLLED_BACK)

    def _break(self, sequence: int, reason: BreakReason) -> None:
        """Only the first one counts."""
        if self.broken is None:
            self.broken = ChainBreak(sequence, reason)


def _exported(entry: AuditEntry) -> Mapping[str, object]:
    return {"entry": members_of(entry.record, entry.sequence), "hash": entry.hash.hex()}


def _line(members: Mapping[str, object]) -> str:
    return canonical(members).decode()
