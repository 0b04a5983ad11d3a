"""AnswerService through a real gRPC server, with the client as its callers have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from pinakes import AnswerState, AsyncClient, Client, ClientOptions, RetryPolicy, errors, results
from pinakes.v1 import answer_service_pb2_grpc
from server.application.give_answers import GiveOptions
from server.domain import stored_answers as domain
from server.domain.answers import Delta
from server.domain.principals import Principal
from server.transport.answer_servicer import AnswerServicer
from server.transport.interceptors import CallInterceptor
from tests.server.application.answer_doubles import (
    COMPLETION,
    PASSAGE,
    SENTENCE,
    SOURCES,
    MemoryStore,
    MemoryTurns,
    SteppedMaker,
    giving,
)
from tests.server.application.audit_doubles import UnrecordedCalls
from tests.server.application.doubles import PRINCIPAL
from tests.server.transport.callers import OPEN, OneIdentity
from tests.server.transport.test_calls import eventually

NO_RETRIES = ClientOptions(retry=RetryPolicy(attempts=1))


class Caller(OneIdentity):
    """Whoever the metadata says."""

    def principal(self, context: grpc.aio.ServicerContext[Any, Any]) -> Principal:
        user = dict(context.invocation_metadata() or ()).get("user", "user")
        return Principal(PRINCIPAL.tenant, str(user), PRINCIPAL.groups)


class Wire:
    """A server with AnswerService. `lose` cuts its connections, as a broken network does, and listens again."""

    def __init__(self) -> None:
        self.maker = SteppedMaker()
        self.store = MemoryStore()
        self.turns = MemoryTurns(self.store, {"c"})
        self.give = giving(self.maker, self.store, GiveOptions(), self.turns)
        self.port = 0
        self._server: Any = None

    async def listen(self) -> None:
        self._server = grpc.aio.server(
            interceptors=[CallInterceptor(OPEN, UnrecordedCalls(), concurrent_calls=8, answers=200)]
        )
        servicer = AnswerServicer(Caller(PRINCIPAL), self.give)
        answer_service_pb2_grpc.add_AnswerServiceServicer_to_server(servicer, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def lose(self) -> None:
        await self._server.stop(None)
        await self.listen()

    async def stop(self) -> None:
        await self._server.stop(None)
        await self.give.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    opened = Wire()
    await opened.listen()
    yield opened
    await opened.stop()


@pytest.fixture
async def client(wire: Wire) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(f"127.0.0.1:{wire.port}", options=NO_RETRIES) as opened:
        yield opened


async def test_an_answer_is_shown_again_to_its_caller_alone(wire: Wire, client: AsyncClient) -> None:
    wire.maker.step(4)
    answer = await client.answer_text("How many?")
    found = await client.answers.get(answer.answer_id)
    assert (found.state, found.question, found.text) == (AnswerState.COMPLETED, "How many?", SENTENCE)
    [before], [after] = answer.citations, found.citations
    assert (after.quote, after.document_name, after.regions) == (before.quote, before.document_name, before.regions)
    assert found.completion is not None and found.completion.generator == answer.completion.generator
    assert [ranked.passage.text for ranked in found.sources] == [""]
    options = ClientOptions(retry=RetryPolicy(attempts=1), metadata=(("user", "other"),))
    async with AsyncClient(f"127.0.0.1:{wire.port}", options=options) as other:
        with pytest.raises(errors.AnswerNotFound):
            await other.answers.get(answer.answer_id)
        with pytest.raises(errors.AnswerNotFound):
            await other.answers.cancel(answer.answer_id)
        with pytest.raises(errors.AnswerNotFound):
            _ = [event async for event in other.answers.resume(answer.answer_id)]


async def test_what_may_not_be_seen_any_more_is_withheld(wire: Wire, client: AsyncClient) -> None:
    wire.maker.step(4)
    answer = await client.answer_text("How many?")
    await client.answers.get(answer.answer_id)
    wire.store.unreadable = {PASSAGE.document_id}
    found = await client.answers.get(answer.answer_id)
    assert set(found.text) == {"\N{FULL BLOCK}"}
    assert [(span.start, span.end) for span in found.withheld] == [(0, len(SENTENCE))]
    assert (found.sources, found.citations[0].withheld, found.citations[0].quote) == ((), True, "")
    resumed = [event async for event in client.answers.resume(answer.answer_id, after_sequence=1)]
    assert [type(event) for event in resumed] == [results.Delta, results.Citation, results.Completion]
    assert isinstance(resumed[0], results.Delta) and resumed[0].text == found.text


@pytest.mark.parametrize("sync", [False, True])
async def test_a_broken_stream_goes_on_by_itself(wire: Wire, client: AsyncClient, sync: bool) -> None:
    received: list[Any] = []

    def in_a_thread() -> None:
        with Client(f"127.0.0.1:{wire.port}") as own:
            received.extend(own.answer("How many?", resume_window_s=30.0))

    async def here() -> None:
        async with AsyncClient(f"127.0.0.1:{wire.port}") as own:
            received.extend([event async for event in own.answer("How many?", resume_window_s=30.0)])

    wire.maker.step(1)
    reading = asyncio.ensure_future(asyncio.to_thread(in_a_thread) if sync else here())
    await eventually(lambda: wire.maker.made == 1)
    wire.maker.step(1)
    await eventually(lambda: wire.maker.made == 2)
    await asyncio.sleep(0.05)
    await wire.lose()
    wire.maker.step(2)
    await reading
    assert [event.sequence for event in received] == [1, 2, 3, 4]
    assert (wire.maker.stopped, len(wire.maker.asked)) == (0, 1)


async def test_a_caller_that_leaves_stops_the_answer_unless_it_is_resumable(wire: Wire, client: AsyncClient) -> None:
    for window_s in (0.0, 30.0):
        wire.maker.begin_apart()
        wire.maker.step(1)
        async with client.answer("How many?", resume_window_s=window_s) as stream:
            answer_id = (await anext(stream)).answer_id
        if not window_s:
            await eventually(lambda: wire.maker.stopped == 1)
    assert (await client.answers.get(answer_id)).state is AnswerState.RUNNING
    await client.answers.cancel(answer_id)
    assert wire.maker.stopped == 2
    with pytest.raises(errors.AnswerInterrupted) as caught:
        _ = [event async for event in client.answers.resume(answer_id, after_sequence=1)]
    assert (caught.value.code, caught.value.answer_id) == ("ABORTED", answer_id)
    assert (await client.answers.get(answer_id)).state is AnswerState.CANCELLED


async def test_a_second_question_at_a_time_is_refused_in_a_conversation(wire: Wire, client: AsyncClient) -> None:
    wire.maker.step(1)
    async with client.answer("How many?", conversation_id="c") as stream:
        answer_id = (await anext(stream)).answer_id
        with pytest.raises(errors.ConversationBusy) as caught:
            await client.answer_text("And when?", conversation_id="c")
        assert (caught.value.code, caught.value.answer_id) == ("FAILED_PRECONDITION", answer_id)
    with pytest.raises(errors.ConversationNotFound):
        await client.answer_text("How many?", conversation_id="another")


async def test_two_hundred_readers_with_slow_and_leaving_ones_among_them(wire: Wire) -> None:
    words = [Delta(f"word{number} ") for number in range(80)]
    wire.maker.events = (SOURCES, *words, COMPLETION)
    wire.maker.step(200 * len(wire.maker.events))
    whole = "".join(word.text for word in words)

    async def read(client: AsyncClient, number: int) -> str:
        text = ""
        async with client.answer(f"Question {number}?", timeout_s=60) as stream:
            async for event in stream:
                if isinstance(event, results.Delta):
                    text += event.text
                    if number % 10 == 0:
                        return text
                if number % 4 == 0:
                    await asyncio.sleep(0.02)
        return text

    address = f"127.0.0.1:{wire.port}"
    async with AsyncClient(address, options=NO_RETRIES) as one, AsyncClient(address, options=NO_RETRIES) as other:
        texts = await asyncio.gather(*(read((one, other)[number % 2], number) for number in range(200)))
    assert [text for number, text in enumerate(texts) if number % 10] == [whole] * 180
    await wire.give.close()
    kept = [answer.state for answer in wire.store.kept.values()]
    assert len(kept) == 200 and kept.count(domain.AnswerState.COMPLETED) >= 180


async def test_answers_beyond_their_places_are_refused_and_leave_other_calls_theirs(wire: Wire) -> None:
    address = f"127.0.0.1:{wire.port}"
    async with AsyncClient(address, options=NO_RETRIES) as one, AsyncClient(address, options=NO_RETRIES) as other:
        waiting = [
            asyncio.ensure_future(client.answer_text("How many?")) for client in (one, other) for _ in range(100)
        ]
        await eventually(lambda: len(wire.maker.asked) == 200)
        with pytest.raises(errors.Overloaded) as caught:
            await one.answer_text("How many?")
        assert caught.value.retry_after_s is not None
        with pytest.raises(errors.AnswerNotFound):
            await one.answers.get("no-id")
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await eventually(lambda: wire.maker.stopped == 200)
