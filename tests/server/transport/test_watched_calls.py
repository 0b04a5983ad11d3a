"""Calls that go on while it cannot be found out whether their callers still may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from server.domain.callers import Caller, CredentialKind
from server.domain.credentials import Credentials
from server.domain.errors import DependencyUnavailable, Unauthenticated
from server.domain.permissions import Access
from server.transport import authentication
from server.transport.authentication import Brought, Gate
from server.transport.interceptors import CallInterceptor, _written
from tests.server.application.audit_doubles import UnrecordedCalls
from tests.server.application.doubles import PRINCIPAL

METHOD = "/pinakes.v1.EventService/Subscribe"


class Context:
    """Of a call with this key."""

    def __init__(self, bearer: str) -> None:
        self._bearer = bearer

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._bearer}"),)

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}


class Callers:
    """Answers about `known` at once, and about nobody else."""

    def __init__(self, *known: str) -> None:
        self.version = 0
        self.known = known
        self.asked: list[str] = []
        self.revoked = False

    async def identify(self, credentials: Credentials) -> Caller:
        self.asked.append(credentials.bearer)
        if self.revoked:
            raise Unauthenticated("revoked")
        if credentials.bearer not in self.known:
            await asyncio.Event().wait()
        return Caller(PRINCIPAL, CredentialKind.API_KEY)


async def begun(gate: Gate, *bearers: str) -> dict[str, asyncio.Task[None]]:
    async def call(context: Any) -> None:
        with gate.watched(METHOD, Brought(context)):
            await asyncio.Event().wait()

    calls = {bearer: asyncio.create_task(call(Context(bearer))) for bearer in bearers}
    await asyncio.sleep(0)
    return calls


async def test_however_many_have_no_answer_all_are_ended_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "_REVIEW_LIMIT_S", 0.02)
    monkeypatch.setattr(authentication, "_LONGEST_UNKNOWN_S", 0.0)
    gate = Gate(Callers("known"), {METHOD.removeprefix("/"): Access.SIGNED_IN})
    calls = await begun(gate, *(f"unknown-{number}" for number in range(200)), "known")
    async with asyncio.timeout(60):
        await gate.review()
    known = calls.pop("known")
    ended = await asyncio.gather(*calls.values(), return_exceptions=True)
    assert all(isinstance(each, DependencyUnavailable) for each in ended)
    assert not known.done(), "of whom it is known goes on, also when the time for asking is over"
    known.cancel()


async def test_who_reads_slowly_is_told_why_the_call_has_ended() -> None:
    """Also while the server waits for the client to read on."""
    sent = 0

    async def events(request: bytes, context: Any) -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 2**20

    gate = Gate(callers := Callers("known"), {METHOD.removeprefix("/"): Access.SIGNED_IN})
    server = grpc.aio.server(interceptors=[CallInterceptor(gate, UnrecordedCalls(), concurrent_calls=1)])
    service: dict[str, Any] = {"Subscribe": grpc.unary_stream_rpc_method_handler(events)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pinakes.v1.EventService", service),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Any = channel.unary_stream(METHOD)
        call = method(b"", metadata=grpc.aio.Metadata(("authorization", "Bearer known")), timeout=60)
        await call.read()
        before = 0
        while sent > before:
            before = sent
            await asyncio.sleep(0.2)
        callers.revoked = True
        await gate.review()
        with pytest.raises(grpc.aio.AioRpcError) as told:
            while await call.read() is not grpc.aio.EOF:
                pass
    await server.stop(None)
    assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_connection_that_is_lost_is_no_defect() -> None:
    """gRPC tells it of a write in different ways."""

    class Lost:
        async def write(self, response: bytes) -> None:
            raise grpc.aio.InternalError("lost")

    lost: Any = Lost()
    with pytest.raises(asyncio.CancelledError):
        await _written(lost, b"x")


async def test_those_whose_turn_did_not_come_are_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "_REVIEW_LIMIT_S", 0.2)
    gate = Gate(callers := Callers(), {METHOD.removeprefix("/"): Access.SIGNED_IN})
    calls = await begun(gate, "one", "two", "three")
    for _ in range(3):
        await gate.review()
    # Only the first of each review is waited for.
    assert len(callers.asked) == 9 and sorted(callers.asked[::3]) == ["one", "three", "two"]
    for call in calls.values():
        call.cancel()
