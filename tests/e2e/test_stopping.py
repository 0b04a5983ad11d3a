"""Cancelled and expired calls stop the model; full queues and near deadlines are told with details."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pinakes import AnswerState, AsyncClient, ClientOptions
from pinakes.errors import DeadlineExceeded, DocumentExists, Overloaded
from pinakes.options import AnswerOptions
from pinakes.results import AnswerStatus, GenerateDelta
from pinakes.retry import RetryPolicy
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_generator import TritonGenerator
from server.domain.deadline import Deadline
from tests.triton.small_catalogue import default_model
from tests.whole_stack import SAMPLES, WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models]

MOST_STEPS = 10
"""What the model may still do after a cancellation: 200 ms at 50 tokens a second, without a clock in the test."""
STORY = "Tell a very long story about a lighthouse."
NARRATION = "Tell me about the ferry Grey Plover, the lost container, Cape Tarn and the tug Bramble."


@pytest.fixture
async def generator(stack: WholeStack) -> AsyncIterator[TritonGenerator]:
    """Triton's own model, asked directly what it is doing."""
    async with TritonConnection(stack.endpoints.triton) as connection:
        yield await TritonGenerator.connect(connection, default_model("generate"), Deadline.after(10))


@asynccontextmanager
async def stopping(generator: TritonGenerator) -> AsyncIterator[None]:
    """What happens inside ends a generation: the engine goes idle after a few more steps at the most."""
    before = await generator.statistics(Deadline.after(5))
    assert before.running >= 1
    yield
    await idle(generator)
    after = await generator.statistics(Deadline.after(5))
    assert after.decodes - before.decodes <= MOST_STEPS


async def test_cancelling_a_generation_stops_the_model(stack: WholeStack, generator: TritonGenerator) -> None:
    async with (
        AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client,
        client.generate(STORY, max_tokens=1_000) as events,
    ):
        async for event in events:
            if isinstance(event, GenerateDelta):
                break
        async with stopping(generator):
            await events.aclose()


@pytest.mark.parametrize("resumable", [False, True])
async def test_cancelling_an_answer_stops_the_model(
    stack: WholeStack, generator: TritonGenerator, resumable: bool
) -> None:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        options = AnswerOptions(
            max_tokens=1_000,
            no_cache=True,
            resume_window_s=60.0 if resumable else 0.0,
            consistency_token=await uploaded(client),
        )
        async with client.answer(NARRATION, **options) as events:
            sources = await anext(events)
            await busy(generator)
            async with stopping(generator):
                if resumable:
                    await client.answers.cancel(sources.answer_id)
                else:
                    await events.aclose()
        kept = await client.answers.get(sources.answer_id)
    assert kept.state is AnswerState.CANCELLED


async def test_a_passed_deadline_stops_the_model(stack: WholeStack, generator: TritonGenerator) -> None:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        with pytest.raises(DeadlineExceeded) as expiry:
            async with client.generate(STORY, max_tokens=1_000, timeout_s=1.0) as events:
                async for _ in events:
                    pass
    assert expiry.value.code == "DEADLINE_EXCEEDED"
    await idle(generator)
    ended = await generator.statistics(Deadline.after(5))
    assert ended.completion_tokens < 1_000


async def busy(generator: TritonGenerator) -> None:
    async with asyncio.timeout(30):
        while not (await generator.statistics(Deadline.after(5))).running:  # noqa: ASYNC110 - Triton tells nobody
            await asyncio.sleep(0.01)


async def idle(generator: TritonGenerator) -> None:
    async with asyncio.timeout(10):
        while True:
            now = await generator.statistics(Deadline.after(5))
            if not now.running and not now.busy_slots:
                return
            await asyncio.sleep(0.02)


async def test_more_generations_than_fit_are_refused_with_a_delay(
    stack: WholeStack, generator: TritonGenerator
) -> None:
    once = ClientOptions(retry=RetryPolicy(attempts=1))
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key, options=once) as client:

        async def generate() -> str:
            async with client.generate(STORY, max_tokens=200) as events:
                async for _ in events:
                    return "started"
            return "ended"

        outcomes = await asyncio.gather(*(generate() for _ in range(64)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Overloaded)]
    others = [outcome for outcome in outcomes if not isinstance(outcome, Overloaded)]
    assert refused, "64 generations at once are more than the model takes"
    assert all(refusal.code == "RESOURCE_EXHAUSTED" for refusal in refused)
    assert all(refusal.retry_after_s for refusal in refused)
    assert others and all(outcome == "started" for outcome in others), others
    await idle(generator)


async def test_an_answer_with_little_time_is_extractive(stack: WholeStack) -> None:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        token = await uploaded(client)
        question = "Which tug found the lost container?"
        answer = await client.answer_text(question, timeout_s=1.2, consistency_token=token)
    assert answer.completion.status is AnswerStatus.ANSWERED
    assert "Bramble" in answer.text
    assert answer.citations[0].document_name == "radio-log.txt"


async def uploaded(client: AsyncClient) -> str:
    """Returns how far the index has to be."""
    try:
        upload = await client.documents.upload(SAMPLES / "radio-log.txt", tags=["samples"])
    except DocumentExists:
        return ""
    return (await client.documents.wait(upload.job, timeout_s=120)).consistency_token
