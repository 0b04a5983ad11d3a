"""The real identity over a real database, behind a gRPC server whose methods only say that they were reached."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from pinakes.v1 import auth_service_pb2_grpc
from server.adapters.argon2_hashes import Argon2Options
from server.adapters.issued_tokens import IssuerOptions
from server.adapters.postgres.identity_changes import ChangeOptions
from server.adapters.postgres.pool import PostgresPool
from server.application.identify_callers import IdentifyOptions
from server.application.sign_in import SignInOptions
from server.parts.identity import IdentityParts, identity_parts
from server.settings import IdentitySettings, Settings
from server.transport.grpc_server import SERVICES
from server.transport.interceptors import CallInterceptor
from tests.server.application.audit_doubles import UnrecordedCalls

AUTH = "pinakes.v1.AuthService"
CHEAP = Argon2Options(passes=1, memory_kib=8)
PASSWORD = "correct horse battery"


@dataclass
class Replica:
    """One server process of several over one database."""

    parts: IdentityParts
    address: str
    channel: grpc.aio.Channel
    data: Path
    admin: str
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, method: str, request: Any, bearer: str | None = None, **metadata: str) -> Any:
        """`method` as `Service/Method` of pinakes.v1; raises grpc.aio.AioRpcError."""
        sent = tuple(metadata.items())
        if bearer is not None:
            sent = (*sent, ("authorization", f"Bearer {bearer}"))
        made: Any = self.channel.unary_unary(
            f"/pinakes.v1.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=_response(method).FromString,
        )
        return await made(request, timeout=60, metadata=grpc.aio.Metadata(*sent))


Begin = Callable[..., Any]


@pytest.fixture
async def begin(pool: PostgresPool, migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Begin]:
    """Starts a replica. All share the database; each has a directory of its own."""
    async with AsyncExitStack() as opened:
        count = 0
        admin = ""

        async def start(**identity: Any) -> Replica:
            nonlocal count, admin
            count += 1
            data = tmp_path / str(count)
            replica = await opened.enter_async_context(_replica(pool, migrated_dsn, data, identity))
            if (data / "admin.key").exists():
                admin = (data / "admin.key").read_text().strip()
            replica.admin = admin
            return replica

        yield start


@pytest.fixture
async def replica(begin: Begin) -> Replica:
    """The only one."""
    started: Replica = await begin()
    return started


@asynccontextmanager
async def _replica(pool: PostgresPool, dsn: str, data: Path, identity: dict[str, Any]) -> AsyncIterator[Replica]:
    options = {
        "hashing": CHEAP,
        "key_hashing": CHEAP,
        "callers": IdentifyOptions(),
        "sign_in": SignInOptions(),
        "changes": ChangeOptions(),
        **identity,
    }
    settings = Settings(data_dir=data, postgres={"dsn": dsn}, identity=IdentitySettings(**options))  # type: ignore[arg-type]
    async with identity_parts(settings, pool, "tests") as parts:
        server = grpc.aio.server(interceptors=[CallInterceptor(parts.gate, UnrecordedCalls(), concurrent_calls=512)])
        auth_service_pb2_grpc.add_AuthServiceServicer_to_server(parts.servicer, server)
        for service in (*SERVICES, "grpc.reflection.v1alpha.ServerReflection", "grpc.health.v1.Health"):
            if service != AUTH:
                server.add_generic_rpc_handlers((_reached(service),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Replica(parts, f"127.0.0.1:{port}", channel, data, "")
        await server.stop(None)


def _reached(service: str) -> grpc.GenericRpcHandler:
    """Every method answers at once with an empty message; streams of events, `Subscribe`, last."""

    def handler(method: Any) -> grpc.RpcMethodHandler[Any, Any]:
        empty = GetMessageClass(method.output_type)()

        async def unary(request: Any, context: Any) -> Any:
            return empty

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            yield empty
            if method.name == "Subscribe":
                await asyncio.Event().wait()

        make: Any = getattr(
            grpc,
            f"{'stream' if method.client_streaming else 'unary'}_"
            f"{'stream' if method.server_streaming else 'unary'}_rpc_method_handler",
        )
        made: grpc.RpcMethodHandler[Any, Any] = make(
            stream if method.server_streaming else unary,
            GetMessageClass(method.input_type).FromString,
            GetMessageClass(method.output_type).SerializeToString,
        )
        return made

    described: Any = descriptor_pool.Default()
    methods = {method.name: handler(method) for method in described.FindServiceByName(service).methods}
    return grpc.method_handlers_generic_handler(service, methods)


def _response(method: str) -> Any:
    service, name = method.split("/")
    described: Any = descriptor_pool.Default()
    return GetMessageClass(described.FindServiceByName(f"pinakes.v1.{service}").methods_by_name[name].output_type)


def issuer_options(jwks: Path, **more: Any) -> IssuerOptions:
    return IssuerOptions(issuer="https://idp.test", audience="pinakes-tests", jwks=str(jwks), **more)
