"""The servers that ours calls, over TLS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from server.adapters.nats_connection import NatsConnection, NatsConnectionOptions
from server.adapters.triton_client import TritonConnection
from server.application.tls_files import TlsFiles
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable
from server.embedded.health import NotReady, check_nats, check_triton
from server.embedded.nats import nats_program
from server.embedded.process import free_port
from tests.server.transport.certificates import authority, issued_by

PATIENCE_S = 60.0


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    """Those of a client; the server's own lie beside them."""
    roots = authority()
    (tmp_path / "roots.pem").write_bytes(roots.pem)
    issued_by(roots, "server").write(tmp_path / "server.pem", tmp_path / "server.key")
    issued_by(roots, "client").write(tmp_path / "client.pem", tmp_path / "client.key")
    return TlsFiles(tmp_path / "roots.pem", tmp_path / "client.pem", tmp_path / "client.key")


@pytest.fixture
def secured_nats(files: TlsFiles, tmp_path: Path) -> Iterator[str]:
    """It says nothing before TLS, and asks for the client's certificate."""
    port = free_port()
    configuration = tmp_path / "nats.conf"
    configuration.write_text(
        f"""listen: "127.0.0.1:{port}"
        jetstream {{ store_dir: "{tmp_path / "store"}" }}
        tls {{ cert_file: "{tmp_path / "server.pem"}", key_file: "{tmp_path / "server.key"}",
               ca_file: "{tmp_path / "roots.pem"}", verify: true, handshake_first: true }}"""
    )
    with subprocess.Popen([str(nats_program()), "-c", str(configuration)], stderr=subprocess.DEVNULL) as process:
        yield f"tls://127.0.0.1:{port}"
        process.terminate()


async def test_nats_over_tls(secured_nats: str, files: TlsFiles) -> None:
    options = NatsConnectionOptions(connect_timeout_s=5.0, tls=files, tls_handshake_first=True)
    deadline = Deadline.after(PATIENCE_S)
    async with NatsConnection(secured_nats, options) as connection:
        while not await connection.answers(deadline.capped(5.0)):
            assert deadline.remaining() > 0
        check_nats(secured_nats, files)
    for other in (replace(files, certificate_file=None, key_file=None), replace(files, root_file=None)):
        hurried = replace(options, connect_timeout_s=1.0, tls=other)
        async with NatsConnection(secured_nats, hurried) as refused:
            with pytest.raises(DependencyUnavailable):
                await refused.client()


async def test_triton_over_tls(files: TlsFiles, tmp_path: Path) -> None:
    async def ready(request: Any, context: Any) -> Any:
        return service_pb2.ModelReadyResponse(ready=True)

    async def alive(request: Any, context: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    async def inferred(request: Any, context: Any) -> Any:
        return service_pb2.ModelInferResponse(model_name=request.model_name)

    def handler(behaviour: Any, request: Any, response: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(behaviour, request.FromString, response.SerializeToString)

    methods = {
        "ModelReady": handler(ready, service_pb2.ModelReadyRequest, service_pb2.ModelReadyResponse),
        "ServerReady": handler(alive, service_pb2.ServerReadyRequest, service_pb2.ServerReadyResponse),
        "ModelInfer": handler(inferred, service_pb2.ModelInferRequest, service_pb2.ModelInferResponse),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods),))
    pair = ((tmp_path / "server.key").read_bytes(), (tmp_path / "server.pem").read_bytes())
    credentials = grpc.ssl_server_credentials([pair], (tmp_path / "roots.pem").read_bytes(), True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        for tls, expected in (
            (files, True),
            (replace(files, certificate_file=None, key_file=None), False),
            (None, False),
        ):
            async with TritonConnection(f"127.0.0.1:{port}", tls) as triton:
                assert await triton.ready("any", Deadline.after(5.0 if expected else 2.0)) is expected
                request = service_pb2.ModelInferRequest(model_name="any")
                with nullcontext() if expected else pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
                    assert (await triton.infer(request, 60.0)).model_name == "any"
    finally:
        await server.stop(None)


def test_a_check_of_triton_tells_what_is_wrong(files: TlsFiles) -> None:
    with pytest.raises(NotReady):
        check_triton(f"127.0.0.1:{free_port()}", files)
