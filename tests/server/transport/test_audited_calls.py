"""What is recorded of calls, over a real gRPC server: who, what, on what, with what result; never contents."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

import pinakes.v1
from pinakes.v1 import (
    auth_service_pb2,
    conversation_service_pb2,
    document_service_pb2,
    search_service_pb2,
)
from server.domain.audit import AuditClass, AuditRecord, plain
from server.domain.audited_calls import AUDITED
from server.domain.callers import Caller, CredentialKind
from server.domain.credentials import Credentials
from server.domain.errors import DependencyUnavailable, DocumentNotFound, Unauthenticated
from server.domain.permissions import METHODS, Access, Permission
from server.domain.principals import Principal
from server.transport.auditing import note
from server.transport.authentication import Gate
from server.transport.interceptors import CallInterceptor
from tests.server.application.audit_doubles import UnrecordedCalls

ANA = Principal(
    "acme",
    "ana",
    frozenset(),
    permissions=frozenset({Permission.DOCUMENTS_WRITE, Permission.DOCUMENTS_SHARE, Permission.SEARCH}),
)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = (("authorization", "Bearer ana"), ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"))
DELETE = "/pinakes.v1.DocumentService/DeleteDocument"
SEARCH = "/pinakes.v1.SearchService/Search"
ACL = "/pinakes.v1.DocumentService/SetDocumentAcl"
LOGIN = "/pinakes.v1.AuthService/Login"
MAKE = "/pinakes.v1.ConversationService/CreateConversation"
WATCH = "/pinakes.v1.DocumentService/WatchJob"

Behaviour = Callable[[Any, Any], Any]

SERVICES = {
    service.full_name: service
    for module in pkgutil.iter_modules(pinakes.v1.__path__)
    if module.name.endswith("_service_pb2")
    for service in importlib.import_module(f"pinakes.v1.{module.name}").DESCRIPTOR.services_by_name.values()
}


class _Callers:
    """Knows Ana by her name."""

    version = 0

    async def identify(self, credentials: Credentials) -> Caller:
        if credentials.bearer != "ana":
            raise Unauthenticated("nobody of that name")
        return Caller(ANA, CredentialKind.ACCESS_TOKEN, "session-1")


class Wire:
    def __init__(self, channel: grpc.aio.Channel, audit: UnrecordedCalls) -> None:
        self.channel = channel
        self.audit = audit

    async def call(self, method: str, request: Message, metadata: Any = TRACED) -> Any:
        made: Any = self.channel.unary_unary(method, request_serializer=type(request).SerializeToString)
        return await made(request, metadata=metadata, timeout=60)

    async def records(self, number: int) -> list[AuditRecord]:
        """As soon as there are so many."""
        async with asyncio.timeout(60):
            while True:
                await self.audit.recorder.flush()
                if len(self.audit.log.records) >= number:
                    assert len(self.audit.log.records) == number
                    return self.audit.log.records
                await asyncio.sleep(0.01)


@asynccontextmanager
async def served(method: str, behaviour: Behaviour, request_type: type[Message]) -> AsyncIterator[Wire]:
    """One method, with what it does; `methods` says who may call it."""
    audit = UnrecordedCalls()
    server = grpc.aio.server(interceptors=[CallInterceptor(Gate(_Callers()), audit, concurrent_calls=2)])
    _, service, name = method.split("/")
    kind: Any = grpc.unary_stream_rpc_method_handler if method == WATCH else grpc.unary_unary_rpc_method_handler
    handler = kind(behaviour, request_type.FromString, lambda message: message.SerializeToString())
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Wire(channel, audit)
    finally:
        await server.stop(None)


def told(record: AuditRecord, *names: str) -> tuple[str, ...]:
    return tuple(str(getattr(record, name)) for name in names)


async def test_a_change_is_recorded_before_it_is_made_and_before_it_is_answered() -> None:
    seen: list[str] = []

    async def delete(request: Any, context: Any) -> Message:
        seen.extend(record.result for record in wire.audit.log.records)
        return document_service_pb2.DeleteDocumentResponse()

    async with served(DELETE, delete, document_service_pb2.DeleteDocumentRequest) as wire:
        await wire.call(DELETE, document_service_pb2.DeleteDocumentRequest(document_id="d1"))
        assert seen == ["BEGUN"]
        # Both are there when the answer is: nothing else stores them here.
        begun, done = wire.audit.log.records
    assert dataclasses.replace(done, result="BEGUN", time_us=begun.time_us) == begun
    assert done.result == "OK" and done.time_us >= begun.time_us
    assert done.audit_class is AuditClass.AUDIT
    assert told(done, "tenant", "actor_kind", "actor_id", "credential_id") == (
        "acme", "user", "ana", "access_token:session-1",
    )  # fmt: skip
    assert told(done, "action", "object_kind", "object_id") == ("DocumentService/DeleteDocument", "document", "d1")
    assert done.peer.startswith("ipv4:127.0.0.1:") and len(done.request_id) == 32 and done.trace_id == TRACE


async def test_a_change_that_cannot_be_recorded_is_not_made() -> None:
    async def delete(request: Any, context: Any) -> Message:
        raise AssertionError("it must not run")

    async with served(DELETE, delete, document_service_pb2.DeleteDocumentRequest) as wire:
        wire.audit.log.failure = DependencyUnavailable("PostgreSQL", "OperationalError")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await wire.call(DELETE, document_service_pb2.DeleteDocumentRequest(document_id="d1"))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_change_whose_outcome_cannot_be_recorded_is_not_answered() -> None:
    async def delete(request: Any, context: Any) -> Message:
        wire.audit.log.failure = DependencyUnavailable("PostgreSQL", "OperationalError")
        return document_service_pb2.DeleteDocumentResponse()

    async with served(DELETE, delete, document_service_pb2.DeleteDocumentRequest) as wire:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await wire.call(DELETE, document_service_pb2.DeleteDocumentRequest(document_id="d1"))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        wire.audit.log.failure = None
        assert [record.result for record in await wire.records(2)] == ["BEGUN", "OK"]


async def test_failures_are_recorded_with_their_codes() -> None:
    async def delete(request: Any, context: Any) -> Message:
        if request.document_id == "defect":
            raise ZeroDivisionError
        raise DocumentNotFound(request.document_id)

    async with served(DELETE, delete, document_service_pb2.DeleteDocumentRequest) as wire:
        for document_id in ("d1", "defect"):
            with pytest.raises(grpc.aio.AioRpcError):
                await wire.call(DELETE, document_service_pb2.DeleteDocumentRequest(document_id=document_id))
        results = [record.result for record in await wire.records(4)]
    assert results == ["BEGUN", "NOT_FOUND", "BEGUN", "INTERNAL"]


async def test_what_a_caller_shows_or_asks_is_recorded_without_its_contents() -> None:
    async def search(request: Any, context: Any) -> Message:
        return search_service_pb2.SearchResponse()

    async with served(SEARCH, search, search_service_pb2.SearchRequest) as wire:
        await wire.call(SEARCH, search_service_pb2.SearchRequest(query="a secret question"))
        [record] = await wire.records(1)
    assert record.audit_class is AuditClass.ACCESS
    assert (record.result, record.actor_id) == ("OK", "ana")
    assert "secret" not in repr(record)


async def test_ids_that_are_none_are_recorded_by_their_hash() -> None:
    async def delete(request: Any, context: Any) -> Message:
        raise DocumentNotFound("")

    async with served(DELETE, delete, document_service_pb2.DeleteDocumentRequest) as wire:
        for text in ("my secret is 42", "x" * 5_000):
            with pytest.raises(grpc.aio.AioRpcError):
                await wire.call(DELETE, document_service_pb2.DeleteDocumentRequest(document_id=text))
        ids = [record.object_id for record in await wire.records(4)]
    assert ids == [plain("my secret is 42")] * 2 + [plain("x" * 5_000)] * 2
    assert all(each.startswith("sha256:") for each in ids)


async def test_who_may_read_from_now_on_is_told() -> None:
    async def share(request: Any, context: Any) -> Message:
        return document_service_pb2.SetDocumentAclResponse()

    async with served(ACL, share, document_service_pb2.SetDocumentAclRequest) as wire:
        acl = document_service_pb2.DocumentAcl(users=["ben"], groups=["sales", "two words"])
        await wire.call(ACL, document_service_pb2.SetDocumentAclRequest(document_id="d1", acl=acl))
        acl = document_service_pb2.DocumentAcl(tenant_wide=True, groups=[f"{number}" for number in range(90)])
        await wire.call(ACL, document_service_pb2.SetDocumentAclRequest(document_id="d1", acl=acl))
        details = [record.detail for record in await wire.records(4)]
    few = f"users=ben;groups=sales,{plain('two words')}"
    assert details == [few, few, "tenant_wide=True;groups=90", "tenant_wide=True;groups=90"]


async def test_refused_calls_are_recorded_and_nothing_of_them_runs() -> None:
    async def never(request: Any, context: Any) -> Message:
        raise AssertionError("it must not run")

    ask = conversation_service_pb2.CreateConversationRequest(title="a secret title")
    async with served(MAKE, never, conversation_service_pb2.CreateConversationRequest) as wire:
        for metadata in ((), (("authorization", "Bearer eve"),), TRACED):
            with pytest.raises(grpc.aio.AioRpcError):
                await wire.call(MAKE, ask, metadata)
        nobody, wrong, known = await wire.records(3)
    for record in (nobody, wrong):
        # Of whom nothing is known, in the log of who operates the server.
        assert told(record, "tenant", "actor_kind", "actor_id", "result") == (
            "operator", "anonymous", "", "UNAUTHENTICATED",
        )  # fmt: skip
    assert told(known, "tenant", "actor_kind", "actor_id", "result") == ("acme", "user", "ana", "PERMISSION_DENIED")
    assert {record.audit_class for record in (nobody, wrong, known)} == {AuditClass.AUDIT}
    assert "secret" not in repr((nobody, wrong, known))
    assert "eve" not in repr(wrong)


async def test_a_sign_in_is_recorded_as_its_users_and_a_failed_one_as_nobodys() -> None:
    async def login(request: Any, context: Any) -> Message:
        if request.password != "right":
            raise Unauthenticated("wrong")
        note(ANA, detail="session=s1")
        return auth_service_pb2.LoginResponse()

    async with served(LOGIN, login, auth_service_pb2.LoginRequest) as wire:
        with pytest.raises(grpc.aio.AioRpcError):
            await wire.call(LOGIN, auth_service_pb2.LoginRequest(tenant="acme", user="ana", password="my-secret"), ())
        await wire.call(LOGIN, auth_service_pb2.LoginRequest(tenant="acme", user="ana", password="right"), ())
        records = await wire.records(2)
    by_result = {record.result: record for record in records}
    assert told(by_result["UNAUTHENTICATED"], "tenant", "actor_kind", "actor_id", "object_kind", "object_id") == (
        "operator", "anonymous", "", "user", "ana",
    )  # fmt: skip
    assert told(by_result["OK"], "tenant", "actor_kind", "actor_id", "detail") == ("acme", "user", "ana", "session=s1")
    assert "my-secret" not in repr(records)


async def test_a_caller_that_leaves_is_recorded() -> None:
    entered = asyncio.Event()

    async def delete(request: Any, context: Any) -> Message:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with served(DELETE, delete, document_service_pb2.DeleteDocumentRequest) as wire:
        call = asyncio.ensure_future(wire.call(DELETE, document_service_pb2.DeleteDocumentRequest(document_id="d1")))
        await entered.wait()
        call.cancel()
        assert [record.result for record in await wire.records(2)] == ["BEGUN", "CANCELLED"]


def test_every_method_has_a_row() -> None:
    """Whoever adds a method decides what is recorded of it."""
    seen = {method for method in METHODS if METHODS[method] is not Access.PUBLIC or method.startswith("pinakes.")}
    assert seen <= set(AUDITED)


def test_what_is_taken_from_messages_is_there_and_is_no_text() -> None:
    """Ids, and of other fields enums, flags, numbers, and names of groups, roles and models."""
    names = {"users", "groups", "tenant", "scopes", "models"}
    for method, row in AUDITED.items():
        if not method.startswith("pinakes."):
            continue
        described = SERVICES[method.partition("/")[0]].methods_by_name[method.partition("/")[2]]
        for path in row.named:
            assert _field(described.input_type, path).type == FieldDescriptor.TYPE_STRING, (method, path)
        for path in row.told:
            field = _field(described.input_type, path)
            assert field.type != FieldDescriptor.TYPE_STRING or field.name in names, (method, path)
        if row.made:
            assert _field(described.output_type, row.made).type == FieldDescriptor.TYPE_STRING, (method, row.made)


def _field(descriptor: Descriptor, path: str) -> FieldDescriptor:
    *outer, last = path.split(".")
    for name in outer:
        inner = descriptor.fields_by_name[name].message_type
        assert inner is not None
        descriptor = inner
    return descriptor.fields_by_name[last]


def test_whatever_changes_something_is_recorded_before() -> None:
    """By the permissions that methods need: those to write, to share and to manage."""
    for method, needed in METHODS.items():
        if isinstance(needed, Permission) and needed.value.endswith((":write", ":share", ":manage", ":rotate")):
            row = AUDITED[method]
            reads = method.rpartition("/")[2].startswith(("List", "Get", "Compare", "Scan", "Warm"))
            assert row.begins or reads, method
