"""`client.encryption` and `client.tenants`: what the operator of an installation does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pinakes import mapping
from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.options import Deadlines
from pinakes.results import WireEnum
from pinakes.v1 import encryption_service_pb2, tenant_service_pb2
from pinakes.v1.encryption_service_pb2_grpc import EncryptionServiceStub
from pinakes.v1.tenant_service_pb2_grpc import TenantServiceStub

if TYPE_CHECKING:
    import grpc


class DataKeyState(WireEnum):
    """What a data key is used for."""

    UNSPECIFIED = "unspecified"
    CURRENT = "current"
    """It encrypts what is stored now."""
    RETIRED = "retired"
    """It opens what was stored while it was current."""
    DESTROYED = "destroyed"
    """The tenant was deleted, and the key with it."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A tenant's data key, without the key. `master_key_id` is empty when it is destroyed."""

    key_id: str
    tenant: str
    state: DataKeyState
    master_key_id: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class DataKeyPage:
    """Some of the keys, and where the rest begins."""

    keys: tuple[DataKey, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class MasterKeyRotation:
    """The new master key, and how many data keys were wrapped with it."""

    master_key_id: str
    data_keys: int


@dataclass(frozen=True, slots=True)
class TenantDeletion:
    """How many documents the call deleted; the token is for searches that must not find them."""

    documents: int
    consistency_token: str


class AsyncEncryption:
    """`client.encryption`: the keys of stored documents. Every call needs the permission `keys:rotate`."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = EncryptionServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def data_keys(
        self, tenant: str = "", *, page_size: int = 0, timeout_s: float | None = None
    ) -> AsyncIterator[DataKey]:
        """Of a tenant, or of all; the newest first, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.ListDataKeys,
            lambda token: list_data_keys(tenant, page_size, token),
            timeout_s or self._deadlines.unary_s,
            data_key_page,
            lambda page: page.keys,
        )

    async def rotate_data_key(self, tenant: str, *, timeout_s: float | None = None) -> DataKey:
        """Gives a tenant a new current key; what is stored stays readable. A repeat makes another one, which does no
        harm. Raises KeyUnusable."""
        return await self._calls.unary(
            self._stub.RotateDataKey,
            rotate_data_key(tenant),
            timeout_s or self._deadlines.unary_s,
            rotated_data_key,
        )

    async def rotate_master_key(self, *, timeout_s: float | None = None) -> MasterKeyRotation:
        """Makes a new master key and wraps every data key with it; no document is written anew. A repeat makes another
        one, which does no harm. Raises KeyUnusable."""
        return await self._calls.unary(
            self._stub.RotateMasterKey,
            rotate_master_key(),
            timeout_s or self._deadlines.index_s,
            rotated_master_key,
        )


class Encryption:
    """`client.encryption`: the keys of stored documents. Every call needs the permission `keys:rotate`."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = EncryptionServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def data_keys(self, tenant: str = "", *, page_size: int = 0, timeout_s: float | None = None) -> Iterator[DataKey]:
        """Of a tenant, or of all; the newest first, fetched page by page; the timeout is for one page."""
        return self._calls.pages(
            self._stub.ListDataKeys,
            lambda token: list_data_keys(tenant, page_size, token),
            timeout_s or self._deadlines.unary_s,
            data_key_page,
            lambda page: page.keys,
        )

    def rotate_data_key(self, tenant: str, *, timeout_s: float | None = None) -> DataKey:
        """Gives a tenant a new current key; what is stored stays readable. A repeat makes another one, which does no
        harm. Raises KeyUnusable."""
        return self._calls.unary(
            self._stub.RotateDataKey,
            rotate_data_key(tenant),
            timeout_s or self._deadlines.unary_s,
            rotated_data_key,
        )

    def rotate_master_key(self, *, timeout_s: float | None = None) -> MasterKeyRotation:
        """Makes a new master key and wraps every data key with it; no document is written anew. A repeat makes another
        one, which does no harm. Raises KeyUnusable."""
        return self._calls.unary(
            self._stub.RotateMasterKey,
            rotate_master_key(),
            timeout_s or self._deadlines.index_s,
            rotated_master_key,
        )


class AsyncTenants:
    """`client.tenants`: the installation's tenants. Every call needs the permission `tenants:manage`."""

    def __init__(self, channel: grpc.aio.Channel, calls: AsyncCalls, deadlines: Deadlines) -> None:
        self._stub = TenantServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    async def delete(self, tenant: str, *, timeout_s: float | None = None) -> TenantDeletion:
        """Deletes a tenant for good, its keys first; its name cannot be used again. Raises InvalidField."""
        return await self._calls.unary(
            self._stub.DeleteTenant, delete_tenant(tenant), timeout_s or self._deadlines.index_s, deleted_tenant
        )


class Tenants:
    """`client.tenants`: the installation's tenants. Every call needs the permission `tenants:manage`."""

    def __init__(self, channel: grpc.Channel, calls: SyncCalls, deadlines: Deadlines) -> None:
        self._stub = TenantServiceStub(channel)
        self._calls = calls
        self._deadlines = deadlines

    def delete(self, tenant: str, *, timeout_s: float | None = None) -> TenantDeletion:
        """Deletes a tenant for good, its keys first; its name cannot be used again. Raises InvalidField."""
        return self._calls.unary(
            self._stub.DeleteTenant, delete_tenant(tenant), timeout_s or self._deadlines.index_s, deleted_tenant
        )


def list_data_keys(tenant: str, page_size: int, page_token: str) -> encryption_service_pb2.ListDataKeysRequest:
    return encryption_service_pb2.ListDataKeysRequest(tenant=tenant, page_size=page_size, page_token=page_token)


def rotate_data_key(tenant: str) -> encryption_service_pb2.RotateDataKeyRequest:
    return encryption_service_pb2.RotateDataKeyRequest(tenant=tenant)


def rotate_master_key() -> encryption_service_pb2.RotateMasterKeyRequest:
    return encryption_service_pb2.RotateMasterKeyRequest()


def delete_tenant(tenant: str) -> tenant_service_pb2.DeleteTenantRequest:
    return tenant_service_pb2.DeleteTenantRequest(tenant=tenant)


def data_key(wire: encryption_service_pb2.DataKey) -> DataKey:
    return DataKey(
        wire.key_id,
        wire.tenant,
        mapping.enum_of(DataKeyState, encryption_service_pb2.DataKeyState.DESCRIPTOR, wire.state),
        wire.master_key_id,
        mapping.time(wire.create_time),
    )


def data_key_page(wire: encryption_service_pb2.ListDataKeysResponse) -> DataKeyPage:
    return DataKeyPage(tuple(map(data_key, wire.keys)), wire.next_page_token)


def rotated_data_key(wire: encryption_service_pb2.RotateDataKeyResponse) -> DataKey:
    return data_key(wire.key)


def rotated_master_key(wire: encryption_service_pb2.RotateMasterKeyResponse) -> MasterKeyRotation:
    return MasterKeyRotation(wire.master_key_id, wire.data_keys)


def deleted_tenant(wire: tenant_service_pb2.DeleteTenantResponse) -> TenantDeletion:
    return TenantDeletion(wire.documents, wire.consistency_token)
