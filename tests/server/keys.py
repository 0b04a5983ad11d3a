"""Data keys in memory."""

from __future__ import annotations

import secrets
import uuid

from server.application.encryption_ports import DataKey
from server.domain.errors import KeyUnusable


class MemoryKeys:
    """The port `DataKeys`."""

    def __init__(self) -> None:
        self.made: dict[str, list[DataKey]] = {}

    async def current(self, tenant: str) -> DataKey:
        return self.made.setdefault(tenant, [new_key()])[-1]

    async def named(self, tenant: str, key_id: str) -> DataKey:
        for key in self.made.get(tenant, ()):
            if key.key_id == key_id:
                return key
        raise KeyUnusable("there is no such key")

    def rotate(self, tenant: str) -> None:
        self.made[tenant].append(new_key())


class MemoryRecord:
    """The port `SealingRecord`."""

    def __init__(self) -> None:
        self.sealed = False

    async def all_sealed(self) -> bool:
        return self.sealed

    async def record(self) -> None:
        self.sealed = True


def new_key() -> DataKey:
    return DataKey(str(uuid.uuid4()), secrets.token_bytes(32))
