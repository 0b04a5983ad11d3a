"""Looks after the keys that stored documents are encrypted with."""

from __future__ import annotations

import structlog

from server.application.delete_tenant import LONGEST_TENANT
from server.application.encryption_ports import KeyCare, KeyPage, KnownKey
from server.domain.errors import InvalidField

_DEFAULT_PAGE, _LARGEST_PAGE = 100, 1_000
_log = structlog.get_logger()


class RotateKeys:
    def __init__(self, keys: KeyCare) -> None:
        self._keys = keys

    async def page(self, tenant: str, size: int, token: str) -> KeyPage:
        """Of `tenant`, or of all if it is empty. Raises InvalidField, InvalidPageToken."""
        if size < 0:
            raise InvalidField("page_size", "must not be negative")
        return await self._keys.page(tenant, min(size or _DEFAULT_PAGE, _LARGEST_PAGE), token)

    async def data_key(self, tenant: str) -> KnownKey:
        """Gives the tenant a new current key. Raises InvalidField, KeyUnusable."""
        if not 0 < len(tenant) <= LONGEST_TENANT:
            raise InvalidField("tenant", f"must have 1 to {LONGEST_TENANT} characters")
        made = await self._keys.rotate(tenant)
        _log.info("data_key_rotated", tenant=tenant, key_id=made.key_id)
        return made

    async def master_key(self) -> tuple[str, int]:
        """Makes a new master key and wraps all data keys with it; its id, and how many they are. Raises KeyUnusable."""
        master_key_id, count = await self._keys.rewrap()
        _log.info("master_key_rotated", master_key_id=master_key_id, data_keys=count)
        return master_key_id, count
