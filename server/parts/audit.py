"""The audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from server.adapters.audit_storage import AuditStorage, audit_storage
from server.adapters.postgres.pool import PostgresPool
from server.application.prune_audit import PruneAudit
from server.application.query_audit import QueryAudit
from server.application.record_audit import RecordAudit, system_record
from server.application.verify_audit import VerifyAudit
from server.domain.audit import AuditClass, ChainBreak, ChainId
from server.settings import Settings
from server.transport.audit_servicer import AuditServicer
from server.transport.auditing import CallAudit
from server.transport.identity import CallerIdentity


@dataclass(frozen=True, slots=True)
class AuditParts:
    calls: CallAudit
    pruning: PruneAudit
    servicer: AuditServicer


@asynccontextmanager
async def audit_parts(settings: Settings, pool: PostgresPool) -> AsyncIterator[AuditParts]:
    """Records calls while the context lasts, and what is left at its end. What the server itself does is recorded in
    the operator's tenant. Raises OSError for a key that cannot be used."""
    options, operator = settings.audit, settings.identity.callers.operator_tenant
    storage = await _storage(settings, pool)
    recorder = RecordAudit(storage.log, storage.anchors, options.record)
    verify = VerifyAudit(storage.log, storage.signer, storage.anchors)
    async with recorder.running():
        recorder.take(system_record(operator, AuditClass.APPLICATION, "server.started", ""))
        yield AuditParts(
            CallAudit(recorder, operator),
            PruneAudit(storage.log, storage.log, verify, storage.signer, recorder, options.retention),
            AuditServicer(CallerIdentity(), QueryAudit(storage.log, verify)),
        )
        recorder.take(system_record(operator, AuditClass.APPLICATION, "server.stopped", ""))


async def accept_break(settings: Settings, pool: PostgresPool, chain: ChainId) -> tuple[ChainBreak, int] | None:
    """Lets a chain that is broken at its end go on; where it is broken, and the sequence behind which it goes on. None:
    its end holds, and nothing was done. Raises OSError, DependencyUnavailable."""
    storage = await _storage(settings, pool)
    return await storage.log.accept(chain, system_record(chain.tenant, chain.audit_class, "audit.break_accepted", ""))


async def _storage(settings: Settings, pool: PostgresPool) -> AuditStorage:
    key_folder = settings.encryption.key_folder or settings.data_dir / "keys"
    return await audit_storage(settings.data_dir, key_folder, pool, settings.audit.storage)
