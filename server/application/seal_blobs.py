"""Encrypts what was stored before blobs were encrypted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from server.application.background import repeat
from server.application.encryption_ports import BlobOwners, PlainBlobs, SealingRecord
from server.domain.errors import KeyUnusable

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SealOptions:
    """Blobs that no document refers to are left to the sweep; `every_s` it is looked whether it has been there."""

    every_s: float = 3_600.0
    batch: int = 100


class SealBlobs:
    def __init__(
        self, blobs: PlainBlobs, owners: BlobOwners, record: SealingRecord, options: SealOptions | None = None
    ) -> None:
        self._blobs = blobs
        self._owners = owners
        self._record = record
        self._options = options or SealOptions()

    async def run(self) -> None:
        """Returns when every blob is encrypted, which is recorded: those that are not are refused from then on. Until
        then, looks again and again."""
        finished = asyncio.Event()

        async def step() -> None:
            if await self._record.all_sealed() or await self.seal():
                finished.set()
            else:
                await asyncio.sleep(self._options.every_s)

        work = asyncio.create_task(repeat("seal_blobs", step))
        ended = asyncio.create_task(finished.wait())
        try:
            await asyncio.wait((work, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, ended):
                task.cancel()
            await asyncio.wait((work, ended))

    async def seal(self) -> bool:
        """Whether all are encrypted then. Those of a tenant whose keys cannot be used wait for another time, and keep
        nobody else's waiting. Raises DependencyUnavailable."""
        sealed = 0
        left = False
        batch: list[str] = []
        hindered: set[str] = set()
        async for key in self._blobs.keys():
            batch.append(key)
            if len(batch) == self._options.batch:
                done = await self._batch(batch, hindered)
                sealed, left, batch = sealed + done, left or done < len(batch), []
        done = await self._batch(batch, hindered)
        sealed, left = sealed + done, left or done < len(batch)
        if sealed:
            _log.info("blobs_encrypted", blobs=sealed)
        if not left:
            await self._record.record()
        return not left

    async def _batch(self, keys: list[str], hindered: set[str]) -> int:
        """How many are encrypted or gone. Adds tenants whose keys cannot be used to `hindered`."""
        owners = await self._owners.tenants(keys) if keys else {}
        done = 0
        for key, tenant in owners.items():
            if tenant in hindered:
                continue
            try:
                await self._blobs.seal(tenant, key)
                done += 1
            except KeyUnusable as error:
                hindered.add(tenant)
                _log.error("blobs_not_encrypted", tenant=tenant, problem=str(error))
        return done
