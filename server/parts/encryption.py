"""What the operator does with keys and tenants."""

from __future__ import annotations

from dataclasses import dataclass

from server.adapters.encrypted_storage import EncryptedStorage
from server.adapters.jetstream_events import JetStreamEvents
from server.adapters.nats_bell import NatsBell
from server.adapters.postgres.pool import PostgresPool
from server.adapters.postgres.tenant_erasure import PostgresTenantErasure
from server.application.delete_tenant import DeleteTenant
from server.application.rotate_keys import RotateKeys
from server.settings import Settings
from server.transport.encryption_servicer import EncryptionServicer, TenantServicer


@dataclass(frozen=True, slots=True)
class OperatorParts:
    """`deletions` runs in the background: it ends what was begun."""

    encryption: EncryptionServicer
    tenants: TenantServicer
    deletions: DeleteTenant


def operator_parts(
    settings: Settings, pool: PostgresPool, storage: EncryptedStorage, events: JetStreamEvents, log_bell: NatsBell
) -> OperatorParts:
    operator = settings.identity.callers.operator_tenant
    deletions = DeleteTenant(
        PostgresTenantErasure(pool),
        storage.keys,
        storage.blobs,
        events,
        log_bell,
        operator,
        settings.encryption.deletions,
    )
    return OperatorParts(EncryptionServicer(RotateKeys(storage.keys)), TenantServicer(deletions), deletions)
