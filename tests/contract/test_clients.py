"""The two clients are one client."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pinakes import (
    Answers,
    AsyncAnswers,
    AsyncAuth,
    AsyncClient,
    AsyncConversations,
    AsyncDocuments,
    AsyncEvents,
    AsyncIndex,
    AsyncModels,
    Auth,
    Client,
    Conversations,
    Documents,
    Events,
    Index,
    Models,
)
from pinakes.audit import AsyncAudit, Audit
from pinakes.encryption import AsyncEncryption, AsyncTenants, Encryption, Tenants
from pinakes.privacy import AsyncPrivacy, Privacy
from pinakes.quotas import AsyncQuotas, Quotas
from pinakes.v1 import document_service_pb2, inference_service_pb2, search_service_pb2
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script


def public(cls: type) -> dict[str, Any]:
    return {name: member for name, member in vars(cls).items() if not name.startswith("_") and callable(member)}


@pytest.mark.parametrize(
    ("asynchronous", "synchronous"),
    [
        (AsyncClient, Client),
        (AsyncAnswers, Answers),
        (AsyncConversations, Conversations),
        (AsyncDocuments, Documents),
        (AsyncIndex, Index),
        (AsyncModels, Models),
        (AsyncEvents, Events),
        (AsyncAuth, Auth),
        (AsyncPrivacy, Privacy),
        (AsyncQuotas, Quotas),
        (AsyncEncryption, Encryption),
        (AsyncTenants, Tenants),
        (AsyncAudit, Audit),
    ],
)
def test_methods_and_parameters_are_the_same(asynchronous: type, synchronous: type) -> None:
    ours, theirs = public(asynchronous), public(synchronous)
    assert ours.keys() == theirs.keys()
    for name, method in ours.items():
        assert inspect.signature(method).parameters == inspect.signature(theirs[name]).parameters, name
        assert method.__doc__ == theirs[name].__doc__, name


async def test_one_sync_client_serves_many_threads(sync_client: Client, script: Script) -> None:
    async def echo(request: Any, context: Any) -> search_service_pb2.SearchResponse:
        return search_service_pb2.SearchResponse(index_position=request.query)

    script.on("Search", echo)

    def ask(number: int) -> list[str]:
        return [sync_client.search(f"{number}.{turn}").index_position for turn in range(5)]

    def ask_in_threads() -> list[list[str]]:
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(ask, range(8)))

    answers = await asyncio.to_thread(ask_in_threads)
    assert answers == [[f"{number}.{turn}" for turn in range(5)] for number in range(8)]


async def test_a_sync_client_retries_lists_and_streams(sync_client: Client, script: Script) -> None:
    embedded = inference_service_pb2.EmbedResponse(model="m")
    script.on("Embed", server.unavailable(), server.returns(embedded))
    assert (await asyncio.to_thread(sync_client.embed, ["t"])).model == "m"
    assert len(script.seen("Embed")) == 2

    page = document_service_pb2.ListDocumentsResponse(documents=[document_service_pb2.Document(document_id="a")])
    script.on("ListDocuments", server.returns(page))
    listed = await asyncio.to_thread(lambda: list(sync_client.documents.list()))
    assert [document.document_id for document in listed] == ["a"]

    delta = inference_service_pb2.GenerateResponse(delta=inference_service_pb2.GenerateDelta(text="hello"))
    end = inference_service_pb2.GenerateResponse(completion=inference_service_pb2.GenerateCompletion(model="m"))
    script.on("Generate", server.streams(then=server.unavailable()), server.streams(delta, end))
    events = await asyncio.to_thread(lambda: list(sync_client.generate("p")))
    assert [type(event).__name__ for event in events] == ["GenerateDelta", "GenerateCompletion"]


async def test_an_empty_stream_is_empty(sync_client: Client, client: AsyncClient, script: Script) -> None:
    script.on("Generate", server.streams())
    assert await asyncio.to_thread(lambda: list(sync_client.generate("p"))) == []
    assert [event async for event in client.generate("p")] == []
