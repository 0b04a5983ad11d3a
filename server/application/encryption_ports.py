"""What encrypting stored bytes needs of the outside.

Three kinds of keys: the *master key* of the installation is kept by a key management service (KMS) and wraps the *data
keys* of the tenants; a data key encrypts the tenant's files, each with a key derived from it.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DataKey:
    """`key`: 32 random bytes, never logged."""

    key_id: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key, encrypted. Whoever unwraps it says whose key it is (`tenant`, `key_id`), and gets nothing for others
    than it was wrapped for."""

    tenant: str
    key_id: str
    master_key_id: str
    wrapped: bytes = field(repr=False)


class KeyState(enum.StrEnum):
    CURRENT = "current"
    RETIRED = "retired"
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A data key, without the key."""

    key_id: str
    tenant: str
    state: KeyState
    master_key_id: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class KeyPage:
    keys: tuple[KnownKey, ...]
    next_page_token: str


class MasterKeys(Protocol):
    """The key management service. Master keys never leave it; the wrapped keys are kept by us.

    For each tenant it keeps a secret of its own that takes part in wrapping, made when it is first needed. With
    `forget` that secret is destroyed, and with it every data key of the tenant, wherever copies of the wrapped keys
    may be: a KMS of a cloud does so with a master key per tenant and the destruction of its versions. The tenant's
    secrets must therefore not be part of the backups that hold the wrapped keys.
    """

    async def current(self) -> str:
        """The id of the master key that wraps. Raises KeyUnusable, DependencyUnavailable."""

    async def wrap(self, tenant: str, key: DataKey) -> WrappedKey:
        """With the current master key. Raises KeyUnusable, DependencyUnavailable."""

    async def unwrap(self, wrapped: WrappedKey) -> DataKey:
        """With whichever master key wrapped it. Raises KeyUnusable if that is not there or is not the one, or the
        tenant was forgotten; DependencyUnavailable."""

    async def renew(self) -> str:
        """Makes a new current master key, and keeps the others. Returns its id; durable then. Raises KeyUnusable,
        DependencyUnavailable."""

    async def forget(self, tenant: str) -> None:
        """Destroys what only this tenant's keys are wrapped with, and remembers that it did: nothing is wrapped for the
        tenant any more. Safe to repeat. Raises DependencyUnavailable."""

    async def forgotten(self, tenants: Sequence[str]) -> list[str]:
        """Those of them that were. Raises DependencyUnavailable."""


class DataKeys(Protocol):
    """The tenants' data keys, for who encrypts with them."""

    async def current(self, tenant: str) -> DataKey:
        """What new files are encrypted with; made if the tenant has none. Raises KeyUnusable if the tenant's keys were
        destroyed, DependencyUnavailable."""

    async def named(self, tenant: str, key_id: str) -> DataKey:
        """What an older file was encrypted with. Raises KeyUnusable, DependencyUnavailable."""


class KeyCare(Protocol):
    """The tenants' data keys, for who looks after them."""

    async def page(self, tenant: str, size: int, token: str) -> KeyPage:
        """Of `tenant`, or of all when it is empty; the newest first. Raises InvalidPageToken."""

    async def rotate(self, tenant: str) -> KnownKey:
        """A new current key; the one before is retired. Raises KeyUnusable, DependencyUnavailable."""

    async def rewrap(self) -> tuple[str, int]:
        """Makes a new master key and wraps all data keys with it, all or none. Returns its id, and how many. Raises
        KeyUnusable, DependencyUnavailable."""

    async def destroy(self, tenant: str) -> None:
        """Destroys all keys of the tenant, and has it get no others. Safe to repeat. Raises DependencyUnavailable."""

    async def destroyed(self, tenants: Sequence[str]) -> list[str]:
        """Those of them whose keys were, whatever an older copy of the database says. Raises DependencyUnavailable."""


class PlainBlobs(Protocol):
    """Bytes that were stored before they were encrypted."""

    def keys(self) -> AsyncIterator[str]:
        """Of all that are not encrypted yet. Raises DependencyUnavailable."""

    async def seal(self, tenant: str, key: str) -> bool:
        """Encrypts them in place, at once for whoever opens them. False if they were gone. Raises KeyUnusable,
        DependencyUnavailable."""


class BlobOwners(Protocol):
    async def tenants(self, keys: Sequence[str]) -> dict[str, str]:
        """The tenant of each blob that a document refers to."""


class SealingRecord(Protocol):
    """Whether blobs that are not encrypted can still be there."""

    async def all_sealed(self) -> bool:
        """Raises DependencyUnavailable."""

    async def record(self) -> None:
        """From now on, a blob that is not encrypted is not one of ours. Raises DependencyUnavailable."""
