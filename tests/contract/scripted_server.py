# ruff: noqa: N802 - methods bear the names of the RPCs
"""A server that does what a test tells it: a double of the wire, with nothing of ours behind it.

Each method takes the next behaviour of its script, a function of (request, context), and notes what it saw."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from pinakes.v1 import (
    answer_service_pb2_grpc,
    audit_service_pb2_grpc,
    auth_service_pb2_grpc,
    conversation_service_pb2_grpc,
    document_service_pb2_grpc,
    encryption_service_pb2_grpc,
    event_service_pb2_grpc,
    index_service_pb2_grpc,
    inference_service_pb2_grpc,
    model_service_pb2_grpc,
    privacy_service_pb2_grpc,
    search_service_pb2_grpc,
    tenant_service_pb2_grpc,
)

Context = Any
Behaviour = Callable[[Any, Context], Any]


@dataclass
class Seen:
    """A call as the server saw it. `ended` is set when its method returned, `cancelled` says that it was cancelled."""

    method: str
    request: Any
    time_remaining_s: float
    metadata: dict[str, str | bytes]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False


class Script:
    """What each method does at its next calls; the last behaviour repeats."""

    def __init__(self) -> None:
        self.calls: list[Seen] = []
        self._another = asyncio.Event()
        self._behaviours: defaultdict[str, deque[Behaviour]] = defaultdict(deque)

    def on(self, method: str, *behaviours: Behaviour) -> None:
        """Sets the behaviours of `method`, one a call."""
        self._behaviours[method] = deque(behaviours)

    def seen(self, method: str) -> list[Seen]:
        return [call for call in self.calls if call.method == method]

    async def until_called(self, method: str) -> Seen:
        """The first call of `method`, as soon as it has come."""
        while not self.seen(method):
            self._another.clear()
            await self._another.wait()
        return self.seen(method)[0]

    def next(self, method: str) -> Behaviour:
        behaviours = self._behaviours[method]
        assert behaviours, f"nothing is scripted for {method}"
        return behaviours.popleft() if len(behaviours) > 1 else behaviours[0]

    @contextmanager
    def note(self, method: str, request: Any, context: Context) -> Iterator[Seen]:
        seen = Seen(method, request, context.time_remaining(), dict(context.invocation_metadata() or ()))
        self.calls.append(seen)
        self._another.set()
        try:
            yield seen
        except (asyncio.CancelledError, GeneratorExit):  # the latter where the cancel met a message on its way out
            seen.cancelled = True
            raise
        finally:
            seen.ended.set()

    async def unary(self, method: str, request: Any, context: Context) -> Any:
        with self.note(method, request, context):
            return await self.next(method)(request, context)

    async def stream(self, method: str, request: Any, context: Context) -> AsyncIterator[Any]:
        with self.note(method, request, context):
            async for response in self.next(method)(request, context):
                yield response


class _Servicer:
    def __init__(self, script: Script) -> None:
        self._script = script


class Documents(_Servicer, document_service_pb2_grpc.DocumentServiceServicer):
    async def UploadDocument(self, request_iterator: Any, context: Context) -> Any:
        return await self._script.unary("UploadDocument", request_iterator, context)

    async def GetDocument(self, request: Any, context: Context) -> Any:
        return await self._script.unary("GetDocument", request, context)

    async def ListDocuments(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ListDocuments", request, context)

    async def DeleteDocument(self, request: Any, context: Context) -> Any:
        return await self._script.unary("DeleteDocument", request, context)

    async def WatchJob(self, request: Any, context: Context) -> Any:
        async for response in self._script.stream("WatchJob", request, context):
            yield response

    async def CancelJob(self, request: Any, context: Context) -> Any:
        return await self._script.unary("CancelJob", request, context)

    async def SetDocumentAcl(self, request: Any, context: Context) -> Any:
        return await self._script.unary("SetDocumentAcl", request, context)

    async def ReindexDocument(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ReindexDocument", request, context)

    async def ListDeadLetters(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ListDeadLetters", request, context)

    async def ReplayDeadLetter(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ReplayDeadLetter", request, context)

    async def DiscardDeadLetter(self, request: Any, context: Context) -> Any:
        return await self._script.unary("DiscardDeadLetter", request, context)

    async def GetPageImage(self, request: Any, context: Context) -> Any:
        return await self._script.unary("GetPageImage", request, context)

    async def GetThumbnail(self, request: Any, context: Context) -> Any:
        return await self._script.unary("GetThumbnail", request, context)


class Searches(_Servicer, search_service_pb2_grpc.SearchServiceServicer):
    async def Search(self, request: Any, context: Context) -> Any:
        return await self._script.unary("Search", request, context)

    async def ListRetrievalProfiles(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ListRetrievalProfiles", request, context)


class Answers(_Servicer, answer_service_pb2_grpc.AnswerServiceServicer):
    async def Answer(self, request: Any, context: Context) -> Any:
        async for response in self._script.stream("Answer", request, context):
            yield response

    async def ResumeAnswer(self, request: Any, context: Context) -> Any:
        async for response in self._script.stream("ResumeAnswer", request, context):
            yield response

    async def GetAnswer(self, request: Any, context: Context) -> Any:
        return await self._script.unary("GetAnswer", request, context)

    async def CancelAnswer(self, request: Any, context: Context) -> Any:
        return await self._script.unary("CancelAnswer", request, context)


class Conversations(_Servicer, conversation_service_pb2_grpc.ConversationServiceServicer):
    async def CreateConversation(self, request: Any, context: Context) -> Any:
        return await self._script.unary("CreateConversation", request, context)

    async def GetConversation(self, request: Any, context: Context) -> Any:
        return await self._script.unary("GetConversation", request, context)

    async def ListConversations(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ListConversations", request, context)

    async def UpdateConversation(self, request: Any, context: Context) -> Any:
        return await self._script.unary("UpdateConversation", request, context)

    async def DeleteConversation(self, request: Any, context: Context) -> Any:
        return await self._script.unary("DeleteConversation", request, context)

    async def ListTurns(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ListTurns", request, context)


class Indexes(_Servicer, index_service_pb2_grpc.IndexServiceServicer):
    async def GetIndex(self, request: Any, context: Context) -> Any:
        return await self._script.unary("GetIndex", request, context)

    async def BuildGeneration(self, request: Any, context: Context) -> Any:
        return await self._script.unary("BuildGeneration", request, context)

    async def CompareGenerations(self, request: Any, context: Context) -> Any:
        return await self._script.unary("CompareGenerations", request, context)

    async def ActivateGeneration(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ActivateGeneration", request, context)

    async def DeleteGeneration(self, request: Any, context: Context) -> Any:
        return await self._script.unary("DeleteGeneration", request, context)

    async def CreateSnapshot(self, request: Any, context: Context) -> Any:
        return await self._script.unary("CreateSnapshot", request, context)


class ModelCare(_Servicer, model_service_pb2_grpc.ModelServiceServicer):
    async def ListModels(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ListModels", request, context)

    async def DescribeModel(self, request: Any, context: Context) -> Any:
        return await self._script.unary("DescribeModel", request, context)

    async def LoadModel(self, request: Any, context: Context) -> Any:
        return await self._script.unary("LoadModel", request, context)

    async def UnloadModel(self, request: Any, context: Context) -> Any:
        return await self._script.unary("UnloadModel", request, context)

    async def WarmModel(self, request: Any, context: Context) -> Any:
        return await self._script.unary("WarmModel", request, context)

    async def GetAliases(self, request: Any, context: Context) -> Any:
        return await self._script.unary("GetAliases", request, context)

    async def SetAlias(self, request: Any, context: Context) -> Any:
        return await self._script.unary("SetAlias", request, context)


class Events(_Servicer, event_service_pb2_grpc.EventServiceServicer):
    async def Subscribe(self, request: Any, context: Context) -> Any:
        async for response in self._script.stream("Subscribe", request, context):
            yield response


class Audit(_Servicer, audit_service_pb2_grpc.AuditServiceServicer):
    async def QueryAuditLog(self, request: Any, context: Context) -> Any:
        return await self._script.unary("QueryAuditLog", request, context)

    async def VerifyAuditLog(self, request: Any, context: Context) -> Any:
        async for response in self._script.stream("VerifyAuditLog", request, context):
            yield response

    async def ExportAuditLog(self, request: Any, context: Context) -> Any:
        async for response in self._script.stream("ExportAuditLog", request, context):
            yield response


class Privacy(_Servicer, privacy_service_pb2_grpc.PrivacyServiceServicer):
    async def GetPolicy(self, request: Any, context: Context) -> Any:
        return await self._script.unary("GetPolicy", request, context)

    async def SetPolicy(self, request: Any, context: Context) -> Any:
        return await self._script.unary("SetPolicy", request, context)

    async def ScanText(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ScanText", request, context)


class Encryption(_Servicer, encryption_service_pb2_grpc.EncryptionServiceServicer):
    async def ListDataKeys(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ListDataKeys", request, context)

    async def RotateDataKey(self, request: Any, context: Context) -> Any:
        return await self._script.unary("RotateDataKey", request, context)

    async def RotateMasterKey(self, request: Any, context: Context) -> Any:
        return await self._script.unary("RotateMasterKey", request, context)


class Tenants(_Servicer, tenant_service_pb2_grpc.TenantServiceServicer):
    async def DeleteTenant(self, request: Any, context: Context) -> Any:
        return await self._script.unary("DeleteTenant", request, context)


class Auth(_Servicer, auth_service_pb2_grpc.AuthServiceServicer):
    async def Login(self, request: Any, context: Context) -> Any:
        return await self._script.unary("Login", request, context)

    async def Refresh(self, request: Any, context: Context) -> Any:
        return await self._script.unary("Refresh", request, context)

    async def Logout(self, request: Any, context: Context) -> Any:
        return await self._script.unary("Logout", request, context)

    async def ChangePassword(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ChangePassword", request, context)

    async def Revoke(self, request: Any, context: Context) -> Any:
        return await self._script.unary("Revoke", request, context)

    async def WhoAmI(self, request: Any, context: Context) -> Any:
        return await self._script.unary("WhoAmI", request, context)

    async def CreateUser(self, request: Any, context: Context) -> Any:
        return await self._script.unary("CreateUser", request, context)

    async def ListUsers(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ListUsers", request, context)

    async def UpdateUser(self, request: Any, context: Context) -> Any:
        return await self._script.unary("UpdateUser", request, context)

    async def CreateApiKey(self, request: Any, context: Context) -> Any:
        return await self._script.unary("CreateApiKey", request, context)

    async def ListApiKeys(self, request: Any, context: Context) -> Any:
        return await self._script.unary("ListApiKeys", request, context)

    async def RevokeApiKey(self, request: Any, context: Context) -> Any:
        return await self._script.unary("RevokeApiKey", request, context)


class Models(_Servicer, inference_service_pb2_grpc.InferenceServiceServicer):
    async def Embed(self, request: Any, context: Context) -> Any:
        return await self._script.unary("Embed", request, context)

    async def Rerank(self, request: Any, context: Context) -> Any:
        return await self._script.unary("Rerank", request, context)

    async def RecognizeText(self, request: Any, context: Context) -> Any:
        return await self._script.unary("RecognizeText", request, context)

    async def Generate(self, request: Any, context: Context) -> Any:
        async for response in self._script.stream("Generate", request, context):
            yield response


@asynccontextmanager
async def serving(script: Script, credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[str]:
    """Serves the script on a free port, with `credentials` over TLS; gives the address."""
    server = grpc.aio.server()
    document_service_pb2_grpc.add_DocumentServiceServicer_to_server(Documents(script), server)
    search_service_pb2_grpc.add_SearchServiceServicer_to_server(Searches(script), server)
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(Auth(script), server)
    answer_service_pb2_grpc.add_AnswerServiceServicer_to_server(Answers(script), server)
    conversation_service_pb2_grpc.add_ConversationServiceServicer_to_server(Conversations(script), server)
    index_service_pb2_grpc.add_IndexServiceServicer_to_server(Indexes(script), server)
    inference_service_pb2_grpc.add_InferenceServiceServicer_to_server(Models(script), server)
    event_service_pb2_grpc.add_EventServiceServicer_to_server(Events(script), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelCare(script), server)
    audit_service_pb2_grpc.add_AuditServiceServicer_to_server(Audit(script), server)
    privacy_service_pb2_grpc.add_PrivacyServiceServicer_to_server(Privacy(script), server)
    encryption_service_pb2_grpc.add_EncryptionServiceServicer_to_server(Encryption(script), server)
    tenant_service_pb2_grpc.add_TenantServiceServicer_to_server(Tenants(script), server)
    address = "127.0.0.1:0"
    port = server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=None)


# --- behaviours --------------------------------------------------------------------------------------------------


def returns(response: Message) -> Behaviour:
    """A unary call that succeeds."""

    async def behave(request: Any, context: Context) -> Message:
        return response

    return behave


def streams(*responses: Message, then: Behaviour | None = None) -> Behaviour:
    """A stream of `responses`, ended by the (failing) behaviour `then` if there is one."""

    async def behave(request: Any, context: Context) -> AsyncIterator[Message]:
        for response in responses:
            yield response
        if then:
            await then(request, context)

    return behave


def hangs(*responses: Message) -> Behaviour:
    """A stream of `responses` that then stays silent until it is cancelled."""

    async def wait(request: Any, context: Context) -> None:
        await asyncio.Event().wait()

    return streams(*responses, then=wait)


def fails(code: grpc.StatusCode, message: str = "it failed", *details: Message) -> Behaviour:
    """A unary call that fails with the status; for a stream, use `streams(then=fails(...))`."""

    async def behave(request: Any, context: Context) -> None:
        await context.abort_with_status(rpc_status.to_status(status(code, message, *details)))

    return behave


def status(code: grpc.StatusCode, message: str, *details: Message) -> status_pb2.Status:
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message, details=packed)


def reason(name: str, domain: str = "pinakes", **metadata: str) -> error_details_pb2.ErrorInfo:
    """The detail that a client decides on."""
    return error_details_pb2.ErrorInfo(reason=name, domain=domain, metadata=metadata)


def retry_in(seconds: float) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return error_details_pb2.RetryInfo(retry_delay=delay)


def unavailable(retry_after_s: float = 0.0) -> Behaviour:
    """A failure that clients try again."""
    details = (reason("DEPENDENCY_UNAVAILABLE"), retry_in(retry_after_s))
    return fails(grpc.StatusCode.UNAVAILABLE, "the embedder is unavailable", *details)
