"""Providers of texts that fail in every way that endpoints do, over real sockets, and who writes then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.adapters.circuit_breaker import BreakerOptions, CircuitBreaker
from server.adapters.openai_endpoint import OpenAiEndpoint, OpenAiEndpointOptions
from server.adapters.openai_generator import OpenAiGenerator
from server.application.generation_chain import ChainOptions, GenerationChain, Provider, Writing
from server.application.model_ports import GenerationRequest, Generator
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, NoGenerator, StageDeadline
from server.domain.generation import BreakerState, PassedOver, PassedOverReason
from server.embedded.process import free_port
from tests.server.application.doubles import OneModel, ScriptedGenerator
from tests.server.openai.scripted_endpoint import Endpoint, Reply, endpoint

ASKED = GenerationRequest("Where is the ferry?")
PATIENT = ChainOptions(first_text_s=20.0, reserve_s=0.0)
FAILURES = 2


def delta(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}


WRITES = Reply(events=(delta("It is "), delta("late.", "stop"), "[DONE]"))


@dataclass
class Pair:
    """Two endpoints, asked one after the other. The first one fails as a test says, the second one writes."""

    first: Endpoint
    second: Endpoint
    providers: list[Provider]

    def chain(self, options: ChainOptions = PATIENT) -> GenerationChain:
        return GenerationChain(self.providers, options)

    @property
    def asked(self) -> tuple[int, int]:
        return len(self.first.seen), len(self.second.seen)


def provider(name: str, generator: Generator | None, pause_s: float = 3_600.0) -> Provider:
    return Provider(name, OneModel(generator), CircuitBreaker(name, BreakerOptions(FAILURES, pause_s)))


@pytest.fixture
def endpoints() -> Iterator[tuple[Endpoint, Endpoint]]:
    with ExitStack() as opened:
        first, second = opened.enter_context(endpoint()), opened.enter_context(endpoint())
        first.reply = second.reply = WRITES
        yield first, second


@pytest.fixture
async def pair(endpoints: tuple[Endpoint, Endpoint]) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as opened:
        providers = []
        for name, scripted in zip(("first", "second"), endpoints, strict=True):
            options = OpenAiEndpointOptions(url=scripted.url, model=name, concurrent=2, retry_after_s=3.0)
            connection = await opened.enter_async_context(OpenAiEndpoint(options, "", "generate"))
            providers.append(provider(name, OpenAiGenerator(connection)))
        yield Pair(*endpoints, providers)


async def written(chain: GenerationChain, seconds: float = 30.0) -> tuple[str, Writing]:
    """The text, and who wrote it."""
    async with chain.writing(ASKED, Deadline.after(seconds)) as writing:
        pieces = [piece async for piece in writing.pieces]
    assert [piece.finish_reason for piece in pieces] == [None] * (len(pieces) - 1) + ["stop"]
    return "".join(piece.text for piece in pieces), writing


async def test_the_first_one_writes_while_it_can(pair: Pair) -> None:
    text, writing = await written(pair.chain())
    assert text == "It is late."
    assert writing.generator == f"{pair.first.url}#first"
    assert writing.passed_over == ()
    assert pair.asked == (1, 0)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(500), PassedOverReason.UNAVAILABLE),
        (Reply(503, b"<html>busy</html>"), PassedOverReason.UNAVAILABLE),
        (Reply(200, b"no events"), PassedOverReason.UNAVAILABLE),
        (Reply(events=("{no json",)), PassedOverReason.UNAVAILABLE),
        (Reply(events=('["a", "list"]',)), PassedOverReason.UNAVAILABLE),
        (Reply(events=({"choices": "none"},)), PassedOverReason.UNAVAILABLE),
        (Reply(events=({"error": {"message": "out of memory"}},)), PassedOverReason.UNAVAILABLE),
        (Reply(events=(delta(" \n"),)), PassedOverReason.UNAVAILABLE),
        (Reply(429), PassedOverReason.OVERLOADED),
        (Reply(401), PassedOverReason.NOT_SET_UP),
        (Reply(404), PassedOverReason.NOT_SET_UP),
        (Reply(400, {"error": {"message": "too long"}}), PassedOverReason.REFUSED),
        (Reply(events=(delta(" \n", "stop"), "[DONE]")), PassedOverReason.REFUSED),
        (Reply(events=(delta("", "content_filter"), "[DONE]")), PassedOverReason.REFUSED),
    ],
    ids=[
        "error",
        "error of a proxy",
        "no stream",
        "broken event",
        "event of another form",
        "choices of another form",
        "error in the stream",
        "end after white space",
        "overload",
        "refused key",
        "unknown model",
        "refused prompt",
        "white space only",
        "withheld",
    ],
)
async def test_who_fails_before_its_text_begins_is_passed_over(
    pair: Pair, reply: Reply, reason: PassedOverReason
) -> None:
    pair.first.reply = reply
    chain = pair.chain()
    text, writing = await written(chain)
    assert text == "It is late."
    assert writing.generator == f"{pair.second.url}#second"
    assert writing.passed_over == (PassedOver("first", reason),)
    assert chain.outcomes == {("first", reason.value): 1, ("second", "began"): 1}


async def test_what_is_logged_quotes_no_prompt(pair: Pair) -> None:
    pair.first.reply = Reply(400, {"error": {"message": f"cannot read: {ASKED.prompt}"}})
    with capture_logs() as logs:
        await written(pair.chain())
    [told] = [line for line in logs if line["event"] == "generator_passed_over"]
    assert (told["provider"], told["reason"]) == ("first", "refused")
    assert ASKED.prompt not in str(logs)


async def test_a_refused_connection_is_passed_over(pair: Pair) -> None:
    options = OpenAiEndpointOptions(url=f"http://127.0.0.1:{free_port()}/v1", model="m")
    async with OpenAiEndpoint(options, "", "generate") as nobody:
        away = provider("away", OpenAiGenerator(nobody))
        _, writing = await written(GenerationChain([away, *pair.providers], PATIENT))
    assert writing.passed_over == (PassedOver("away", PassedOverReason.UNAVAILABLE),)


async def test_an_empty_slot_is_passed_over(pair: Pair) -> None:
    _, writing = await written(GenerationChain([provider("none", None), *pair.providers], PATIENT))
    assert writing.passed_over == (PassedOver("none", PassedOverReason.NOT_SET_UP),)


async def test_who_does_not_begin_in_time_is_passed_over_and_learns_of_it(pair: Pair) -> None:
    pair.first.tells(delta(" "), hold=threading.Event())
    at_once = provider("second", ScriptedGenerator("It is late."))
    chain = GenerationChain([pair.providers[0], at_once], ChainOptions(first_text_s=0.2, reserve_s=0.0))
    _, writing = await written(chain)
    assert writing.passed_over == (PassedOver("first", PassedOverReason.TOO_SLOW),)
    assert await asyncio.to_thread(pair.first.hung_up.wait, 20), "its connection is closed"


async def test_who_hangs_leaves_the_others_their_share_of_a_near_deadline(pair: Pair) -> None:
    pair.first.tells(hold=threading.Event())
    at_once = provider("second", ScriptedGenerator("It is late."))
    resting = provider("third", ScriptedGenerator("Never said."))
    for _ in range(FAILURES):
        attempt = resting.breaker.admit()
        assert attempt is not None
        attempt.failed()
    _, writing = await written(GenerationChain([pair.providers[0], at_once, resting], PATIENT), seconds=1.5)
    assert writing.passed_over == (PassedOver("first", PassedOverReason.TOO_SLOW),)


@pytest.mark.parametrize("events", [(), ("{no json",)], ids=["broken off", "malformed"])
async def test_a_failure_after_text_is_a_failure_and_nobody_else_goes_on(pair: Pair, events: tuple[Any, ...]) -> None:
    pair.first.reply = Reply(events=(delta("It is "), *events))
    chain = pair.chain()
    with pytest.raises(DependencyUnavailable):
        async with chain.writing(ASKED, Deadline.after(30)) as writing:
            assert (await anext(writing.pieces)).text == "It is "
            await anext(writing.pieces)
    assert pair.asked == (1, 0)
    assert chain.outcomes == {("first", "began"): 1, ("first", "broken"): 1}
    # It counts as any other failure does.
    pair.first.reply = Reply(500)
    await written(chain)
    assert pair.providers[0].breaker.state is BreakerState.OPEN


async def test_a_deadline_within_a_text_ends_it(pair: Pair) -> None:
    hold = threading.Event()
    pair.first.tells(delta("It is "), hold=hold)
    chain = pair.chain()
    with pytest.raises(StageDeadline):
        async with chain.writing(ASKED, Deadline.after(2.0)) as writing:
            assert (await anext(writing.pieces)).text == "It is "
            await anext(writing.pieces)
    assert pair.asked == (1, 0)
    assert pair.providers[0].breaker.state is BreakerState.CLOSED
    assert await asyncio.to_thread(pair.first.hung_up.wait, 20)


async def test_who_fails_again_and_again_is_not_asked_for_a_while(pair: Pair) -> None:
    pair.first.reply = Reply(500)
    chain = pair.chain()
    for _ in range(FAILURES):
        await written(chain)
    assert pair.asked == (FAILURES, FAILURES)
    pair.first.reply = WRITES
    _, writing = await written(chain)
    assert writing.passed_over == (PassedOver("first", PassedOverReason.RESTING),)
    assert pair.asked == (FAILURES, FAILURES + 1)


async def test_overload_and_refusals_are_no_failures(pair: Pair) -> None:
    chain = pair.chain()
    for _ in range(FAILURES):
        for reply in (Reply(429), Reply(400)):
            pair.first.reply = reply
            await written(chain)
    pair.first.reply = WRITES
    _, writing = await written(chain)
    assert writing.passed_over == ()


async def test_one_call_tries_whether_it_is_back(pair: Pair) -> None:
    back = provider("first", pair.providers[0].slot.model(), pause_s=0.0)
    chain = GenerationChain([back, pair.providers[1]], PATIENT)
    pair.first.reply = Reply(500)
    for _ in range(FAILURES):
        await written(chain)
    hold = threading.Event()
    pair.first.tells(delta("It is "), delta("late.", "stop"), hold=hold)
    async with chain.writing(ASKED, Deadline.after(30)) as trial:
        assert trial.passed_over == ()
        _, beside = await written(chain)
        assert beside.passed_over == (PassedOver("first", PassedOverReason.RESTING),)
        hold.set()
        assert [piece.text async for piece in trial.pieces] == ["It is ", "late.", ""]
    assert back.breaker.state is BreakerState.CLOSED


async def test_a_trial_that_nobody_waits_for_lets_another_one_try(pair: Pair) -> None:
    back = provider("first", pair.providers[0].slot.model(), pause_s=0.0)
    chain = GenerationChain([back], PATIENT)
    pair.first.reply = Reply(500)
    for _ in range(FAILURES):
        with pytest.raises(NoGenerator):
            await written(chain)
    pair.first.tells(hold=threading.Event())

    async def leave() -> None:
        async with chain.writing(ASKED, Deadline.after(30)):
            pytest.fail("nothing was written")

    leaving = asyncio.create_task(leave())
    while len(pair.first.seen) <= FAILURES:  # noqa: ASYNC110 - the endpoint is a thread
        await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.wait((leaving,))
    assert await asyncio.to_thread(pair.first.hung_up.wait, 20)
    pair.first.reply = WRITES
    assert (await written(chain))[0] == "It is late."
    assert back.breaker.state is BreakerState.CLOSED


async def test_nobody_left_is_told_with_all_reasons(pair: Pair) -> None:
    pair.first.reply, pair.second.reply = Reply(429, headers={"Retry-After": "7"}), Reply(500)
    with pytest.raises(NoGenerator, match=r"first \(overloaded\), second \(unavailable\)") as caught:
        await written(pair.chain())
    assert caught.value.passed_over == (
        PassedOver("first", PassedOverReason.OVERLOADED),
        PassedOver("second", PassedOverReason.UNAVAILABLE),
    )
    assert caught.value.retry_after_s == 3.0


async def test_without_time_nobody_is_asked_and_some_is_left_over(pair: Pair) -> None:
    for each in (pair.first, pair.second):
        each.tells(hold=threading.Event())
    chain = pair.chain(ChainOptions(first_text_s=20.0, reserve_s=5.0))
    with pytest.raises(NoGenerator):
        await written(chain, seconds=4.0)
    assert pair.asked == (0, 0)
    deadline = Deadline.after(5.3)
    with pytest.raises(NoGenerator) as caught:
        async with chain.writing(ASKED, deadline):
            pytest.fail("nothing was written")
    assert {each.reason for each in caught.value.passed_over} == {PassedOverReason.TOO_SLOW}
    assert deadline.remaining() > 0
    # One that had less than its time has not failed.
    assert pair.providers[0].breaker.state is BreakerState.CLOSED
    assert chain.outcomes["first", "too_slow"] == 2


async def test_leaving_a_text_stops_who_writes_also_before_it_is_read() -> None:
    generator = ScriptedGenerator("It is late.")
    chain = GenerationChain([provider("only", generator)], PATIENT)
    async with chain.writing(ASKED, Deadline.after(30)):
        pass
    assert generator.closed_early
    assert generator.sent == 1


@pytest.mark.parametrize("wrong", [{"first_text_s": 0.0}, {"reserve_s": -1.0}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="first_text_s"):
        ChainOptions(**wrong)
