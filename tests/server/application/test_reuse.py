"""What is used again is what a caller would be told anew, and never what it may not see any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.application.answer_question import AnswerCommand, AnswerOptions, AnswerQuestion
from server.application.caching import CacheOptions
from server.application.model_ports import EmbeddingKind, Embeddings, GeneratedText, GenerationRequest
from server.application.reuse_answers import ReuseAnswers
from server.application.reuse_searches import ReuseSearches
from server.application.search_passages import SearchCommand, SearchOptions, SearchOutcome, SearchPassages
from server.application.timing import StageClock
from server.domain.answers import (
    AnswerEvent,
    AnswerStatus,
    Citation,
    Degradation,
    Delta,
    Sources,
)
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, IndexBehind, InvalidField, Overloaded
from server.domain.passages import SearchFilter, SearchMode
from server.domain.principals import Principal
from tests.server.application.answer_doubles import completion, text_of
from tests.server.application.doubles import (
    PRINCIPAL,
    OneModel,
    ScriptedEmbedder,
    ScriptedGenerator,
    ScriptedHighlighter,
    ScriptedIndex,
    ScriptedNames,
    ScriptedReader,
    ScriptedReranker,
    ScriptedStore,
    chain_of,
    hit,
    passage,
)
from tests.server.application.policy_doubles import MASK_ALL, FixedPolicies

TEXTS = {
    "ferry": "The ferry Sanderling carries 610 passengers. It was built in 2009.",
    "ticket": "A ticket for the ferry costs 47 crowns.",
    "secret": "The ferry Sanderling carries smuggled goods, too.",
}
QUESTION = "Tell me about the ferry Sanderling and its passengers."
OTHER = replace(PRINCIPAL, user="other")
CACHE = CacheOptions(entries=50, size_bytes=2**20, share_from_s=5.0)


@dataclass
class ChangingEmbedder(ScriptedEmbedder):
    """While it works, somebody changes the models of other slots."""

    change: Callable[[], None] = lambda: None

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind, deadline: Deadline) -> Embeddings:
        self.change()
        return await super().embed(texts, kind, deadline)


class System:
    """Searching and answering with all that is kept, over ports in memory that count."""

    def __init__(
        self, generator: ScriptedGenerator | None = None, cache: CacheOptions = CACHE, longest_query: int = 500
    ) -> None:
        self.embedder = ChangingEmbedder()
        self.reranker: OneModel[ScriptedReranker] = OneModel()
        self.reader: OneModel[ScriptedReader] = OneModel(ScriptedReader({}))
        self.index = ScriptedIndex((hit("ferry", 1), hit("ticket", 2, 0.8)), position=7)
        self.store = ScriptedStore({name: passage(name, text) for name, text in TEXTS.items()})
        self.highlighter = ScriptedHighlighter()
        self.policies = FixedPolicies()
        self.generator = generator or ScriptedGenerator("It carries 610 passengers. It was built in 2009.")
        self.generators = OneModel(self.generator)
        anew = SearchPassages(
            OneModel(self.embedder),
            self.reranker,
            self.index,
            self.store,
            ScriptedNames(),
            self.highlighter,
            SearchOptions(longest_query=longest_query),
        )
        self.vectors = anew.vectors
        self.search = ReuseSearches(anew, self.reranker, self.index, self.store, self.policies, cache)
        answer = AnswerQuestion(self.search, chain_of(self.generators), self.reader, AnswerOptions())
        self.answers = ReuseAnswers(
            answer, self.generators, self.reranker, self.reader, self.index, self.store, self.policies, cache
        )

    async def find(
        self, command: SearchCommand | str, principal: Principal = PRINCIPAL, seconds: float = 30.0
    ) -> SearchOutcome:
        wanted = SearchCommand(command) if isinstance(command, str) else command
        return await self.search.run(principal, wanted, Deadline.after(seconds), StageClock())

    async def ask(
        self, command: AnswerCommand | str = QUESTION, principal: Principal = PRINCIPAL, seconds: float = 30.0
    ) -> list[AnswerEvent]:
        wanted = AnswerCommand(command) if isinstance(command, str) else command
        return [event async for event in self.answers.run(principal, wanted, Deadline.after(seconds))]

    @property
    def worked(self) -> tuple[int, int, int]:
        """How often the embedder, the index and the generator were asked."""
        return len(self.embedder.asked), len(self.index.asked), len(self.generator.requests)


def ids(outcome: SearchOutcome) -> list[str]:
    return [ranked.passage.chunk_id for ranked in outcome.passages]


# --- the same again ----------------------------------------------------------------------------------------------


async def test_a_search_that_is_repeated_asks_neither_model_nor_index() -> None:
    system = System()
    first = await system.find("ferry")
    again = await system.find("  ｆｅｒｒｙ ")
    assert system.worked == (1, 1, 0)
    assert (first.cached, again.cached) == (False, True)
    assert replace(again, cached=False) == first


async def test_an_answer_that_is_repeated_is_told_again() -> None:
    system = System()
    first = await system.ask()
    again = await system.ask("  " + QUESTION)
    assert system.worked == (1, 1, 1)
    assert text_of(again) == text_of(first)
    assert [event for event in again if isinstance(event, Citation | Sources)] == [
        event for event in first if isinstance(event, Citation | Sources)
    ]
    assert (completion(first).cached, completion(again).cached) == (False, True)
    assert [timing.stage for timing in completion(again).timings] == ["cache", "total"]
    assert replace(completion(again), cached=False, timings=()) == replace(completion(first), timings=())
    assert len(again) <= len(first)


async def test_every_citation_still_follows_its_sentence() -> None:
    system = System()
    await system.ask()
    told = ""
    for event in await system.ask():
        if isinstance(event, Delta):
            told += event.text
        if isinstance(event, Citation):
            assert event.sentence.end <= len(told)


async def test_what_is_not_in_the_documents_is_kept_too() -> None:
    system = System()
    system.index.hits = ()
    assert completion(await system.ask()).status is AnswerStatus.NOT_IN_DOCUMENTS
    assert (completion(await system.ask()).cached, system.worked) == (True, (1, 1, 0))


async def test_hits_and_misses_are_counted() -> None:
    system = System()
    for _ in range(3):
        await system.ask()
    await system.ask(AnswerCommand(QUESTION, no_cache=True))
    use = system.answers.kept.use
    assert (use.misses, use.hits, use.shared, use.bypassed) == (1, 2, 0, 1)
    assert (system.answers.kept.entries, system.search.kept.entries) == (1, 1)
    assert 0 < system.answers.kept.size_bytes < CACHE.size_bytes


async def test_what_a_question_itself_takes_counts_too() -> None:
    system = System(cache=replace(CACHE, size_bytes=100_000))
    many = SearchFilter(document_ids=tuple(f"{number:036}" for number in range(1_000)))
    await system.ask()
    one = system.answers.kept.size_bytes
    await system.ask(AnswerCommand(QUESTION, filter=many))
    assert system.answers.kept.size_bytes > one + 36_000


# --- what makes another answer -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        SearchCommand("other ferry"),
        SearchCommand("ferry", limit=1),
        SearchCommand("ferry", filter=SearchFilter(tags=("t",))),
        SearchCommand("ferry", mode=SearchMode.DENSE),
        SearchCommand("ferry", rerank=False),
        SearchCommand("ferry", diversity=0.5),
        SearchCommand("ferry", no_cache=True),
    ],
)
async def test_another_search_is_made_anew(command: SearchCommand) -> None:
    system = System()
    await system.find("ferry")
    assert not (await system.find(command)).cached
    assert len(system.index.asked) == 2


@pytest.mark.parametrize(
    "command",
    [
        AnswerCommand(QUESTION, max_tokens=5),
        AnswerCommand(QUESTION, max_passages=1),
        AnswerCommand(QUESTION, seed=1),
        AnswerCommand(QUESTION, filter=SearchFilter(document_ids=("d",))),
        AnswerCommand(QUESTION, no_cache=True),
    ],
)
async def test_another_question_is_answered_anew(command: AnswerCommand) -> None:
    system = System()
    await system.ask()
    assert not completion(await system.ask(command)).cached
    assert len(system.generator.requests) == 2


async def test_a_call_that_wants_it_so_is_embedded_anew() -> None:
    system = System()
    await system.find("ferry")
    await system.find(SearchCommand("ferry", no_cache=True))
    await system.find(SearchCommand("ferry", limit=3))
    assert len(system.embedder.asked) == 2, "one with no_cache; the query's vector serves every other search for it"


async def test_other_models_answer_anew() -> None:
    system = System()
    await system.ask()
    system.generators.filled = ScriptedGenerator("It carries 610 passengers.", fingerprint="generator@2")
    assert completion(await system.ask()).generator == "generator@2"
    system.reranker.filled = ScriptedReranker("ferry")
    assert completion(await system.ask()).reranker == "reranker@1"


async def test_another_policy_of_the_tenant_answers_anew() -> None:
    system = System()
    await system.find("ferry")
    await system.ask()
    system.policies.set(MASK_ALL)
    assert not (await system.find("ferry")).cached
    assert not completion(await system.ask()).cached
    assert (await system.find("ferry")).cached and completion(await system.ask()).cached
    system.policies.set({})
    assert not (await system.find("ferry")).cached
    assert not completion(await system.ask()).cached


async def test_without_a_policy_nothing_is_told_again() -> None:
    system = System()
    await system.find("ferry")
    await system.ask()
    system.policies.failure = DependencyUnavailable("PostgreSQL", "it is down")
    for call in (system.find("ferry"), system.ask()):
        with pytest.raises(DependencyUnavailable):
            await call


async def test_what_another_model_made_meanwhile_is_not_kept_as_the_first_ones() -> None:
    system = System()
    first, second = (ScriptedReranker("ferry", fingerprint=name) for name in ("first", "second"))
    system.embedder.change = lambda: setattr(system.reranker, "filled", second)
    system.reranker.filled = first
    assert completion(await system.ask()).reranker == "second"
    system.reranker.filled = first
    assert (await system.find("another")).reranker == "second"
    assert (system.answers.kept.entries, system.search.kept.entries) == (0, 0)


async def test_whatever_the_index_takes_up_may_answer_otherwise() -> None:
    system = System()
    await system.ask()
    system.index.position += 1
    assert not completion(await system.ask()).cached
    assert completion(await system.ask()).cached
    system.index.serving = "generation-2"
    assert not completion(await system.ask()).cached
    assert system.answers.kept.use.stale == 2


async def test_an_answer_waits_for_the_index_that_its_caller_wants() -> None:
    system = System()
    await system.ask()
    with pytest.raises(IndexBehind):
        await system.ask(AnswerCommand(QUESTION, consistency_token="log-8"))
    system.index.position = 8
    assert not completion(await system.ask(AnswerCommand(QUESTION, consistency_token="log-8"))).cached
    assert completion(await system.ask(AnswerCommand(QUESTION, consistency_token="log-7"))).cached


async def test_questions_are_as_long_as_the_settings_allow() -> None:
    long = QUESTION + " Really?" * 60
    assert 500 < len(long) < 600
    with pytest.raises(InvalidField, match="question: must have at most 500"):
        await System().ask(long)
    with pytest.raises(InvalidField, match="query: must have at most 500"):
        await System().find(long)
    system = System(longest_query=600)
    assert completion(await system.ask(long)).status is AnswerStatus.ANSWERED
    assert (await system.find(long)).passages


async def test_bad_requests_are_refused_as_ever() -> None:
    system = System()
    with pytest.raises(InvalidField):
        await system.ask("  ")
    with pytest.raises(InvalidField):
        await system.find("")
    with pytest.raises(InvalidField):
        await system.find(SearchCommand("ferry", limit=1_000))


@pytest.mark.parametrize(
    "generator",
    [
        ScriptedGenerator("It carries 610", finish_reason="length"),
        ScriptedGenerator("It carries 610 passengers."),
    ],
    ids=["cut off", "no time"],
)
async def test_half_an_answer_is_not_kept(generator: ScriptedGenerator) -> None:
    system = System(generator)
    seconds = 30.0 if generator.finish_reason == "length" else 1.0
    for _ in range(2):
        assert not completion(await system.ask(seconds=seconds)).cached
    assert system.answers.kept.entries == 0


async def test_an_answer_of_another_reader_is_not_told_again() -> None:
    system = System()
    for name in ("first", "second"):
        system.reader.filled = ScriptedReader({}, fingerprint=name)
        assert not completion(await system.ask()).cached
        again = completion(await system.ask())
        assert again.cached and again.reader == name


async def test_what_was_not_read_for_a_busy_reader_is_not_kept() -> None:
    system = System()
    system.reader.filled = ScriptedReader({}, failure=Overloaded("the model read", 1.0))
    for _ in range(2):
        end = completion(await system.ask())
        assert Degradation.READ_SKIPPED in end.degradations and not end.cached


async def test_what_a_busy_reranker_left_out_is_not_kept() -> None:
    system = System()
    system.reranker.filled = ScriptedReranker("ticket", Overloaded("the model rerank", 1.0))
    assert (await system.find("ferry")).degradations == (Degradation.RERANK_SKIPPED,)
    assert completion(await system.ask()).degradations == (Degradation.RERANK_SKIPPED,)
    system.reranker.filled.failure = None
    assert (await system.find("ferry")).reranker == "reranker@1"
    assert completion(await system.ask()).degradations == ()


async def test_a_search_without_its_snippets_is_not_kept() -> None:
    system = System()
    system.highlighter.failure = Overloaded("highlighting", 1.0)
    assert (await system.find("ferry")).passages[0].snippet is None
    system.highlighter.failure = None
    assert (await system.find("ferry")).passages[0].snippet is not None


async def test_a_cache_that_is_off_keeps_and_shares_nothing() -> None:
    system = System(cache=CacheOptions(entries=0))
    await asyncio.gather(*(system.ask() for _ in range(3)))
    assert len(system.generator.requests) == 3


# --- who may see what --------------------------------------------------------------------------------------------


async def test_nobody_is_told_what_was_found_for_another() -> None:
    system = System()
    system.index.hits = (hit("ferry", 1), replace(hit("secret", 2), score=0.9))
    system.store.withheld.add(("other", "secret"))
    for principal in (PRINCIPAL, OTHER, PRINCIPAL, OTHER):
        found = ids(await system.find("ferry", principal))
        sources = (await system.ask(QUESTION, principal))[0]
        assert isinstance(sources, Sources)
        told = [ranked.passage.chunk_id for ranked in sources.passages]
        assert ("secret" in found, "secret" in told) == (principal is PRINCIPAL,) * 2


@pytest.mark.parametrize(
    "another",
    [replace(PRINCIPAL, tenant="rival"), replace(PRINCIPAL, groups=frozenset({"staff"})), OTHER],
    ids=["tenant", "groups", "user"],
)
async def test_rights_are_part_of_what_is_asked(another: Principal) -> None:
    system = System()
    await system.ask()
    assert not completion(await system.ask(QUESTION, another)).cached
    assert not (await system.find("ferry", another)).cached


@pytest.mark.parametrize("withdrawn", ["access", "deletion"])
async def test_what_was_withdrawn_between_two_calls_is_not_told_again(withdrawn: str) -> None:
    """The index has not heard of it yet; the store has."""
    system = System()
    await system.find("ferry")
    await system.ask()
    if withdrawn == "access":
        system.store.withheld.add((PRINCIPAL.user, "ferry"))
    else:
        del system.store.known["ferry"]
    assert "ferry" not in ids(await system.find("ferry"))
    told = await system.ask()
    assert not completion(told).cached
    assert all(event.passage.chunk_id != "ferry" for event in told if isinstance(event, Citation))
    assert "610" not in text_of(told)
    assert (system.search.kept.use.stale, system.answers.kept.use.stale) == (2, 1)


async def test_texts_of_what_was_deleted_do_not_stay_in_memory() -> None:
    system = System()
    await system.ask()
    await system.ask(QUESTION + " And then?")
    assert (system.answers.kept.entries, system.search.kept.entries) == (2, 2)
    del system.store.known["ferry"]
    system.index.position += 1
    await system.ask("What does a ticket cost?")
    assert (system.answers.kept.entries, system.search.kept.entries) == (1, 1)


async def test_an_answer_from_before_a_change_is_not_kept_after_it() -> None:
    generator = GatedGenerator("")
    system = System(generator)
    first = await Listener(system).until_text()
    system.index.position += 1
    generator.gate.set()
    await first.task
    assert system.answers.kept.entries == 0


async def test_a_store_that_does_not_answer_lets_nothing_out() -> None:
    system = System()
    await system.ask()

    async def broken(principal: Principal, chunk_ids: Sequence[str], position: int) -> set[str]:
        raise DependencyUnavailable("PostgreSQL", "it is down")

    system.store.readable = broken  # type: ignore[method-assign]
    with pytest.raises(DependencyUnavailable):
        await system.ask()


ACTIONS = st.one_of(
    st.tuples(st.just("find"), st.sampled_from(["user", "other"])),
    st.tuples(st.just("ask"), st.sampled_from(["user", "other"])),
    st.tuples(st.just("withhold"), st.sampled_from(["user", "other"]), st.sampled_from(sorted(TEXTS))),
    st.tuples(st.just("allow"), st.sampled_from(["user", "other"]), st.sampled_from(sorted(TEXTS))),
    st.tuples(st.just("delete"), st.sampled_from(sorted(TEXTS))),
    st.tuples(st.just("revise"), st.sampled_from(sorted(TEXTS))),
    st.tuples(st.just("follow")),
)


@settings(max_examples=60)
@given(st.lists(ACTIONS, max_size=25))
async def test_whatever_happens_between_calls_only_what_may_be_read_is_told(actions: list[tuple[str, ...]]) -> None:
    system = System()
    system.index.hits = tuple(hit(name, rank) for rank, name in enumerate(TEXTS, 1))
    for action in actions:
        match action:
            case ("find" | "ask" as kind, user):
                principal = replace(PRINCIPAL, user=user)
                hidden = {chunk_id for whose, chunk_id in system.store.withheld if whose == user}
                allowed = {name: known.text for name, known in system.store.known.items() if name not in hidden}
                if kind == "find":
                    passages = (await system.find("ferry", principal)).passages
                else:
                    sources = (await system.ask(QUESTION, principal))[0]
                    assert isinstance(sources, Sources)
                    passages = sources.passages
                assert {each.passage.chunk_id: each.passage.text for each in passages}.items() <= allowed.items()
            case ("withhold", user, name):
                system.store.withheld.add((user, name))
            case ("allow", user, name):
                system.store.withheld.discard((user, name))
            case ("delete", name):
                system.store.known.pop(name, None)
            case ("revise", name):
                # A new revision has new chunks, and its commit is an entry of the log.
                if name in system.store.known:
                    system.store.known[name] = passage(name, f"The ferry, revised: {system.index.position}.")
                system.index.position += 1
            case _:
                system.index.position += 1


# --- at the same time --------------------------------------------------------------------------------------------


@dataclass
class GatedGenerator(ScriptedGenerator):
    """Writes its first sentence, then waits."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None
    ended: int = 0

    async def stream(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
        self.requests.append(request)
        try:
            yield GeneratedText("It was built in 2009. It ")
            await self.gate.wait()
            if self.failure is not None:
                raise self.failure
            yield GeneratedText("carries 610 passengers.")
            yield GeneratedText("", "stop", 30, 5)
        finally:
            self.ended += 1


class Listener:
    """Somebody who asks, and what has been told so far."""

    def __init__(self, system: System, principal: Principal = PRINCIPAL, seconds: float = 30.0) -> None:
        self.heard: list[AnswerEvent] = []
        self._events = system.answers.run(principal, AnswerCommand(QUESTION), Deadline.after(seconds))
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> list[AnswerEvent]:
        async with aclosing(self._events) as events:
            async for event in events:
                self.heard.append(event)
        return self.heard

    async def until_text(self) -> Listener:
        async with asyncio.timeout(5):
            while not text_of(self.heard):  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.001)
        return self

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait((self.task,))


async def test_callers_at_the_same_time_hear_one_answer_as_it_comes() -> None:
    generator = GatedGenerator("")
    system = System(generator)
    listeners = [await Listener(system).until_text() for _ in range(4)]
    generator.gate.set()
    told = await asyncio.gather(*(listener.task for listener in listeners))
    assert {text_of(events) for events in told} == {"It was built in 2009. It carries 610 passengers."}
    assert [completion(events).cached for events in told] == [False, True, True, True]
    assert system.worked == (1, 1, 1)
    assert system.answers.kept.use.shared == 3
    assert completion(await system.ask()).cached


async def test_who_began_may_leave_and_the_others_hear_the_end() -> None:
    generator = GatedGenerator("")
    system = System(generator)
    first, second = [await Listener(system).until_text() for _ in range(2)]
    await first.leave()
    assert generator.ended == 0
    third = await Listener(system).until_text()
    generator.gate.set()
    for listener in (second, third):
        assert text_of(await listener.task) == "It was built in 2009. It carries 610 passengers."
    assert len(generator.requests) == 1


async def test_when_the_last_one_leaves_the_model_stops() -> None:
    generator = GatedGenerator("")
    system = System(generator)
    listeners = [await Listener(system).until_text() for _ in range(3)]
    for listener in listeners:
        await listener.leave()
    assert (generator.ended, system.answers.kept.entries) == (1, 0)
    again = await Listener(system).until_text()
    generator.gate.set()
    assert not completion(await again.task).cached


async def test_all_who_listen_hear_of_a_failure() -> None:
    generator = GatedGenerator("", failure=DependencyUnavailable("Triton", "it is down"))
    system = System(generator)
    listeners = [await Listener(system).until_text() for _ in range(2)]
    generator.gate.set()
    told = await asyncio.gather(*(listener.task for listener in listeners), return_exceptions=True)
    assert all(isinstance(each, DependencyUnavailable) for each in told)
    generator.failure = None
    assert not completion(await system.ask()).cached


async def test_who_may_not_read_its_sources_any_more_does_not_join_an_answer() -> None:
    generator = GatedGenerator("")
    system = System(generator)
    first = await Listener(system).until_text()
    system.store.withheld.add((PRINCIPAL.user, "ferry"))
    late = Listener(system)
    generator.gate.set()
    await asyncio.gather(first.task, late.task)
    assert isinstance(late.heard[0], Sources)
    assert [ranked.passage.chunk_id for ranked in late.heard[0].passages] == ["ticket"]


async def test_who_has_little_time_is_answered_alone() -> None:
    generator = GatedGenerator("")
    system = System(generator)
    hasty = await Listener(system, seconds=4.9).until_text()
    patient = await Listener(system).until_text()
    assert len(generator.requests) == 2
    generator.gate.set()
    assert not completion(await hasty.task).cached
    assert not completion(await patient.task).cached


async def test_who_has_far_more_time_does_not_end_with_another() -> None:
    generator = GatedGenerator("")
    system = System(generator)
    listeners = [await Listener(system, seconds=seconds).until_text() for seconds in (8.0, 30.0, 20.0)]
    assert len(generator.requests) == 2, "the third one hears what the second one has begun"
    generator.gate.set()
    await asyncio.gather(*(listener.task for listener in listeners))


async def test_others_rights_are_not_joined() -> None:
    generator = GatedGenerator("")
    system = System(generator)
    listeners = [await Listener(system, principal).until_text() for principal in (PRINCIPAL, OTHER)]
    assert len(generator.requests) == 2
    generator.gate.set()
    await asyncio.gather(*(listener.task for listener in listeners))
