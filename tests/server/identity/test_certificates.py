"""Callers who are known by their certificates, over real TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from pinakes import AsyncClient, ClientOptions, RetryPolicy, errors
from pinakes.auth import CredentialKind
from pinakes.tls import Tls
from pinakes.v1 import auth_service_pb2_grpc
from server.application.identify_callers import IdentifyOptions, KnownCertificate
from server.domain.permissions import Permission
from server.transport.interceptors import CallInterceptor
from server.transport.tls import ServerCertificate, TlsOptions
from tests.server.application.audit_doubles import UnrecordedCalls
from tests.server.identity.conftest import Begin, Replica
from tests.server.transport.certificates import Issued, authority, issued_by

INDEXER = "spiffe://tests/indexer"
KNOWN = KnownCertificate(
    INDEXER, "default", "indexer", ("quality",), (Permission.DOCUMENTS_WRITE, Permission.MODELS_MANAGE)
)


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = authority()
        self.roots = folder / "roots.pem"
        self.roots.write_bytes(self.authority.pem)

    def tls(self, name: str, uri: str = "", signer: Issued | None = None) -> Tls:
        """Of a client with a certificate of its own."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        issued_by(signer or self.authority, name, uri=uri, names=(f"{name}.test",)).write(certificate, key)
        return Tls(root_file=self.roots, certificate_file=certificate, key_file=key)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@asynccontextmanager
async def served(replica: Replica, files: Files) -> AsyncIterator[Callable[..., AsyncClient]]:
    """AuthService over TLS, for callers with certificates."""
    chain, key = files.folder / "server.pem", files.folder / "server.key"
    issued_by(files.authority, "server").write(chain, key)
    certificate = ServerCertificate(TlsOptions(chain, key, files.roots))
    server = grpc.aio.server(interceptors=[CallInterceptor(replica.parts.gate, UnrecordedCalls(), concurrent_calls=8)])
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(replica.parts.servicer, server)
    port = server.add_secure_port("127.0.0.1:0", certificate.credentials())
    await server.start()
    yield lambda tls, **more: AsyncClient(f"127.0.0.1:{port}", tls=tls, **more)
    await server.stop(None)


async def test_a_certificate_says_who_calls(begin: Begin, files: Files) -> None:
    replica = await begin(callers=IdentifyOptions(certificates=(KNOWN,)))
    async with served(replica, files) as client:
        async with client(files.tls("indexer", INDEXER)) as indexer:
            told = await indexer.auth.who_am_i()
            assert (told.tenant, told.user, told.groups) == ("default", "indexer", ("quality",))
            assert told.credential_kind is CredentialKind.CERTIFICATE and told.credential_id == INDEXER
            assert told.permissions == ("documents:write", "models:manage")
            with pytest.raises(errors.PermissionDenied):
                await anext(aiter(indexer.auth.list_users()))
        # One that is good, and whose name nobody has said anything of.
        async with client(files.tls("stranger", "spiffe://tests/stranger")) as stranger:
            with pytest.raises(errors.Unauthenticated):
                await stranger.auth.who_am_i()
        # What is sent says more than the connection that it comes by.
        async with client(files.tls("gateway", INDEXER), api_key=replica.admin) as gateway:
            assert (await gateway.auth.who_am_i()).credential_kind is CredentialKind.API_KEY
        async with client(files.tls("forger", INDEXER), token="garbage") as forger:
            with pytest.raises(errors.Unauthenticated):
                await forger.auth.who_am_i()


async def test_a_certificate_of_another_authority_does_not_connect(begin: Begin, files: Files) -> None:
    replica = await begin(callers=IdentifyOptions(certificates=(KNOWN,)))
    forged = files.tls("eve", INDEXER, authority("another"))
    once = ClientOptions(retry=RetryPolicy(attempts=1))
    async with served(replica, files) as client, client(forged, options=once) as eve:
        with pytest.raises(errors.Unavailable):
            await eve.auth.who_am_i(timeout_s=60)


async def test_in_another_tenant_it_does_not_touch_the_installation(begin: Begin, files: Files) -> None:
    known = KnownCertificate(INDEXER, "rival", "indexer", (), KNOWN.scopes)
    replica = await begin(callers=IdentifyOptions(certificates=(known,)))
    async with served(replica, files) as client, client(files.tls("indexer", INDEXER)) as indexer:
        assert (await indexer.auth.who_am_i()).permissions == ("documents:write",)
