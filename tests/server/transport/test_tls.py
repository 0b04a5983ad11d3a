"""TLS as callers meet it."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

import server.transport.grpc_server as grpc_server_module
from pinakes import AsyncClient, PinakesError
from pinakes.tls import Tls
from server.application.watch_certificate import CertificateState, WatchCertificate, WatchCertificateOptions
from server.domain.errors import CertificateUnusable
from server.domain.events import InstallationEvent, SystemAlert
from server.embedded.health import NotReady, check_grpc_server
from server.embedded.process import free_port
from server.transport.authentication import Everybody, Gate
from server.transport.health import HealthReport
from server.transport.tls import ServerCertificate, TlsOptions
from tests.server.application.audit_doubles import UnrecordedCalls
from tests.server.application.doubles import PRINCIPAL
from tests.server.transport.certificates import Issued, authority, issued_by


class Files:
    """Where a server's certificate lies."""

    def __init__(self, folder: Path) -> None:
        self.authority = authority()
        self.chain, self.key, self.roots = folder / "server.pem", folder / "server.key", folder / "roots.pem"
        self.roots.write_bytes(self.authority.pem)
        self.replace("first")

    def replace(self, name: str, **more: Any) -> Issued:
        made = issued_by(self.authority, name, **more)
        made.write(self.chain, self.key)
        return made

    def options(self, client_ca_file: Path | None = None) -> TlsOptions:
        return TlsOptions(self.chain, self.key, client_ca_file)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@asynccontextmanager
async def served(certificate: ServerCertificate) -> AsyncIterator[int]:
    """A server that tells, a line for each message, what it knows of the caller's certificate."""

    async def told(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for _ in requests:
            names = context.auth_context().get("x509_subject_alternative_name", [])
            yield b" ".join(names)

    handler: Any = grpc.stream_stream_rpc_method_handler(told)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", {"Tell": handler}),))
    port = server.add_secure_port("127.0.0.1:0", certificate.credentials())
    await server.start()
    yield port
    await server.stop(None)


def shown(port: int, files: Files) -> str:
    """The name on the certificate that a new connection gets."""
    context = ssl.create_default_context(cafile=str(files.roots))
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), 60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        assert connection.version() == "TLSv1.3"
        found = connection.getpeercert(binary_form=True)
    assert found is not None
    return x509.load_der_x509_certificate(found).subject.rfc4514_string().removeprefix("CN=")


async def test_new_connections_get_the_new_certificate_and_streams_go_on(files: Files) -> None:
    certificate = ServerCertificate(files.options())
    async with (
        served(certificate) as port,
        grpc.aio.secure_channel(f"127.0.0.1:{port}", Tls(root_file=files.roots).credentials()) as channel,
    ):
        stream: Any = channel.stream_stream("/t.T/Tell")(timeout=120)
        await stream.write(b"")
        assert await stream.read() == b""
        assert await asyncio.to_thread(shown, port, files) == "first"
        files.replace("second")
        assert await asyncio.to_thread(shown, port, files) == "second"
        await stream.write(b"")
        assert await stream.read() == b"", "an open connection goes on"
        # What is broken changes nothing, until it is mended.
        files.key.write_bytes(issued_by(files.authority, "other").key_pem)
        assert await asyncio.to_thread(shown, port, files) == "second"
        assert "is not the key of" in certificate.look().problem
        files.replace("third", days=-1)
        assert await asyncio.to_thread(shown, port, files) == "second"
        assert "is valid from" in certificate.look().problem
        files.chain.unlink()
        assert await asyncio.to_thread(shown, port, files) == "second"
        assert "cannot be read" in certificate.look().problem
        files.replace("fourth")
        assert await asyncio.to_thread(shown, port, files) == "fourth"
        assert certificate.look().problem == ""
        await stream.write(b"")
        assert await stream.read() == b""


async def test_callers_show_a_certificate_of_the_right_authority(files: Files, tmp_path: Path) -> None:
    own, strange = authority("callers"), authority("strangers")
    callers = tmp_path / "callers.pem"
    callers.write_bytes(own.pem)
    mine = issued_by(own, "me", uri="spiffe://house/ingest")
    mine.write(tmp_path / "me.pem", tmp_path / "me.key")
    issued_by(strange, "you", uri="spiffe://house/ingest").write(tmp_path / "you.pem", tmp_path / "you.key")
    certificate = ServerCertificate(files.options(callers))
    async with served(certificate) as port:

        async def told(tls: Tls) -> bytes:
            async with grpc.aio.secure_channel(f"127.0.0.1:{port}", tls.credentials()) as channel:
                stream: Any = channel.stream_stream("/t.T/Tell")(timeout=60)
                await stream.write(b"")
                names: bytes = await stream.read()
                return names

        me = Tls(files.roots, tmp_path / "me.pem", tmp_path / "me.key")
        assert b"spiffe://house/ingest" in (await told(me)).split()
        for tls in (Tls(files.roots), Tls(files.roots, tmp_path / "you.pem", tmp_path / "you.key")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await told(tls)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        # The authorities are reloaded, too.
        callers.write_bytes(strange.pem)
        assert b"spiffe://house/ingest" in await told(Tls(files.roots, tmp_path / "you.pem", tmp_path / "you.key"))
        with pytest.raises(grpc.aio.AioRpcError):
            await told(me)


def test_what_cannot_be_used_is_told_at_the_start(files: Files, tmp_path: Path) -> None:
    def refusal(options: TlsOptions) -> str:
        with pytest.raises(CertificateUnusable) as refused:
            ServerCertificate(options)
        return str(refused.value)

    ServerCertificate(files.options())
    assert "cannot be read" in refusal(TlsOptions(tmp_path / "none", files.key))
    assert "no certificate" in refusal(TlsOptions(files.key, files.key))
    assert "no private key" in refusal(TlsOptions(files.chain, files.chain))
    assert "no certificate" in refusal(files.options(files.key))
    files.replace("old", days=-1)
    assert "valid from" in refusal(files.options())
    with pytest.raises(ValueError, match="or neither"):
        TlsOptions(files.chain)
    with pytest.raises(ValueError, match="client_ca_file needs"):
        TlsOptions(client_ca_file=files.chain)


async def test_health_alone_is_served_in_the_clear_beside_tls(files: Files) -> None:
    """A probe needs neither TLS nor a certificate, and reaches nothing else."""
    servicers = {
        # What the contract's generated classes do: they refuse as not implemented.
        each.name: getattr(grpc_server_module, str(each.type)).__mro__[1]()
        for each in dataclasses.fields(grpc_server_module.Servicers)
    }
    options = grpc_server_module.ServerOptions(
        address="127.0.0.1:0", tls=files.options(files.roots), health_address=f"127.0.0.1:{free_port()}"
    )
    report, gate = HealthReport(), Gate(Everybody(PRINCIPAL))
    serving = grpc_server_module.grpc_server(
        grpc_server_module.Servicers(**servicers),
        gate,
        UnrecordedCalls(),
        report,
        options,
        ServerCertificate(options.tls),
    )
    async with serving as port:
        with pytest.raises(NotReady, match="NOT_SERVING"):
            await asyncio.to_thread(check_grpc_server, options.health_address)
        await report.set(("",), serving=True)
        await asyncio.to_thread(check_grpc_server, options.health_address)
        with pytest.raises(NotReady, match="UNAVAILABLE"):
            await asyncio.to_thread(check_grpc_server, f"127.0.0.1:{port}")
        async with AsyncClient(options.health_address) as client:
            with pytest.raises(PinakesError) as refused:
                await client.encryption.rotate_master_key()
        assert refused.value.code == "UNIMPLEMENTED"
    with pytest.raises(NotReady):
        await asyncio.to_thread(check_grpc_server, options.health_address)


_SERVER = """
import asyncio, os, sys
from pathlib import Path
from server.transport.tls_versions import require_tls_1_3
require_tls_1_3(os.environ)
import grpc
from server.transport.tls import ServerCertificate, TlsOptions
async def main():
    server = grpc.aio.server()
    certificate = ServerCertificate(TlsOptions(Path(sys.argv[1]), Path(sys.argv[2])))
    print(server.add_secure_port("127.0.0.1:0", certificate.credentials()), flush=True)
    await server.start()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)
asyncio.run(main())
"""


def test_tls_1_2_is_refused(files: Files) -> None:
    """In a process of its own, which begins anew: gRPC reads what decides it when it is imported."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(files.chain), str(files.key)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[3],
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        port = int(process.stdout.readline())
        older = ssl.create_default_context(cafile=str(files.roots))
        older.maximum_version = ssl.TLSVersion.TLSv1_2
        with (
            socket.create_connection(("127.0.0.1", port), 60) as plain,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            older.wrap_socket(plain, server_hostname="localhost")
        assert shown(port, files) == "first"
        process.stdin.close()
        assert process.wait(60) == 0


class Ears:
    def __init__(self) -> None:
        self.heard: list[InstallationEvent] = []

    async def tell(self, event: InstallationEvent) -> None:
        self.heard.append(event)


class OneState:
    def __init__(self, state: CertificateState) -> None:
        self.state = state

    def look(self) -> CertificateState:
        return self.state


async def test_an_alert_comes_once_for_each_lasting_problem(files: Files) -> None:
    certificate, ears = ServerCertificate(files.options()), Ears()
    watch = WatchCertificate(certificate, ears, WatchCertificateOptions(expiry_days=14))

    async def problems(looks: int) -> list[str]:
        ears.heard.clear()
        for _ in range(looks):
            await watch.look()
        return [event.problem for event in ears.heard if isinstance(event, SystemAlert)]

    assert await problems(3) == []
    files.key.write_bytes(issued_by(files.authority, "other").key_pem)
    assert await problems(1) == [], "the other file may be about to come"
    assert len(await problems(3)) == 1
    assert await problems(2) == []
    files.replace("soon", days=13)
    [problem] = await problems(3)
    assert "valid until" in problem
    files.replace("later", days=90)
    assert await problems(3) == []
    files.key.write_bytes(b"")
    assert len(await problems(2)) == 1, "again, since it was well in between"
