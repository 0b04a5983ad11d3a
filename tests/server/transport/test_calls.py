"""Calls through a real gRPC server, over use cases with ports in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import grpc
import pytest
import structlog
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from pinakes.v1 import (
    answer_service_pb2,
    answer_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
)
from server.application.answer_question import AnswerOptions, AnswerQuestion
from server.application.model_ports import EmbeddingKind, Embeddings
from server.application.search_passages import SearchOptions, SearchPassages
from server.domain.deadline import Deadline
from server.transport.answer_servicer import AnswerServicer
from server.transport.grpc_server import drained
from server.transport.health import HealthReport, HealthWatch
from server.transport.interceptors import CallInterceptor
from server.transport.search_servicer import SearchServicer
from tests.server.application.answer_doubles import MemoryStore, giving
from tests.server.application.audit_doubles import UnrecordedCalls
from tests.server.application.doubles import (
    PRINCIPAL,
    OneModel,
    ScriptedEmbedder,
    ScriptedGenerator,
    ScriptedHighlighter,
    ScriptedIndex,
    ScriptedNames,
    ScriptedReader,
    ScriptedStore,
    chain_of,
    hit,
    passage,
)
from tests.server.transport.callers import OPEN, OneIdentity

QUESTION = answer_service_pb2.AnswerRequest(question="Tell me about the passengers of the ferry.")


class GatedEmbedder(ScriptedEmbedder):
    """Waits for the gate; a query of `defect` meets a bug."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind, deadline: Deadline) -> Embeddings:
        if texts[0] == "defect":
            raise ZeroDivisionError(f"the text was {texts[0]}")
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        return await super().embed(texts, kind, deadline)


class Wire:
    """A server with search and answer, and a channel to it."""

    def __init__(
        self,
        port: int,
        embedder: GatedEmbedder,
        generator: ScriptedGenerator,
        stop: Callable[[float], Coroutine[Any, Any, None]],
    ) -> None:
        self.stop = stop
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self.search = search_service_pb2_grpc.SearchServiceStub(self.channel)
        self.answer = answer_service_pb2_grpc.AnswerServiceStub(self.channel)
        self.embedder = embedder
        self.generator = generator


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    embedder = GatedEmbedder()
    generator = ScriptedGenerator("The ferry carries 610 passengers. " * 200)
    store = ScriptedStore({"a": passage("a", "The ferry carries 610 passengers.")})
    search = SearchPassages(
        OneModel(embedder),
        OneModel(),
        ScriptedIndex((hit("a", 1),), position=3),
        store,
        ScriptedNames(),
        ScriptedHighlighter(),
        SearchOptions(),
    )
    identity = OneIdentity(PRINCIPAL)
    calls = CallInterceptor(OPEN, UnrecordedCalls(), concurrent_calls=2)
    server = grpc.aio.server(interceptors=[calls])
    search_service_pb2_grpc.add_SearchServiceServicer_to_server(
        SearchServicer(identity, search, search.profiles), server
    )
    give = giving(
        AnswerQuestion(search, chain_of(generator), OneModel(ScriptedReader({})), AnswerOptions()), MemoryStore()
    )
    answers = AnswerServicer(identity, give)
    answer_service_pb2_grpc.add_AnswerServiceServicer_to_server(answers, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    opened = Wire(port, embedder, generator, lambda drain_s: drained(server, calls, drain_s))
    yield opened
    await opened.channel.close()
    await server.stop(None)
    await give.close()


def query(text: str, **fields: Any) -> search_service_pb2.SearchRequest:
    return search_service_pb2.SearchRequest(query=text, **fields)


def info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    found = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(found)
    return found


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in code that knows no test
            await asyncio.sleep(0.01)


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return refusal.value


async def test_a_search_returns_passages_and_timings(wire: Wire) -> None:
    response = await wire.search.Search(query("ferry", debug=True), timeout=10)
    assert [ranked.passage.chunk_id for ranked in response.passages] == ["a"]
    assert [timing.stage for timing in response.timings] == [
        "embed",
        "understand",
        "search",
        "fetch",
        "highlight",
        "total",
    ]
    assert response.index_position == "log-3"
    assert response.HasField("debug")


async def test_errors_carry_reason_and_field(wire: Wire) -> None:
    error = await refused(wire.search.Search(query("x" * 10_001), timeout=10))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert info(error).reason == "INVALID_FIELD"
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    bad = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(bad)
    assert bad.field_violations[0].field == "query"


async def test_a_defect_is_internal_and_tells_no_text(wire: Wire) -> None:
    with structlog.testing.capture_logs() as logged:
        error = await refused(wire.search.Search(query("defect"), timeout=10))
    assert [entry["error"] for entry in logged if entry["event"] == "call_failed"] == ["ZeroDivisionError"]
    assert "the text was defect" not in str(logged)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "the text was" not in str(error)
    assert len(info(error).metadata["request_id"]) == 32


async def test_calls_beyond_the_limit_are_refused_with_a_delay(wire: Wire) -> None:
    wire.embedder.gate.clear()
    running = [asyncio.ensure_future(wire.search.Search(query(text), timeout=10)) for text in ("ferry", "ship")]
    await eventually(lambda: wire.embedder.waiting == 2)
    error = await refused(wire.search.Search(query("ferry"), timeout=10))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert info(error).reason == "OVERLOADED"
    wire.embedder.gate.set()
    assert len(await asyncio.gather(*running)) == 2
    await wire.search.Search(query("ferry"), timeout=10)


async def test_a_passed_deadline_frees_the_call(wire: Wire) -> None:
    wire.embedder.gate.clear()
    error = await refused(wire.search.Search(query("ferry"), timeout=0.1))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: wire.embedder.waiting == 0)


async def test_an_answer_streams_events_in_order(wire: Wire) -> None:
    call = wire.answer.Answer(QUESTION, timeout=30)
    responses = [response async for response in call]
    kinds = [response.WhichOneof("event") for response in responses]
    assert kinds[0] == "sources"
    assert kinds[-1] == "completion"
    assert set(kinds[1:-1]) == {"delta", "citation"}
    assert [response.sequence for response in responses] == list(range(1, len(responses) + 1))
    assert len({response.answer_id for response in responses}) == 1


async def test_cancelling_an_answer_closes_the_generator(wire: Wire) -> None:
    call = wire.answer.Answer(QUESTION, timeout=30)
    async for response in call:
        if response.WhichOneof("event") == "delta":
            break
    call.cancel()
    await eventually(lambda: wire.generator.closed_early)
    assert wire.generator.sent < 1_000


async def test_a_server_that_stops_lets_calls_end(wire: Wire) -> None:
    wire.embedder.gate.clear()
    call = asyncio.ensure_future(wire.search.Search(query("ferry"), timeout=10))
    await eventually(lambda: wire.embedder.waiting == 1)
    stopped = asyncio.ensure_future(wire.stop(10))
    await asyncio.sleep(0)
    wire.embedder.gate.set()
    assert (await call).passages
    await stopped


@pytest.mark.parametrize("method", ["Search", "Answer"])
async def test_calls_that_outlast_a_stop_are_told_to_come_again(wire: Wire, method: str) -> None:
    wire.embedder.gate.clear()
    unary = method == "Search"
    waiting = wire.search.Search(query("ferry"), timeout=10) if unary else anext(aiter(wire.answer.Answer(QUESTION)))
    call = asyncio.ensure_future(waiting)
    await eventually(lambda: wire.embedder.waiting == 1)
    await wire.stop(0.01)
    error = await refused(call)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert info(error).reason == "DEPENDENCY_UNAVAILABLE"
    assert wire.embedder.waiting == 0


async def test_watches_end_as_soon_as_the_server_stops() -> None:
    began = asyncio.Event()

    async def watch(request: bytes, context: Any) -> AsyncIterator[bytes]:
        began.set()
        await asyncio.Event().wait()
        yield b""

    calls = CallInterceptor(OPEN, UnrecordedCalls(), concurrent_calls=1)
    server = grpc.aio.server(interceptors=[calls])
    service: dict[str, Any] = {"WatchJob": grpc.unary_stream_rpc_method_handler(watch)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pinakes.v1.DocumentService", service),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Any = channel.unary_stream("/pinakes.v1.DocumentService/WatchJob")
        call = asyncio.ensure_future(anext(aiter(method(b"", timeout=60))))
        await began.wait()
        await drained(server, calls, drain_s=3_600)
        assert (await refused(call)).code() is grpc.StatusCode.UNAVAILABLE


async def test_who_looks_at_the_contract_for_long_takes_no_place_of_calls() -> None:
    async def search(request: bytes, context: Any) -> bytes:
        return b"found"

    calls = CallInterceptor(OPEN, UnrecordedCalls(), concurrent_calls=1)
    server = grpc.aio.server(interceptors=[calls])
    service: dict[str, Any] = {"Search": grpc.unary_unary_rpc_method_handler(search)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pinakes.v1.SearchService", service),))
    reflection.enable_server_reflection((reflection.SERVICE_NAME,), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        open_stub: Any = reflection_pb2_grpc.ServerReflectionStub  # its types know no methods
        looking = open_stub(channel).ServerReflectionInfo(timeout=60)
        await looking.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        assert (await looking.read()).HasField("list_services_response")
        method: Any = channel.unary_unary("/pinakes.v1.SearchService/Search")
        assert await method(b"", timeout=60) == b"found"
        looking.cancel()
    await server.stop(None)


async def test_health_follows_the_probes() -> None:
    up = {"model": True, "database": True, "index": True}

    def probe(part: str) -> Any:
        async def answers(deadline: Deadline) -> bool:
            return up[part]

        return answers

    report = HealthReport()
    needs = {"search": ["model", "database", "index"], "documents": ["database"]}
    watch = HealthWatch(report, {part: probe(part) for part in up}, needs, whole=("model", "database"))
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(report.servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its types know no methods

            async def serving() -> list[bool]:
                await watch.check()
                states = [
                    await stub.Check(health_pb2.HealthCheckRequest(service=service))
                    for service in ("search", "documents", "")
                ]
                return [state.status == health_pb2.HealthCheckResponse.SERVING for state in states]

            assert await serving() == [True, True, True]
            up["model"] = False
            assert await serving() == [False, True, False]
            up["model"] = True
            assert await serving() == [True, True, True]
            up["index"] = False
            assert await serving() == [False, True, True]
    finally:
        await server.stop(None)
