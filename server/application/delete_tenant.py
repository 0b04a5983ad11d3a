"""Makes a tenant disappear: its keys at once, everything else right after."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from server.application.background import repeat
from server.application.encryption_ports import KeyCare
from server.application.job_ports import Bell
from server.domain.errors import InvalidField, PinakesError

LONGEST_TENANT = 128
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeleteTenantOptions:
    """`batch` documents are deleted in a transaction. What was begun and not ended is taken up `every_s`."""

    batch: int = 50
    every_s: float = 300.0


@dataclass(frozen=True, slots=True)
class ErasedDocuments:
    """`position` is the change log's after their removal."""

    count: int
    blob_keys: tuple[str, ...]
    position: int


class TenantErasure(Protocol):
    """What the database holds of a tenant. Every method is safe to repeat, and raises DependencyUnavailable."""

    async def begin(self, tenant: str) -> None:
        """Notes that it is being deleted."""

    async def begun(self) -> list[str]:
        """The tenants whose deletion has begun and not ended."""

    async def present(self) -> list[str]:
        """The tenants whose deletion has not begun."""

    async def documents(self, tenant: str, limit: int) -> ErasedDocuments:
        """Removes up to `limit` documents with all that came from them, and logs the removal of their passages."""

    async def rest(self, tenant: str) -> None:
        """Removes everything else but the audit log and the note."""

    async def end(self, tenant: str) -> None:
        """Notes that nothing is left."""


class TenantBlobs(Protocol):
    async def delete(self, key: str) -> None:
        """As of `BlobStore`."""

    async def delete_all(self, tenant: str) -> None:
        """What no document refers to, as well, but for blobs that were stored before keys named the tenant, which the
        sweep removes. Raises DependencyUnavailable."""


class TenantEvents(Protocol):
    async def forget(self, tenant: str) -> None:
        """Removes the tenant's events. Raises DependencyUnavailable."""


@dataclass(frozen=True, slots=True)
class DeletedTenant:
    """`position`: the change log's after the last removal; 0 if there were no documents."""

    documents: int
    position: int


class DeleteTenant:
    def __init__(
        self,
        erasure: TenantErasure,
        keys: KeyCare,
        blobs: TenantBlobs,
        events: TenantEvents,
        log_bell: Bell,
        operator_tenant: str,
        options: DeleteTenantOptions | None = None,
    ) -> None:
        self._erasure = erasure
        self._keys = keys
        self._blobs = blobs
        self._events = events
        self._log_bell = log_bell
        self._operator_tenant = operator_tenant
        self._options = options or DeleteTenantOptions()

    async def delete(self, tenant: str) -> DeletedTenant:
        """Returns when nothing is left. Raises InvalidField, DependencyUnavailable."""
        if not 0 < len(tenant) <= LONGEST_TENANT:
            raise InvalidField("tenant", f"must have 1 to {LONGEST_TENANT} characters")
        if tenant == self._operator_tenant:
            raise InvalidField("tenant", "must not be the operator's own, which looks after the others")
        await self._erasure.begin(tenant)
        _log.info("tenant_deletion_begun", tenant=tenant)
        return await self._finish(tenant)

    async def run(self) -> None:
        """Until cancelled, ends what was begun: here, before a crash, or for a caller who has gone. Tenants that came
        back with an older copy of the database are deleted anew."""
        await repeat("delete_tenants", self._step)

    async def _step(self) -> None:
        for tenant in await self._keys.destroyed(await self._erasure.present()):
            _log.warning("deleted_tenant_came_back", tenant=tenant)
            await self._erasure.begin(tenant)
        failure: PinakesError | None = None
        for tenant in await self._erasure.begun():
            try:
                await self._finish(tenant)
            except PinakesError as error:
                # Those behind it do not wait for it.
                _log.warning("tenant_not_deleted_yet", tenant=tenant, problem=str(error))
                failure = error
        if failure is not None:
            raise failure
        await asyncio.sleep(self._options.every_s)

    async def _finish(self, tenant: str) -> DeletedTenant:
        await self._keys.destroy(tenant)
        documents = position = 0
        while (erased := await self._erasure.documents(tenant, self._options.batch)).count:
            documents, position = documents + erased.count, erased.position
            await self._log_bell.ring()
            for key in erased.blob_keys:
                await self._blobs.delete(key)
        await self._erasure.rest(tenant)
        await self._blobs.delete_all(tenant)
        await self._events.forget(tenant)
        await self._erasure.end(tenant)
        _log.info("tenant_deleted", tenant=tenant, documents=documents)
        return DeletedTenant(documents, position)
