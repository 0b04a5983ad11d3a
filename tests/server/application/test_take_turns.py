"""Questions that follow each other: what is meant by them, and what is remembered of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.application.answer_ports import OwnAnswer
from server.application.answer_question import AnswerCommand
from server.application.chunking import estimate_tokens
from server.application.conversation_history import summarized
from server.application.give_answers import GiveAnswers
from server.application.keeping import kept_answer
from server.application.model_ports import GeneratedText, GenerationRequest
from server.application.query import MAX_QUERY_CHARACTERS
from server.application.rewrite_follow_ups import usable
from server.application.take_turns import MeantQuestion, TakeTurns, TurnOptions
from server.application.terms import terms_of
from server.domain.answers import Completion, Degradation, Sources
from server.domain.deadline import Deadline
from server.domain.errors import ConversationBusy, DependencyUnavailable, InvalidField, StageDeadline
from server.domain.retrieval import RetrievalSettings
from server.domain.stored_answers import AnswerState
from tests.server.application.answer_doubles import (
    SOURCES,
    MemoryHistories,
    MemoryStore,
    MemoryTurns,
    SteppedMaker,
    giving,
    taking,
)
from tests.server.application.doubles import PRINCIPAL, ScriptedGenerator

FERRY = "How many passengers does the ferry Sanderling carry?"
MOMENT = datetime(2026, 11, 22, tzinfo=UTC)


class Talk:
    """A conversation whose turns are kept at once."""

    def __init__(self, *generators: ScriptedGenerator, options: TurnOptions | None = None) -> None:
        self.store = MemoryStore()
        self.turns = MemoryTurns(self.store, {"c"})
        self.histories = MemoryHistories(self.store)
        self.taken: TakeTurns = taking(self.turns, *generators, histories=self.histories, options=options)
        self._count = 0

    async def meant(self, question: str, seconds: float = 60.0, **asked: object) -> MeantQuestion:
        """What is meant by the question; then it is a turn."""
        self._count += 1
        answer_id = f"a{self._count}"
        meant = await self.taken.begin(PRINCIPAL, "c", answer_id, question, Deadline.after(seconds), **asked)  # type: ignore[arg-type]
        searched = "" if meant.text == question else meant.text
        events = (replace(SOURCES, searched=searched),)
        kept = kept_answer(answer_id, question, AnswerState.COMPLETED, None, events, MOMENT, MOMENT, "c")
        await self.store.keep([OwnAnswer(PRINCIPAL, kept)])
        return meant


REWRITTEN = "When was the ferry Sanderling built?"


async def test_a_generator_rewrites_where_the_profile_or_the_request_asks_for_it() -> None:
    generator = ScriptedGenerator(REWRITTEN)
    talk = Talk(generator)
    assert (await talk.meant(FERRY, rewrite=True)).text == FERRY
    assert generator.requests == [], "it stands alone"
    by_rule = MeantQuestion("When was it built? (passengers ferry Sanderling carry)")
    assert await talk.meant("When was it built?") == by_rule
    assert await talk.meant("When was it built?", profile="rewriting", rewrite=False) == by_rule
    assert generator.requests == []
    assert (await talk.meant("When was it built?", profile="rewriting")).text == REWRITTEN
    assert (await talk.meant("When was it built?", rewrite=True)).text == REWRITTEN
    [request, _] = generator.requests
    assert FERRY in request.prompt and request.prompt.count("When was it built?") > 1
    assert (request.stop, request.temperature) == (("\n",), 0.0)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("When was the ferry Sanderling built?\nIt was built in", "When was the ferry Sanderling built?"),
        ("Is the ferry Sanderling old?", "When was it built? (ferry Sanderling)"),
        ("Sanderling", "When was it built? (Sanderling)"),
    ],
    ids=["more lines", "words lost", "a name alone"],
)
async def test_no_word_of_the_question_is_lost(written: str, meant: str) -> None:
    talk = Talk(ScriptedGenerator(written.replace(" old", "")))
    await talk.meant(FERRY)
    assert await talk.meant("When was it built?", rewrite=True) == MeantQuestion(meant)


@pytest.mark.parametrize(
    ("question", "written", "meant"),
    [
        ("When was it built?", "Where was the ferry built?", "When was it built? (ferry)"),
        ("Why wasn’t it built?", "Why was the ferry built?", "Why wasn’t it built? (ferry)"),
        ("What came before it?", "What came after the ferry?", "What came before it? (ferry)"),
        ("Why was it not built?", "Why was the ferry built?", "Why was it not built? (ferry)"),
        ("Why was it not built?", "Why was the ferry not built?", "Why was the ferry not built?"),
        ("And its price?", "What is the price of the ferry?", "What is the price of the ferry?"),
        ("それはいつ建てられましたか", "フェリーはどこで建てられましたか", "それはいつ建てられましたか (フェリー)"),
        ("それはなぜ運航しないのか", "フェリーはなぜ運航するのか", "それはなぜ運航しないのか (フェリー)"),
        ("それはいつ建てられましたか", "フェリーはいつ建てられましたか", "フェリーはいつ建てられましたか"),
    ],
)
def test_a_question_is_not_turned_into_another_one(question: str, written: str, meant: str) -> None:
    assert usable(question, written, "The ferry. フェリー") == meant


@dataclass
class Silent(ScriptedGenerator):
    async def stream(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
        self.requests.append(request)
        await asyncio.Event().wait()
        yield GeneratedText("late")


@pytest.mark.parametrize(
    "generator",
    [
        ScriptedGenerator("When was the tug Bramble built?"),
        ScriptedGenerator("When was the ferry Sanderling built in 1987?"),
        ScriptedGenerator("When was it built?"),
        ScriptedGenerator(""),
        ScriptedGenerator("x" * 2_000),
        ScriptedGenerator("When was", failure=DependencyUnavailable("the model", "down")),
        Silent(""),
        None,
    ],
    ids=["a made-up name", "a made-up number", "nothing new", "nothing", "endless", "failing", "late", "none"],
)
async def test_where_no_generator_helps_rules_do_and_that_is_told(generator: ScriptedGenerator | None) -> None:
    talk = Talk(*([generator] if generator else []))
    await talk.meant(FERRY)
    seconds = 2.0 if isinstance(generator, Silent) else 60.0
    meant = await talk.meant("When was it built?", seconds, rewrite=True)
    assert meant == MeantQuestion("When was it built? (passengers ferry Sanderling carry)", rewrite_skipped=True)


@given(
    st.text(st.sampled_from("ab 12.?それフェリー"), max_size=60),
    st.text(st.sampled_from("ab 12.?それフェリー"), max_size=600),
    st.text(st.sampled_from("ab 12.?それフェリー"), max_size=60),
)
def test_what_is_usable_has_all_words_of_the_question_and_no_others_but_the_historys(
    question: str, written: str, history: str
) -> None:
    found = usable(question, written, history)
    if found is not None:
        assert terms_of(question).all <= terms_of(found).all <= terms_of(f"{question}\n{history}").all
        assert len(found) <= MAX_QUERY_CHARACTERS


async def test_who_leaves_while_a_question_is_rewritten_gives_the_turn_back() -> None:
    generator = Silent("")
    talk = Talk(generator)
    await talk.meant(FERRY)
    asking = asyncio.create_task(talk.meant("When was it built?", rewrite=True))
    while not generator.requests:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)
    assert talk.turns.live == {"c": "a2"}
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert talk.turns.live == {}


async def test_a_store_that_does_not_answer_is_waited_for_until_the_deadline() -> None:
    talk = Talk()
    talk.turns.hangs = True
    with pytest.raises(StageDeadline) as late:
        await talk.meant(FERRY, 0.05)
    assert late.value.stage == "turn"
    assert talk.turns.live == {}


async def test_an_unknown_profile_and_a_busy_conversation_take_no_turn() -> None:
    talk = Talk()
    with pytest.raises(InvalidField, match="profile"):
        await talk.meant(FERRY, profile="best")
    assert talk.turns.live == {}
    await talk.taken.begin(PRINCIPAL, "c", "other", FERRY, Deadline.after(60))
    with pytest.raises(ConversationBusy):
        await talk.meant(FERRY)
    assert talk.turns.live == {"c": "other"}, "the other one keeps it"


# --- what is remembered ------------------------------------------------------------------------------------------


async def test_what_was_asked_before_the_last_turns_is_summarized_once() -> None:
    generator = ScriptedGenerator("x")
    options = TurnOptions(past=2, summarize_from=3, summary_tokens=200)
    talk = Talk(generator, options=options)
    for number in range(12):
        await talk.meant(f"How long is ship number {number}?")
    assert talk.histories.made == 3
    summary, known = talk.histories.summaries["c"]
    assert known == 9
    assert summary.split("\n") == [f"How long is ship number {number}?" for number in range(9)]
    await talk.meant("When was it built?", rewrite=True)
    prompt = generator.requests[0].prompt
    assert all(f"number {number}?" in prompt for number in range(12)), "what is in no summary yet, too"


async def test_without_a_store_of_histories_a_question_can_be_asked() -> None:
    talk = Talk(options=TurnOptions(past=1, summarize_from=1))
    talk.histories.failure = DependencyUnavailable("PostgreSQL", "down")
    for _ in range(3):
        assert (await talk.meant(FERRY)).text == FERRY
    assert talk.histories.made == 0


WORDS = ("ferry", "tug", "harbour", "610", "2009", "Sanderling", "Bramble", "how", "long", "港", "フェリー")
QUESTIONS = st.lists(st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join), max_size=30)


@given(QUESTIONS, QUESTIONS, st.integers(4, 80))
def test_a_summary_keeps_to_its_tokens_and_to_the_words_of_the_questions(
    before: list[str], questions: list[str], most: int
) -> None:
    first = summarized("", before, most)
    summary = summarized(first, questions, most)
    assert sum(estimate_tokens(line) + 1 for line in summary.split("\n") if line) <= most
    assert terms_of(summary).all <= terms_of("\n".join([*before, *questions])).all
    lines = summary.split("\n")
    assert len(set(lines)) == len(lines)
    newest = next(filter(None, reversed(questions)), "")
    if newest and estimate_tokens(newest) + 1 <= most // 2:
        assert lines[-1] == newest, "the newest stays whole"


def test_old_questions_are_cut_down_to_their_words_and_the_oldest_go() -> None:
    questions = [f"What is the length of the ship number {number}?" for number in range(30)]
    lines = summarized("", questions, 60).split("\n")
    assert lines[-1] == questions[-1]
    assert lines[0] != questions[0] and "length" not in lines[0]
    assert summarized("", ["one?", "two?", "one?"], 60) == "two?\none?"


async def test_a_skipped_rewriting_is_told_with_the_completion() -> None:
    store = MemoryStore()
    turns = MemoryTurns(store, {"c"})
    maker = SteppedMaker()
    given_answers = giving(maker, store, turns=turns)
    maker.step(99)
    await heard(given_answers, FERRY)
    first, *_, last = await heard(given_answers, "When was it built?")
    assert isinstance(first, Sources) and "Sanderling" in first.searched
    assert isinstance(last, Completion) and last.degradations == (Degradation.REWRITE_SKIPPED,)
    assert maker.asked[1].question == first.searched
    kept = [each.completion for each in store.kept.values()]
    assert [each.degradations for each in kept if each] == [(), (Degradation.REWRITE_SKIPPED,)]


async def heard(answers: GiveAnswers, question: str) -> list[object]:
    command = AnswerCommand(question, retrieval=RetrievalSettings(rewrite=True))
    events = answers.run(PRINCIPAL, command, Deadline.after(60), conversation_id="c")
    async with aclosing(events) as stream:
        told = [event.event async for _, event in stream]
    await answers.until_kept(PRINCIPAL, "c", Deadline.after(60))
    return list(told)
