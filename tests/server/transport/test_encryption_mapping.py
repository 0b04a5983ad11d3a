"""Keys and deleted tenants on the wire: every field, every state."""

from __future__ import annotations

from datetime import UTC, datetime

from pinakes import encryption
from pinakes.v1 import encryption_service_pb2
from server.application.consistency import token_of
from server.application.delete_tenant import DeletedTenant
from server.application.encryption_ports import KeyState, KnownKey
from server.transport.encryption_servicer import STATES, data_key_to_wire, deleted_tenant_to_wire

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_what_the_server_tells_of_a_key_is_what_the_client_reads() -> None:
    assert set(STATES) == set(KeyState)
    for state in KeyState:
        wire = data_key_to_wire(KnownKey("k", "t", state, "m", MOMENT))
        assert {field.name for field, _ in wire.ListFields()} == set(wire.DESCRIPTOR.fields_by_name)
        read = encryption.data_key(wire)
        assert read == encryption.DataKey("k", "t", encryption.DataKeyState(state.value), "m", MOMENT)
    assert len(set(STATES.values())) == len(encryption_service_pb2.DataKeyState.values()) - 1


def test_a_deletion_tells_where_searches_are_to_begin() -> None:
    deleted = encryption.deleted_tenant(deleted_tenant_to_wire(DeletedTenant(3, 17)))
    assert deleted == encryption.TenantDeletion(3, token_of(17))
    assert encryption.deleted_tenant(deleted_tenant_to_wire(DeletedTenant(0, 0))) == encryption.TenantDeletion(0, "")
