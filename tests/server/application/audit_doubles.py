"""The audit log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from server.application.audit_ports import ChainPart, EntryPage, WantedEntries
from server.application.record_audit import RecordAudit, RecordOptions
from server.domain.audit import AuditRecord, ChainId, SignedStatement, Statement
from server.domain.errors import AuditBroken, PinakesError
from server.transport.auditing import CallAudit


class MemoryAuditLog:
    """Keeps batches as they come. Waits for the gate; fails with `failure`, or with `broken` for its chains."""

    def __init__(self) -> None:
        self.batches: list[list[AuditRecord]] = []
        self.asked = 0
        self.failure: PinakesError | None = None
        self.broken: dict[ChainId, AuditBroken] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def records(self) -> list[AuditRecord]:
        return [record for batch in self.batches for record in batch]

    async def append(self, records: Sequence[AuditRecord]) -> Mapping[ChainId, AuditBroken]:
        self.asked += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.batches.append([each for each in records if ChainId(each.tenant, each.audit_class) not in self.broken])
        return self.broken

    async def read(self, chain: ChainId, after: int, limit: int) -> ChainPart:
        raise NotImplementedError

    async def chains(self, tenant: str | None) -> list[ChainId]:
        raise NotImplementedError

    async def between(self, chain: ChainId, not_before_us: int | None, before_us: int | None) -> tuple[int, int | None]:
        raise NotImplementedError

    async def page(self, tenant: str, wanted: WantedEntries, size: int, token: str) -> EntryPage:
        raise NotImplementedError


class NoAnchors:
    def note(self, head: SignedStatement) -> None: ...

    def of(self, chain: ChainId) -> Sequence[Statement]:
        return ()

    async def keep(self) -> int:
        return 0


class UnrecordedCalls(CallAudit):
    """For tests of something else: what waits to be recorded is stored by whoever waits for it."""

    def __init__(self, log: MemoryAuditLog | None = None, **options: float) -> None:
        self.log = log or MemoryAuditLog()
        self.recorder = _Prompt(self.log, NoAnchors(), RecordOptions(**options))  # type: ignore[arg-type]
        super().__init__(self.recorder, "operator")


class _Prompt(RecordAudit):
    async def stored(self, record: AuditRecord, *, lasting: bool) -> None:
        self.take(record)
        await self.flush()
