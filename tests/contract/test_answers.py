"""Streams that go on after their connection was lost, and answers that were kept, as both clients see them."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from pinakes import AnswerState, AsyncClient, Client, Completion, Delta, errors
from pinakes.v1 import answer_service_pb2 as answers
from tests.contract import scripted_server as server
from tests.contract.scripted_server import Script


def delta(sequence: int, text: str) -> answers.AnswerResponse:
    return answers.AnswerResponse(answer_id="a", sequence=sequence, delta=answers.Delta(text=text))


END = answers.AnswerResponse(answer_id="a", sequence=4, completion=answers.Completion(generator="g"))
LOST = server.fails(grpc.StatusCode.UNAVAILABLE, "Socket closed")


def resumed(*events: answers.AnswerResponse) -> list[answers.ResumeAnswerResponse]:
    return [answers.ResumeAnswerResponse(event=event) for event in events]


async def asked(client: AsyncClient | Client, **options: Any) -> list[Any]:
    if isinstance(client, AsyncClient):
        async with client.answer("q", **options) as events:
            return [event async for event in events]
    return await asyncio.to_thread(lambda: list(client.answer("q", **options)))


@pytest.fixture(params=["async", "sync"])
def either(request: pytest.FixtureRequest, client: AsyncClient, sync_client: Client) -> AsyncClient | Client:
    return client if request.param == "async" else sync_client


async def test_a_lost_stream_goes_on_behind_what_was_received(either: AsyncClient | Client, script: Script) -> None:
    script.on("Answer", server.streams(delta(1, "One "), delta(2, "two "), then=LOST))
    script.on("ResumeAnswer", server.streams(then=server.unavailable()), server.streams(*resumed(delta(3, "3."), END)))
    events = await asked(either, resume_window_s=20.0)
    assert [event.text for event in events if isinstance(event, Delta)] == ["One ", "two ", "3."]
    assert isinstance(events[-1], Completion)
    assert script.seen("Answer")[0].request.resume_window.seconds == 20
    request = script.seen("ResumeAnswer")[-1].request
    assert (request.answer_id, request.after_sequence, len(script.seen("Answer"))) == ("a", 2, 1)


async def test_a_second_loss_and_what_the_server_says_are_errors(either: AsyncClient | Client, script: Script) -> None:
    script.on("Answer", server.streams(delta(1, "One "), then=LOST))
    script.on("ResumeAnswer", server.streams(*resumed(delta(2, "two ")), then=LOST))
    with pytest.raises(errors.Unavailable):
        await asked(either, resume_window_s=20.0)
    assert len(script.seen("ResumeAnswer")) == 1
    script.on("Answer", server.streams(delta(1, "One "), then=server.unavailable()))
    with pytest.raises(errors.DependencyUnavailable):
        await asked(either, resume_window_s=20.0)
    assert len(script.seen("ResumeAnswer")) == 1


async def test_nothing_goes_on_that_was_not_asked_to(either: AsyncClient | Client, script: Script) -> None:
    script.on("Answer", server.streams(delta(1, "One "), then=LOST))
    with pytest.raises(errors.Unavailable):
        await asked(either)
    assert script.seen("ResumeAnswer") == []


async def test_a_kept_answer_is_shown_stopped_and_gone_on_with(client: AsyncClient, script: Script) -> None:
    kept = answers.StoredAnswer(
        answer_id="a", state=answers.ANSWER_STATE_CANCELLED, citations=[answers.Citation(end=3)]
    )
    script.on("GetAnswer", server.returns(answers.GetAnswerResponse(answer=kept)))
    found = await client.answers.get("a")
    assert (found.answer_id, found.state, found.completion) == ("a", AnswerState.CANCELLED, None)
    assert (found.citations[0].answer_id, found.citations[0].withheld) == ("a", False)
    script.on("CancelAnswer", server.returns(answers.CancelAnswerResponse()))
    await client.answers.cancel("a")
    script.on("ResumeAnswer", server.streams(*resumed(delta(3, "3."), END)))
    rest = [event async for event in client.answers.resume("a", after_sequence=2)]
    assert [event.sequence for event in rest] == [3, 4]
