"""The table of permissions has every method of the server, and no other."""

from __future__ import annotations

import itertools
from typing import Any

import grpc
from google.protobuf import descriptor_pool

# Importing a service registers it.
from grpc_health.v1 import health_pb2  # noqa: F401
from grpc_reflection.v1alpha import reflection_pb2  # noqa: F401

from server.domain.callers import Caller
from server.domain.credentials import Credentials
from server.domain.permissions import INSTALLATION_WIDE, METHODS, ROLES, Access, Permission, Role, permissions_of
from server.transport.authentication import Gate
from server.transport.grpc_server import SERVICES
from server.transport.interceptors import CallInterceptor
from tests.server.application.audit_doubles import UnrecordedCalls

_OTHERS = ("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")


def _methods() -> set[str]:
    pool: Any = descriptor_pool.Default()
    return {
        f"{service}/{method.name}"
        for service in (*SERVICES, *_OTHERS)
        for method in pool.FindServiceByName(service).methods
    }


def test_every_method_has_a_row_and_every_row_a_method() -> None:
    assert set(METHODS) == _methods()


def test_what_is_open_is_told_here_once_more() -> None:
    """A change of what needs no credential has to be meant."""
    assert {method for method, needed in METHODS.items() if needed is Access.PUBLIC} == {
        "pinakes.v1.AuthService/Login",
        "pinakes.v1.AuthService/Refresh",
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/Watch",
    }


def test_each_role_may_all_that_the_one_below_may() -> None:
    ladder = [ROLES[role] for role in (Role.VIEWER, Role.USER, Role.POWER_USER, Role.ADMIN)]
    assert all(below < above for below, above in itertools.pairwise(ladder))
    assert ROLES[Role.ADMIN] == set(Permission)
    assert not ROLES[Role.SERVICE]


def test_the_administrator_of_another_tenant_does_not_touch_the_installation() -> None:
    assert permissions_of(Role.ADMIN, operator=True) == set(Permission)
    assert permissions_of(Role.ADMIN, operator=False) == set(Permission) - INSTALLATION_WIDE
    assert not permissions_of(Role.SERVICE, INSTALLATION_WIDE, operator=False)


def test_a_service_has_its_scopes_and_a_user_none() -> None:
    scopes = {Permission.SEARCH, Permission.MODELS_MANAGE}
    assert permissions_of(Role.SERVICE, scopes, operator=True) == scopes
    assert permissions_of(Role.VIEWER, scopes, operator=True) == ROLES[Role.VIEWER]


class _Forgotten:
    """Knows everybody, and is never asked."""

    version = 0

    async def identify(self, credentials: Credentials) -> Caller:
        raise AssertionError("a method without a row is refused before anybody is looked at")


async def test_a_method_without_a_row_is_refused() -> None:
    async def behaviour(request: bytes, context: Any) -> bytes:
        raise AssertionError("nothing of it may run")

    server = grpc.aio.server(
        interceptors=[CallInterceptor(Gate(_Forgotten(), {}), UnrecordedCalls(), concurrent_calls=1)]
    )
    handlers: dict[str, Any] = {"Search": grpc.unary_unary_rpc_method_handler(behaviour)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pinakes.v1.SearchService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    codes = {}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method in ("/pinakes.v1.SearchService/Search", "/pinakes.v1.SearchService/Nothing"):
            call: Any = channel.unary_unary(method)
            try:
                await call(b"")
            except grpc.aio.AioRpcError as error:
                codes[method] = error.code()
    await server.stop(None)
    assert list(codes.values()) == [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED]
