"""An answer outlives its reader only where that was asked for, and is kept however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from server.application import keep_answers
from server.application.answer_feed import AnswerFeed
from server.application.answer_question import AnswerCommand
from server.application.give_answers import GiveOptions
from server.application.keeping import BLOT
from server.application.query import normalized_query
from server.domain.answers import AnswerEvent, Delta, Sources
from server.domain.deadline import Deadline
from server.domain.errors import (
    AnswerInterrupted,
    AnswerNotFound,
    ConversationBusy,
    ConversationNotFound,
    DependencyUnavailable,
    InvalidField,
    Overloaded,
    StageDeadline,
)
from server.domain.principals import Principal
from server.domain.stored_answers import AnswerState, NumberedEvent, ShownAnswer
from tests.server.application.answer_doubles import (
    CITATION,
    COMPLETION,
    SENTENCE,
    SOURCES,
    MemoryStore,
    MemoryTurns,
    SteppedMaker,
    giving,
)
from tests.server.application.doubles import PRINCIPAL

COMMAND = AnswerCommand("How many?")
SOMEBODY_ELSE = (replace(PRINCIPAL, user="other"), replace(PRINCIPAL, tenant="other"))


def soon() -> Deadline:
    return Deadline.after(10)


async def drained(stream: AsyncIterator[tuple[str, NumberedEvent]]) -> list[NumberedEvent]:
    return [event async for _, event in stream]


class Given:
    """GiveAnswers with what stands behind it."""

    def __init__(self, options: GiveOptions | None = None) -> None:
        self.maker = SteppedMaker()
        self.store = MemoryStore()
        self.turns = MemoryTurns(self.store, {"c"})
        self.give = giving(self.maker, self.store, options, self.turns)

    async def begin(self, events: int, window_s: float = 0.0) -> str:
        """Reads so many events of an answer, then leaves; returns the answer's id."""
        self.maker.step(events)
        async with aclosing(self.give.run(PRINCIPAL, COMMAND, soon(), window_s=window_s)) as stream:
            async for answer_id, event in stream:
                if event.sequence == events:
                    return answer_id
        raise AssertionError("it ended too soon")

    async def resumed(self, answer_id: str, after: int, principal: Principal = PRINCIPAL) -> list[NumberedEvent]:
        return [event async for event in self.give.resume(principal, answer_id, after)]

    async def settled(self, answer_id: str) -> ShownAnswer:
        """The answer, as soon as it is not being made any more."""
        async with asyncio.timeout(5):
            while (  # noqa: ASYNC110 - what is waited for happens in code that knows no test
                found := await self.give.get(PRINCIPAL, answer_id, soon())
            ).state is AnswerState.RUNNING:
                await asyncio.sleep(0)
        return found


@pytest.fixture
async def given() -> AsyncIterator[Given]:
    made = Given()
    yield made
    await made.give.close()


async def test_an_answer_is_kept_when_it_has_ended(given: Given) -> None:
    given.maker.step(4)
    stream = [each async for each in given.give.run(PRINCIPAL, COMMAND, soon())]
    assert [event.sequence for _, event in stream] == [1, 2, 3, 4]
    [answer_id] = {answer_id for answer_id, _ in stream}
    found = await given.give.get(PRINCIPAL, answer_id, soon())
    assert (found.state, found.question, found.text) == (AnswerState.COMPLETED, "How many?", SENTENCE)
    assert found.completion == COMPLETION
    for other in SOMEBODY_ELSE:
        with pytest.raises(AnswerNotFound):
            await given.give.get(other, answer_id, soon())
        with pytest.raises(AnswerNotFound):
            await given.resumed(answer_id, 0, other)


async def test_whoever_has_the_completion_finds_the_answer_kept(given: Given) -> None:
    given.maker.step(4)
    stream = given.give.run(PRINCIPAL, COMMAND, soon(), conversation_id="c")
    answer_id, event = await anext(stream)
    while event.sequence < 4:
        _, event = await anext(stream)
    assert (await given.give.get(PRINCIPAL, answer_id, soon())).state is AnswerState.COMPLETED
    await stream.aclose()
    assert given.maker.stopped == 0


async def test_a_reader_that_leaves_stops_the_answer_and_what_there_is_is_kept(given: Given) -> None:
    answer_id = await given.begin(2)
    found = await given.settled(answer_id)
    assert (found.state, found.text, found.completion) == (AnswerState.CANCELLED, SENTENCE, None)
    assert (given.maker.stopped, given.maker.made) == (1, 2)


async def test_a_failure_is_kept_and_told_to_the_reader(given: Given) -> None:
    given.maker.events, given.maker.failure = (SOURCES, Delta("It ")), DependencyUnavailable("the model", "it is gone")
    given.maker.step(2)
    stream = given.give.run(PRINCIPAL, COMMAND, soon())
    answer_id, _ = await anext(stream)
    with pytest.raises(DependencyUnavailable):
        _ = [each async for each in stream]
    found = await given.give.get(PRINCIPAL, answer_id, soon())
    assert (found.state, found.text) == (AnswerState.FAILED, "It ")
    assert found.failure is not None
    assert (found.failure.reason, found.failure.message) == (
        "DependencyUnavailable",
        "the model is unavailable: it is gone",
    )
    with pytest.raises(AnswerInterrupted):
        await given.resumed(answer_id, 2)


async def test_what_ended_before_its_sources_is_not_kept(given: Given) -> None:
    given.maker.events, given.maker.failure = (), InvalidField("question", "must not be empty")
    with pytest.raises(InvalidField):
        await given.begin(1)
    await given.give.close()
    assert given.store.kept == {}


async def test_a_resumable_answer_goes_on_without_loss_or_repetition(given: Given) -> None:
    answer_id = await given.begin(2, window_s=30)
    for other in SOMEBODY_ELSE:
        with pytest.raises(AnswerNotFound):
            await given.resumed(answer_id, 2, other)
    with pytest.raises(InvalidField):
        await given.resumed(answer_id, 3)
    given.maker.step(2)
    live = await given.resumed(answer_id, 2)
    assert live == [NumberedEvent(3, CITATION), NumberedEvent(4, COMPLETION)]
    assert given.maker.stopped == 0
    await given.settled(answer_id)
    kept = await given.resumed(answer_id, 1)
    assert [(each.sequence, type(each.event).__name__) for each in kept] == [
        (2, "Delta"),
        (3, "Citation"),
        (4, "Completion"),
    ]
    with pytest.raises(InvalidField):
        await given.resumed(answer_id, 5)


async def test_a_resumable_answer_that_nobody_comes_back_to_is_stopped(given: Given) -> None:
    answer_id = await given.begin(2, window_s=0.05)
    assert given.maker.stopped == 0
    assert (await given.settled(answer_id)).state is AnswerState.CANCELLED
    assert given.maker.stopped == 1


async def test_cancelling_stops_a_resumable_answer_and_tells_its_reader(given: Given) -> None:
    given.maker.step(1)
    stream = given.give.run(PRINCIPAL, COMMAND, soon(), window_s=30)
    answer_id, _ = await anext(stream)
    for other in SOMEBODY_ELSE:
        with pytest.raises(AnswerNotFound):
            await given.give.cancel(other, answer_id, soon())
    await given.give.cancel(PRINCIPAL, answer_id, soon())
    with pytest.raises(AnswerInterrupted):
        await anext(stream)
    assert given.maker.stopped == 1
    await given.give.cancel(PRINCIPAL, answer_id, soon())


async def test_only_so_many_answers_go_on_unattended_and_live() -> None:
    given = Given(GiveOptions(delta_pause_s=0.0, unattended=1, live=2))
    first = await given.begin(1, window_s=30)
    given.maker.begin_apart()
    second = await given.begin(1, window_s=30)
    assert (await given.settled(second)).state is AnswerState.CANCELLED
    assert (await given.give.get(PRINCIPAL, first, soon())).state is AnswerState.RUNNING
    given.maker.step(1)
    other = given.give.run(PRINCIPAL, COMMAND, soon())
    await anext(other)
    with pytest.raises(Overloaded):
        await given.begin(1)
    await other.aclose()
    await given.give.close()
    assert {answer.state for answer in given.store.kept.values()} == {AnswerState.CANCELLED}


async def test_what_has_ended_is_not_unattended() -> None:
    given = Given(GiveOptions(delta_pause_s=0.0, unattended=1, keep=False))
    first = await given.begin(1, window_s=30)
    given.maker.step(3)
    async with asyncio.timeout(5):
        while given.maker.made < 4:  # noqa: ASYNC110 - what is waited for happens in code that knows no test
            await asyncio.sleep(0)
    second = await given.begin(1, window_s=30)
    given.maker.step(3)
    for answer_id in (first, second):
        assert [event.sequence for event in await given.resumed(answer_id, 1)] == [2, 3, 4]
    await given.give.close()


async def test_a_server_that_stops_does_not_wait_for_a_store_that_hangs() -> None:
    given = Given(GiveOptions(delta_pause_s=0.0, closing_s=0.05))
    given.store.hangs = True
    for _ in range(2):
        given.maker.begin_apart()
        await given.begin(2, window_s=30)
    async with asyncio.timeout(5):
        await given.give.close()
    assert (given.store.kept, given.maker.stopped) == ({}, 2)


async def test_a_store_that_is_away_is_not_asked_for_each_answer(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep_answers, "_ATTEMPTS", 1)
    given.store.failures = [DependencyUnavailable("PostgreSQL", "gone")] * 10
    for _ in range(3):
        given.maker.begin_apart()
        await given.begin(1, window_s=30)
    await given.give.close()
    assert sum(given.store.batches) == 3


async def test_keeping_is_tried_again(given: Given) -> None:
    given.store.failures = [DependencyUnavailable("PostgreSQL", "gone"), Overloaded("PostgreSQL", 1.0)]
    assert (await given.settled(await given.begin(1))).state is AnswerState.CANCELLED


async def test_what_ends_at_a_time_is_kept_together_and_none_spoils_the_others(given: Given) -> None:
    given.store.poison = "3"

    async def whole(number: int) -> None:
        async for _ in given.give.run(PRINCIPAL, AnswerCommand(str(number)), soon()):
            pass

    given.maker.step(4 * 20)
    await asyncio.gather(*(whole(number) for number in range(20)))
    await given.give.close()
    assert {answer.question for answer in given.store.kept.values()} == {str(n) for n in range(20)} - {"3"}
    assert max(given.store.batches) > 10


async def test_answers_that_end_soon_after_another_wait_for_company(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_answers, "_PAUSE_S", 3_600.0)
    monkeypatch.setattr(keep_answers, "_BATCH", 3)
    for number in range(4):
        given.maker.step(4)
        async for _ in given.give.run(PRINCIPAL, AnswerCommand(str(number)), soon()):
            pass
        for _ in range(20):
            await asyncio.sleep(0)
        # The first one alone; the others when there are enough of them.
        assert given.store.batches == ([1] if number < 3 else [1, 3])
    await given.give.close()


async def test_what_cannot_be_kept_can_be_resumed_while_its_window_lasts() -> None:
    given = Given(GiveOptions(delta_pause_s=0.0, keep=False))
    given.maker.step(3)
    answer_id = await given.begin(1, window_s=30)
    assert [event.sequence for event in await given.resumed(answer_id, 1)] == [2, 3, 4]
    assert [event.sequence for event in await given.resumed(answer_id, 2)] == [3, 4]
    with pytest.raises(AnswerNotFound):
        await given.give.get(PRINCIPAL, answer_id, soon())


@pytest.mark.parametrize("window_s", [-1.0, 120.5])
async def test_a_window_has_its_bounds(given: Given, window_s: float) -> None:
    with pytest.raises(InvalidField):
        await given.begin(1, window_s)


class TestConversations:
    async def ask(self, given: Given, question: str, conversation_id: str = "c") -> Sources:
        """The answer to it, to its end; returns the sources."""
        given.maker.step(4)
        stream = given.give.run(PRINCIPAL, AnswerCommand(question), soon(), conversation_id=conversation_id)
        events = [event async for _, event in stream]
        assert isinstance(events[0].event, Sources)
        return events[0].event

    async def test_a_follow_up_is_asked_with_what_it_refers_to_and_says_so(self, given: Given) -> None:
        assert (await self.ask(given, "How long is the\u3000ferry?")).searched == ""
        searched = "When was it built? (long ferry)"
        assert (await self.ask(given, "When was it built?")).searched == searched
        assert [command.question for command in given.maker.asked] == ["How long is the\u3000ferry?", searched]
        await given.give.close()
        first, second = given.store.kept.values()
        assert (first.question, first.searched) == ("How long is the ferry?", "")
        assert (second.question, second.searched) == ("When was it built?", searched)
        assert {answer.conversation_id for answer in (first, second)} == {"c"}

    async def test_what_is_longer_when_it_is_normalized_is_asked(self, given: Given) -> None:
        longest = "Why\N{HORIZONTAL ELLIPSIS}" * 125
        for conversation_id in ("", "c", "c"):
            assert (await self.ask(given, longest, conversation_id)).searched == ""
            assert normalized_query("question", given.maker.asked[-1].question) == "Why..." * 125

    async def test_one_answer_at_a_time_is_made_in_a_conversation(self, given: Given) -> None:
        given.maker.step(1)
        stream = given.give.run(PRINCIPAL, COMMAND, soon(), conversation_id="c")
        answer_id, _ = await anext(stream)
        given.maker.begin_apart()
        with pytest.raises(ConversationBusy) as caught:
            await self.ask(given, "And then?")
        assert caught.value.answer_id == answer_id
        async with asyncio.timeout(5):
            while not given.turns.renewed:  # noqa: ASYNC110 - what is waited for happens in code that knows no test
                await asyncio.sleep(0.01)
        await stream.aclose()
        await given.settled(answer_id)
        await self.ask(given, "And then?")
        await given.give.close()
        assert [answer.state for answer in given.store.kept.values()] == [AnswerState.CANCELLED, AnswerState.COMPLETED]

    async def test_the_end_does_not_wait_for_a_turn_that_is_being_renewed(self, given: Given) -> None:
        given.maker.step(1)
        stream = given.give.run(PRINCIPAL, COMMAND, soon(), conversation_id="c")
        await anext(stream)
        given.turns.hangs = True
        rest = asyncio.ensure_future(drained(stream))
        async with asyncio.timeout(5):
            while not given.turns.renewed:  # noqa: ASYNC110 - what is waited for happens in code that knows no test
                await asyncio.sleep(0.01)
            given.maker.step(3)
            assert len(await rest) == 3

    async def test_who_leaves_while_the_turn_is_taken_does_not_keep_it(self, given: Given) -> None:
        given.turns.hangs = True
        call = asyncio.ensure_future(drained(given.give.run(PRINCIPAL, COMMAND, soon(), conversation_id="c")))
        async with asyncio.timeout(5):
            while not given.turns.live:  # noqa: ASYNC110 - what is waited for happens in code that knows no test
                await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait({call})
        assert given.turns.live == {}

    async def test_an_answer_that_is_not_kept_does_not_keep_its_turn(self, given: Given) -> None:
        given.maker.events, given.maker.failure = (), Overloaded("the model", 1.0)
        with pytest.raises(Overloaded):
            await self.ask(given, "How many?")
        await given.give.close()
        assert (given.turns.live, given.store.kept) == ({}, {})

    async def test_a_conversation_of_somebody_else_is_not_found(self, given: Given) -> None:
        with pytest.raises(ConversationNotFound):
            await self.ask(given, "How many?", "another")
        assert given.maker.asked == []


class TestFeed:
    async def put(self, feed: AnswerFeed, *events: AnswerEvent) -> None:
        for event in events:
            await feed.put(event, soon())

    async def test_text_that_was_not_read_is_joined_and_what_was_read_stays(self) -> None:
        feed = AnswerFeed(0.0, 1_000)
        reader = feed.read(0)
        await self.put(feed, Delta("a"), Delta("b"))
        assert await anext(reader) == NumberedEvent(1, Delta("ab"))
        await self.put(feed, Delta("c"), CITATION, Delta("d"), Delta(""), Delta("e"))
        feed.end()
        rest = [NumberedEvent(2, Delta("c")), NumberedEvent(3, CITATION), NumberedEvent(4, Delta("de"))]
        assert [event async for event in reader] == rest
        assert [event async for event in feed.read(1)] == rest

    async def test_one_piece_of_text_comes_in_a_pause(self) -> None:
        feed = AnswerFeed(0.05, 1_000)
        reader = feed.read(0)
        await self.put(feed, Delta("a"))
        assert await anext(reader) == NumberedEvent(1, Delta("a"))
        second = asyncio.ensure_future(anext(reader))
        for letter in "bcd":
            await self.put(feed, Delta(letter))
            await asyncio.sleep(0)
        assert not second.done()
        assert await second == NumberedEvent(2, Delta("bcd"))

    async def test_what_is_there_already_comes_without_a_pause(self) -> None:
        feed = AnswerFeed(3_600.0, 1_000)
        await self.put(feed, Delta("a"), CITATION, Delta("b"), CITATION, Delta("c"), COMPLETION)
        feed.end()
        async with asyncio.timeout(5):
            assert [event.sequence async for event in feed.read(0)] == [1, 2, 3, 4, 5, 6]

    async def test_whoever_makes_it_waits_for_a_reader_that_is_far_behind(self) -> None:
        feed = AnswerFeed(0.0, 10)
        await self.put(feed, Delta("x" * 50))
        reader = feed.read(0)
        await anext(reader)
        await self.put(feed, Delta("x" * 10))
        waiting = asyncio.ensure_future(feed.put(Delta("x"), soon()))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert await anext(reader) == NumberedEvent(2, Delta("x" * 11))
        await waiting
        with pytest.raises(StageDeadline):
            await feed.put(Delta("x" * 11), Deadline.after(0.01))
        stuck = asyncio.ensure_future(feed.put(Delta("x"), soon()))
        await asyncio.sleep(0)
        assert not stuck.done()
        await reader.aclose()
        await stuck


async def test_whoever_lost_a_source_is_not_told_again_what_was_made_of_it(given: Given) -> None:
    answer_id = await given.begin(2, window_s=60.0)
    given.store.unreadable.add("d-ferry")
    given.maker.step(2)
    told: list[NumberedEvent] = []
    with pytest.raises(AnswerInterrupted):
        async for event in given.give.resume(PRINCIPAL, answer_id, 0):
            told.append(event)  # noqa: PERF401 - what came before the error is looked at
    assert given.maker.stopped == 1
    assert [event.sequence for event in told] == [1, 2]
    sources, text = (event.event for event in told)
    assert sources == Sources(())
    assert isinstance(text, Delta) and not set(text.text) - {BLOT}
    found = await given.give.get(PRINCIPAL, answer_id, soon())
    assert (found.state, set(found.text)) == (AnswerState.CANCELLED, {BLOT})
