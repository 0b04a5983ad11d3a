"""Shows a tenant's audit log, or whether it holds, to those who may read it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from server.application.audit_ports import AuditLog, EntryPage, WantedEntries
from server.application.verify_audit import ChainProgress, ChainReport, VerifyAudit
from server.domain.audit import AuditClass, ChainId
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField
from server.domain.principals import Principal

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500


class QueryAudit:
    def __init__(self, log: AuditLog, verify: VerifyAudit) -> None:
        self._log = log
        self._verify = verify

    async def page(self, principal: Principal, wanted: WantedEntries, size: int, token: str) -> EntryPage:
        """Newest first. 0 asks for the default size, a size over the limit for the limit. Raises InvalidField,
        InvalidPageToken."""
        if size < 0:
            raise InvalidField("page_size", "must not be negative")
        return await self._log.page(principal.tenant, wanted, min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE), token)

    async def verify(
        self, principal: Principal, audit_class: AuditClass | None, first_sequence: int, deadline: Deadline
    ) -> AsyncGenerator[ChainProgress | ChainReport, None]:
        """Of each class, or of the one. Raises InvalidField, StageDeadline."""
        if first_sequence < 0:
            raise InvalidField("first_sequence", "must not be negative")
        if first_sequence > 0 and audit_class is None:
            raise InvalidField("first_sequence", "needs an audit_class: each has sequences of its own")
        for each in AuditClass if audit_class is None else (audit_class,):
            chain = ChainId(principal.tenant, each)
            async with aclosing(self._verify.run(chain, first_sequence, deadline)) as events:
                async for event in events:
                    yield event

    async def export(
        self,
        principal: Principal,
        audit_class: AuditClass | None,
        not_before_us: int | None,
        before_us: int | None,
        deadline: Deadline,
    ) -> AsyncGenerator[Sequence[str], None]:
        """Raises InvalidField, StageDeadline."""
        if audit_class is None:
            raise InvalidField("audit_class", "must be set: each class is a chain of its own")
        chain = ChainId(principal.tenant, audit_class)
        async with aclosing(self._verify.export(chain, not_before_us, before_us, deadline)) as parts:
            async for lines in parts:
                yield lines
