"""Removes entries of the audit log that are older than their class is kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from server.application.audit_ports import AuditLog, AuditRetention, AuditSigner
from server.application.background import repeat, trace_of
from server.application.record_audit import RecordAudit, now_us, system_record
from server.application.verify_audit import VerifyAudit
from server.domain.audit import AuditClass, ChainBreak, ChainId, Purpose, Statement
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, Overloaded, PinakesError

_log = structlog.get_logger()

_DAY_US = 86_400_000_000
_LIMIT_S = 3_600.0


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """How long the entries of each class are kept."""

    audit_days: float = 2_557.0
    access_days: float = 365.0
    application_days: float = 90.0
    every_s: float = 3_600.0

    def days(self, audit_class: AuditClass) -> float:
        match audit_class:
            case AuditClass.AUDIT:
                return self.audit_days
            case AuditClass.ACCESS:
                return self.access_days
            case AuditClass.APPLICATION:
                return self.application_days


class PruneAudit:
    """Removes only what holds: a part of a chain that was tampered with stays, as evidence, with all behind it. That
    entries were removed is recorded."""

    def __init__(
        self,
        log: AuditLog,
        retention: AuditRetention,
        verify: VerifyAudit,
        signer: AuditSigner,
        recorder: RecordAudit,
        options: RetentionOptions,
    ) -> None:
        self._log = log
        self._retention = retention
        self._verify = verify
        self._signer = signer
        self._recorder = recorder
        self._options = options

    async def run(self) -> None:
        """Until cancelled."""
        await repeat("prune_audit", self._step)

    async def _step(self) -> None:
        await self.prune(now_us())
        await asyncio.sleep(self._options.every_s)

    async def prune(self, time_us: int) -> int:
        """Removes what is too old at that time; how many entries. A chain that cannot be pruned, for one because it
        takes more than an hour to verify, is logged, and keeps no other one waiting. Raises DependencyUnavailable,
        Overloaded: then none can."""
        removed = 0
        for chain in await self._log.chains(None):
            try:
                removed += await self._prune(chain, time_us)
            except (DependencyUnavailable, Overloaded):
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one tenant's chain, the others' are pruned
                problem = str(error) if isinstance(error, PinakesError) else type(error).__name__
                _log.error(
                    "audit_chain_not_pruned",
                    tenant=chain.tenant,
                    audit_class=chain.audit_class.value,
                    problem=problem,
                    trace=trace_of(error),
                )
        return removed

    async def _prune(self, chain: ChainId, time_us: int) -> int:
        before_us = time_us - int(self._options.days(chain.audit_class) * _DAY_US)
        last = await self._retention.last_before(chain, before_us)
        if last == 0:
            return 0
        found = await self._verify.upto(chain, last, Deadline.after(_LIMIT_S))
        if isinstance(found, ChainBreak):
            _log.error(
                "audit_chain_broken",
                tenant=chain.tenant,
                audit_class=chain.audit_class.value,
                sequence=found.sequence,
                reason=found.reason.value,
                problem="it is not pruned",
            )
            return 0
        if found is None:
            return 0
        statement = Statement(Purpose.PRUNED, chain, last, found.hash, time_us)
        removed = await self._retention.prune(self._signer.sign(statement), before_us)
        if removed:
            detail = f"class={chain.audit_class.value};through={last};entries={removed}"
            self._recorder.take(system_record(chain.tenant, AuditClass.AUDIT, "audit.pruned", detail))
        return removed
