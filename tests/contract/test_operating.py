"""What operators do: over TLS, with keys, and to tenants."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner, Result

from pinakes import AsyncClient, Client, ClientOptions, RetryPolicy, Tls
from pinakes.cli.main import app
from pinakes.encryption import DataKey, DataKeyState, MasterKeyRotation
from pinakes.errors import KeyUnusable, Unavailable
from pinakes.v1 import encryption_service_pb2, tenant_service_pb2
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script
from tests.server.transport.certificates import authority, issued_by

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def key(number: int) -> encryption_service_pb2.DataKey:
    wire = encryption_service_pb2.DataKey(key_id=f"k{number}", tenant="acme", master_key_id="m")
    wire.state = encryption_service_pb2.DATA_KEY_STATE_RETIRED
    wire.create_time.FromDatetime(MOMENT)
    return wire


def pages() -> list[server.Behaviour]:
    return [
        server.returns(encryption_service_pb2.ListDataKeysResponse(keys=[key(1), key(2)], next_page_token="more")),
        server.returns(encryption_service_pb2.ListDataKeysResponse(keys=[key(3)])),
    ]


async def command(address: str, *arguments: str, sent: str = "", **environment: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "200", **environment})
    return await asyncio.to_thread(runner.invoke, app, ["--server", address, *arguments], input=sent)


async def test_keys_are_listed_page_by_page_and_rotated(
    client: AsyncClient, sync_client: Client, script: Script
) -> None:
    script.on("ListDataKeys", *pages(), *pages())
    script.on("RotateDataKey", server.returns(encryption_service_pb2.RotateDataKeyResponse(key=key(4))))
    response = encryption_service_pb2.RotateMasterKeyResponse(master_key_id="m2", data_keys=3)
    script.on("RotateMasterKey", server.returns(response))
    found = [each async for each in client.encryption.data_keys("acme", page_size=2)]
    assert found == await asyncio.to_thread(lambda: list(sync_client.encryption.data_keys("acme", page_size=2)))
    assert found[0] == DataKey("k1", "acme", DataKeyState.RETIRED, "m", MOMENT)
    assert [call.request.page_token for call in script.seen("ListDataKeys")] == ["", "more", "", "more"]
    assert (await client.encryption.rotate_data_key("acme")).key_id == "k4"
    assert await asyncio.to_thread(sync_client.encryption.rotate_master_key) == MasterKeyRotation("m2", 3)


async def test_a_key_that_is_destroyed_is_told(client: AsyncClient, script: Script) -> None:
    refusal = server.fails(grpc.StatusCode.FAILED_PRECONDITION, "destroyed", server.reason("KEY_UNUSABLE"))
    script.on("RotateDataKey", refusal)
    with pytest.raises(KeyUnusable, match="destroyed"):
        await client.encryption.rotate_data_key("acme")


async def test_the_commands_of_operators(address: str, script: Script) -> None:
    script.on("ListDataKeys", *pages(), *pages())
    listed = await command(address, "encryption", "list", "--tenant", "acme")
    assert listed.exit_code == 0 and "k3" in listed.output and "retired" in listed.output
    lines = (await command(address, "encryption", "list", "--json")).output.splitlines()
    assert [json.loads(line)["key_id"] for line in lines] == ["k1", "k2", "k3"]
    script.on("RotateDataKey", server.returns(encryption_service_pb2.RotateDataKeyResponse(key=key(4))))
    assert "k4 is current" in (await command(address, "encryption", "rotate-data", "acme")).output
    response = encryption_service_pb2.RotateMasterKeyResponse(master_key_id="m2", data_keys=3)
    script.on("RotateMasterKey", server.returns(response))
    assert "m2 wraps 3 data keys" in (await command(address, "encryption", "rotate-master")).output


async def test_a_tenant_is_deleted_when_that_is_meant(address: str, script: Script) -> None:
    response = tenant_service_pb2.DeleteTenantResponse(documents=3, consistency_token="t")
    script.on("DeleteTenant", server.returns(response))
    assert (await command(address, "tenants", "delete", "acme", sent="n\n")).exit_code == 1
    assert script.seen("DeleteTenant") == []
    assert "with 3 documents" in (await command(address, "tenants", "delete", "acme", sent="y\n")).output
    assert (await command(address, "tenants", "delete", "acme", "--yes")).exit_code == 0
    assert [call.request.tenant for call in script.seen("DeleteTenant")] == ["acme", "acme"]


async def test_clients_and_commands_speak_tls(script: Script, tmp_path: Path) -> None:
    roots = authority()
    (tmp_path / "roots.pem").write_bytes(roots.pem)
    issued_by(roots, "client").write(tmp_path / "client.pem", tmp_path / "client.key")
    own = issued_by(roots, "server", names=("docs.internal",))
    credentials = grpc.ssl_server_credentials([(own.key_pem, own.pem)], roots.pem, True)
    script.on("RotateDataKey", server.returns(encryption_service_pb2.RotateDataKeyResponse(key=key(4))))
    tls = Tls(tmp_path / "roots.pem", tmp_path / "client.pem", tmp_path / "client.key", "docs.internal")
    async with server.serving(script, credentials) as address:
        async with AsyncClient(address, tls=tls) as client:
            assert (await client.encryption.rotate_data_key("acme")).key_id == "k4"

        def called() -> str:
            with Client(address, tls=tls) as client:
                return client.encryption.rotate_data_key("acme").key_id

        assert await asyncio.to_thread(called) == "k4"
        files = {"root": "roots.pem", "certificate": "client.pem", "key": "client.key"}
        options = [part for name, file in files.items() for part in (f"--tls-{name}", str(tmp_path / file))]
        asked = ("encryption", "rotate-data", "acme")
        assert "k4" in (await command(address, *options, "--tls-name", "docs.internal", *asked)).output
        environment = {f"PINAKES_TLS_{name.upper()}": str(tmp_path / file) for name, file in files.items()}
        assert "k4" in (await command(address, *asked, PINAKES_TLS_NAME="docs.internal", **environment)).output
        # Without a certificate, for another name, in the clear.
        hurried = ClientOptions(retry=RetryPolicy(attempts=1))
        for other in (Tls(tmp_path / "roots.pem", server_name="docs.internal"), Tls(*_paths(tls), "other"), None):
            async with AsyncClient(address, tls=other, options=hurried) as client:
                with pytest.raises(Unavailable):
                    await client.encryption.rotate_data_key("acme")
        assert (await command(address, "--tls-key", str(tmp_path / "client.key"), *asked)).exit_code == 2
    with pytest.raises(ValueError, match="or neither"):
        Tls(key_file="k")
    with pytest.raises(ValueError, match="either credentials or tls"):
        Client(address, tls=tls, credentials=grpc.ssl_channel_credentials())


def _paths(tls: Tls) -> tuple[Path, Path, Path]:
    found = (tls.root_file, tls.certificate_file, tls.key_file)
    return Path(str(found[0])), Path(str(found[1])), Path(str(found[2]))
