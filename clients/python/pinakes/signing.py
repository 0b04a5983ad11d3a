"""Puts calls together with what they carry."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import grpc

from pinakes.auth import logged_in, login_request, refresh_request, refreshed
from pinakes.calls import AsyncCalls, SyncCalls
from pinakes.channel import open_channel
from pinakes.credentials import AsyncSigned, Credentials, Login, Signed, Tokens, check_secrecy
from pinakes.options import ClientOptions
from pinakes.tls import Tls
from pinakes.v1.auth_service_pb2 import RefreshResponse
from pinakes.v1.auth_service_pb2_grpc import AuthServiceStub

Q = TypeVar("Q")
R = TypeVar("R")


def open_calls(channel: grpc.Channel, options: ClientOptions, credentials: Credentials) -> SyncCalls:
    """Calls by `credentials`, signing in when it takes that."""
    stub = AuthServiceStub(channel)
    nobody = SyncCalls(options, Signed(Credentials(), options.metadata, _never, _never))
    timeout_s = options.deadlines.unary_s

    def sign_in(login: Login) -> Tokens:
        return nobody.unary(stub.Login, login_request(login), timeout_s, logged_in)

    def refresh(token: str) -> Tokens:
        # Once: a token is used up even when the response is lost.
        request = refresh_request(token)
        return refreshed(
            nobody.retried(
                lambda left_s: stub.Refresh(request, timeout=left_s, metadata=options.metadata), timeout_s, 1
            )
        )

    return SyncCalls(options, Signed(credentials, options.metadata, sign_in, refresh))


def open_async_calls(channel: grpc.aio.Channel, options: ClientOptions, credentials: Credentials) -> AsyncCalls:
    """As `open_calls`, for `grpc.aio`."""
    stub = AuthServiceStub(channel)
    nobody = AsyncCalls(options, AsyncSigned(Credentials(), options.metadata, _never_async, _never_async))
    timeout_s = options.deadlines.unary_s

    async def sign_in(login: Login) -> Tokens:
        return await nobody.unary(stub.Login, login_request(login), timeout_s, logged_in)

    async def refresh(token: str) -> Tokens:
        request = refresh_request(token)

        async def once(left_s: float) -> RefreshResponse:
            return await stub.Refresh(request, timeout=left_s, metadata=grpc.aio.Metadata(*options.metadata))

        return refreshed(await nobody.retried(once, timeout_s, 1))

    return AsyncCalls(options, AsyncSigned(credentials, options.metadata, sign_in, refresh))


def log_in(address: str, login: Login, tls: Tls | None, options: ClientOptions) -> Tokens:
    """A session of its own, for who keeps it. Raises LoginRefused, TooManyLogins, SecretInTheClear."""
    check_secrecy(address, tls is not None, options, Credentials(login=login))
    with open_channel(address, options, None, tls) as channel:
        return _tokens_of(options, AuthServiceStub(channel).Login, login_request(login), logged_in)


def log_in_again(address: str, refresh_token: str, tls: Tls | None, options: ClientOptions) -> Tokens:
    """The next tokens of a session. Raises LoginRefused when it has ended, SecretInTheClear."""
    check_secrecy(address, tls is not None, options, Credentials(token=refresh_token))
    with open_channel(address, options, None, tls) as channel:
        stub = AuthServiceStub(channel)
        return _tokens_of(options, stub.Refresh, refresh_request(refresh_token), refreshed)


def _tokens_of(
    options: ClientOptions,
    method: grpc.UnaryUnaryMultiCallable[Q, R],
    request: Q,
    result: Callable[[R], Tokens],
) -> Tokens:
    calls = SyncCalls(options, Signed(Credentials(), options.metadata, _never, _never))
    timeout_s = options.deadlines.unary_s
    return result(
        calls.retried(lambda left_s: method(request, timeout=left_s, metadata=options.metadata), timeout_s, 1)
    )


def _never(given: object) -> Tokens:
    raise AssertionError("who signs in has not signed in")


async def _never_async(given: object) -> Tokens:
    return _never(given)
