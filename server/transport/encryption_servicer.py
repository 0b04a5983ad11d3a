# ruff: noqa: N802 - methods are named by the contract
"""EncryptionService and TenantService on the wire."""

from __future__ import annotations

from typing import Any

from grpc.aio import ServicerContext

from pinakes.v1 import (
    encryption_service_pb2,
    encryption_service_pb2_grpc,
    tenant_service_pb2,
    tenant_service_pb2_grpc,
)
from server.application.consistency import token_of
from server.application.delete_tenant import DeletedTenant, DeleteTenant
from server.application.encryption_ports import KeyState, KnownKey
from server.application.rotate_keys import RotateKeys

Context = ServicerContext[Any, Any]

STATES = {
    KeyState.CURRENT: encryption_service_pb2.DATA_KEY_STATE_CURRENT,
    KeyState.RETIRED: encryption_service_pb2.DATA_KEY_STATE_RETIRED,
    KeyState.DESTROYED: encryption_service_pb2.DATA_KEY_STATE_DESTROYED,
}


class EncryptionServicer(encryption_service_pb2_grpc.EncryptionServiceServicer):
    def __init__(self, keys: RotateKeys) -> None:
        self._keys = keys

    async def ListDataKeys(
        self, request: encryption_service_pb2.ListDataKeysRequest, context: Context
    ) -> encryption_service_pb2.ListDataKeysResponse:
        page = await self._keys.page(request.tenant, request.page_size, request.page_token)
        return encryption_service_pb2.ListDataKeysResponse(
            keys=map(data_key_to_wire, page.keys), next_page_token=page.next_page_token
        )

    async def RotateDataKey(
        self, request: encryption_service_pb2.RotateDataKeyRequest, context: Context
    ) -> encryption_service_pb2.RotateDataKeyResponse:
        made = await self._keys.data_key(request.tenant)
        return encryption_service_pb2.RotateDataKeyResponse(key=data_key_to_wire(made))

    async def RotateMasterKey(
        self, request: encryption_service_pb2.RotateMasterKeyRequest, context: Context
    ) -> encryption_service_pb2.RotateMasterKeyResponse:
        master_key_id, count = await self._keys.master_key()
        return encryption_service_pb2.RotateMasterKeyResponse(master_key_id=master_key_id, data_keys=count)


class TenantServicer(tenant_service_pb2_grpc.TenantServiceServicer):
    def __init__(self, deletion: DeleteTenant) -> None:
        self._deletion = deletion

    async def DeleteTenant(
        self, request: tenant_service_pb2.DeleteTenantRequest, context: Context
    ) -> tenant_service_pb2.DeleteTenantResponse:
        return deleted_tenant_to_wire(await self._deletion.delete(request.tenant))


def data_key_to_wire(key: KnownKey) -> encryption_service_pb2.DataKey:
    wire = encryption_service_pb2.DataKey(
        key_id=key.key_id, tenant=key.tenant, state=STATES[key.state], master_key_id=key.master_key_id
    )
    wire.create_time.FromDatetime(key.create_time)
    return wire


def deleted_tenant_to_wire(deleted: DeletedTenant) -> tenant_service_pb2.DeleteTenantResponse:
    token = token_of(deleted.position) if deleted.position else ""
    return tenant_service_pb2.DeleteTenantResponse(documents=deleted.documents, consistency_token=token)
