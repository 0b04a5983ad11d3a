"""Text generation through the adapter and a real Triton."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing

import pytest

from server.adapters.triton_client import TritonConnection
from server.adapters.triton_generator import GeneratorStatistics, TritonGenerator
from server.application.model_ports import GeneratedText, GenerationRequest
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, InvalidField, Overloaded, PinakesError, StageDeadline
from tests.triton.small_catalogue import default_model

STORY = "Write a very long story about a lighthouse."


def deadline() -> Deadline:
    return Deadline.after(120)


async def pieces(generator: TritonGenerator, request: GenerationRequest) -> list[GeneratedText]:
    return [piece async for piece in generator.stream(request, deadline())]


async def text(generator: TritonGenerator, request: GenerationRequest) -> str:
    return "".join(piece.text for piece in await pieces(generator, request))


async def until(generator: TritonGenerator, holds: Callable[[GeneratorStatistics], bool]) -> GeneratorStatistics:
    while True:
        statistics = await generator.statistics(deadline())
        if holds(statistics):
            return statistics
        await asyncio.sleep(0.02)


def is_idle(statistics: GeneratorStatistics) -> bool:
    return statistics.running == statistics.waiting == statistics.busy_slots == 0


async def test_the_last_piece_alone_has_the_reason_and_the_counts(generator: TritonGenerator) -> None:
    made = await pieces(generator, GenerationRequest("What is the capital of France? Answer in one word."))
    assert "Paris" in "".join(piece.text for piece in made)
    assert [piece.finish_reason for piece in made] == [None] * (len(made) - 1) + ["stop"]
    assert made[-1].prompt_tokens > 10
    assert 1 <= made[-1].completion_tokens <= len(made) + 5
    assert len(made) > 1


async def test_the_token_limit_ends_the_text(generator: TritonGenerator) -> None:
    last = (await pieces(generator, GenerationRequest(STORY, max_tokens=7)))[-1]
    assert (last.finish_reason, last.completion_tokens) == ("length", 7)


async def test_a_stop_sequence_ends_the_text_before_it(generator: TritonGenerator) -> None:
    request = GenerationRequest("Count from 1 to 9, with commas between the numbers.", max_tokens=40)
    assert "5" in await text(generator, request)
    stopped = GenerationRequest(request.prompt, max_tokens=40, stop=("5", "five"))
    made = await pieces(generator, stopped)
    assert "4" in "".join(piece.text for piece in made)
    assert "5" not in "".join(piece.text for piece in made)
    assert made[-1].finish_reason == "stop"


async def test_greedy_repeats_and_a_seed_repeats(generator: TritonGenerator) -> None:
    """As far as rounding does: a prompt that was read before is computed in batches of other sizes, which can turn a
    choice. So it is read once first, and a seed may give two texts, where chance would give as many as are made."""

    def warm(seed: int) -> GenerationRequest:
        return GenerationRequest(STORY, max_tokens=12, temperature=1.5, seed=seed)

    greedy = GenerationRequest(STORY, max_tokens=12)
    await text(generator, greedy)
    assert await text(generator, greedy) == await text(generator, greedy)
    assert len({await text(generator, warm(1)) for _ in range(6)}) <= 2
    assert len({await text(generator, warm(seed)) for seed in range(1, 5)}) > 1


@pytest.mark.parametrize("max_tokens", range(1, 9))
async def test_characters_are_never_cut(generator: TritonGenerator, max_tokens: int) -> None:
    """Rare characters are several tokens of a few bytes each; the limit falls between them."""
    prompt = "次の文字をそのまま書き写してください：𠮷野家🦄鬱龘"
    made = await pieces(generator, GenerationRequest(prompt, max_tokens=max_tokens))
    assert made[-1].completion_tokens <= max_tokens
    assert "\ufffd" not in "".join(piece.text for piece in made)


async def test_closing_the_stream_stops_the_model(generator: TritonGenerator) -> None:
    before = await until(generator, is_idle)
    async with aclosing(generator.stream(GenerationRequest(STORY, max_tokens=1000), deadline())) as stream:
        async for piece in stream:
            if piece.text:
                break
    after = await until(generator, is_idle)
    assert after.ended["cancelled"] == before.ended.get("cancelled", 0) + 1
    assert after.completion_tokens - before.completion_tokens < 100
    await asyncio.sleep(0.2)
    assert (await generator.statistics(deadline())).decodes == after.decodes


async def test_cancelling_while_the_prompt_is_read_stops_the_model(generator: TritonGenerator) -> None:
    before = await until(generator, is_idle)
    prompt = " ".join(f"{number * 7919 % 10_007}" for number in range(600))
    reading = asyncio.create_task(text(generator, GenerationRequest(prompt)))
    await until(generator, lambda now: now.busy_slots > before.busy_slots)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    told = await generator.statistics(deadline())
    after = await until(generator, is_idle)
    assert after.completion_tokens == before.completion_tokens
    # The batch under way, the next, and one more if the first ended before Triton knew. The prompt has some fifty.
    assert after.decodes - told.decodes <= 3
    await asyncio.sleep(0.2)
    assert (await generator.statistics(deadline())).decodes == after.decodes


async def test_a_full_queue_turns_the_next_one_away(generator: TritonGenerator) -> None:
    await until(generator, is_idle)

    async def outcome() -> str:
        try:
            await text(generator, GenerationRequest(STORY, max_tokens=1000))
        except Overloaded as error:
            assert error.retry_after_s > 0
            return "overloaded"
        return "written"

    tasks = [asyncio.create_task(outcome()) for _ in range(20)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert {task.result() for task in done} == {"overloaded"}
    assert (await generator.statistics(deadline())).running == 2
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {str(result) for result in results if isinstance(result, str)} == {"overloaded"}
    await until(generator, is_idle)
    assert await text(generator, GenerationRequest("Say yes.", max_tokens=3))


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (GenerationRequest("word " * 5000), "tokens; at most 4096"),
        (GenerationRequest(""), "PROMPT"),
        (GenerationRequest("x", max_tokens=0), "MAX_TOKENS"),
        (GenerationRequest("x", temperature=-1.0), "TEMPERATURE"),
    ],
    ids=["too long", "empty", "no tokens", "temperature"],
)
async def test_what_cannot_be_generated_says_why(
    generator: TritonGenerator, request_: GenerationRequest, says: str
) -> None:
    with pytest.raises(InvalidField, match=says):
        await text(generator, request_)


async def test_the_deadline_ends_the_stream_and_the_work(generator: TritonGenerator) -> None:
    with pytest.raises(StageDeadline):
        async for _ in generator.stream(GenerationRequest(STORY, max_tokens=1000), Deadline.after(0.5)):
            pass
    await until(generator, is_idle)


async def test_two_at_once_do_not_mix(generator: TritonGenerator) -> None:
    questions = {"Paris": "What is the capital of France?", "Rome": "What is the capital of Italy?"}
    alone = {city: await text(generator, GenerationRequest(question)) for city, question in questions.items()}
    together = await asyncio.gather(*(text(generator, GenerationRequest(question)) for question in questions.values()))
    assert all(city in answer for city, answer in alone.items())
    assert all(city in answer for city, answer in zip(questions, together, strict=True))


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with TritonConnection("127.0.0.1:1") as nowhere:
        with pytest.raises(PinakesError) as caught:
            await TritonGenerator.connect(nowhere, default_model("generate"), Deadline.after(10))
    assert isinstance(caught.value, DependencyUnavailable)


async def test_tokens_are_counted_also_while_all_slots_write(generator: TritonGenerator) -> None:
    texts = ["Hello world", "", "Hello", "城ヶ島の灯台は三浦市にある。" * 20]
    counts = await generator.token_counts(texts, deadline())
    assert counts[:3] == (2, 0, 1)
    assert counts[3] > 100
    async with AsyncExitStack() as opened:
        for _ in range(2):
            stream = await opened.enter_async_context(
                aclosing(generator.stream(GenerationRequest(STORY, max_tokens=1_000), deadline()))
            )
            await anext(stream)
        assert await generator.token_counts(texts, deadline()) == counts
        assert (await generator.statistics(deadline())).running == 2
    asked = (generator.token_counts([f"{number}"] * 8, deadline()) for number in range(16))
    assert {len(counted) for counted in await asyncio.gather(*asked)} == {8}
    await until(generator, is_idle)
