"""What becomes of an answer when a stage of it does not end, fails, or says nonsense."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.application import answer_question
from server.application.answer_ports import ReadSpan
from server.application.answer_question import AnswerCommand, AnswerOptions, AnswerQuestion
from server.application.attribution import Attribution
from server.application.generation_chain import ChainOptions, GenerationChain, Provider
from server.application.model_ports import EmbeddingKind, Embeddings, GeneratedText, GenerationRequest, Generator, Slot
from server.application.reading import Reading
from server.application.search_passages import SearchOptions, SearchPassages
from server.domain.answers import AnswerEvent, AnswerStatus, Citation, Completion, Degradation, Sources
from server.domain.deadline import Deadline
from server.domain.errors import (
    DependencyUnavailable,
    InvalidField,
    ModelNotInstalled,
    NoGenerator,
    Overloaded,
    PinakesError,
    SlotMisconfigured,
    StageDeadline,
)
from server.domain.generation import BreakerState, PassedOver, PassedOverReason
from server.domain.passages import IndexQuery, IndexResult, Passage, Snippet, TextSpan
from server.domain.principals import Principal
from server.domain.retrieval import RetrievalSettings
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

TEXT = "The ferry carries 610 passengers. It was built in 2009."
NAMED = "Describe the ferry in the file radio log."
QUESTION = "Describe how many passengers the ferry carries and when it was built."
PHRASE_QUESTION = "Which passengers does the ferry carry?"
DRAFT = "The ferry carries 610 passengers. It was built in 2009. "
PATIENT_S = 60.0


@pytest.fixture(autouse=True, scope="module")
def drafted() -> Iterator[None]:
    """Phrases are drafted by the generator, whatever could be told without one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reading, "phrase", lambda reading: None)
        yield


class ExpiringAt(Deadline):
    """Leaves a minute to every stage, and next to nothing to one of them."""

    stage: str

    def __init__(self, stage: str) -> None:
        Deadline.__init__(self, 0.0)
        object.__setattr__(self, "stage", stage)

    def remaining(self) -> float:
        return PATIENT_S

    def budget(self, stage: str) -> float:
        return 0.02 if stage == self.stage else PATIENT_S

    def less(self, seconds: float) -> Deadline:
        return self

    capped = less


async def hang(deadline: Deadline, stage: str) -> None:
    """As an adapter does that looks at its deadline itself."""
    await asyncio.sleep(deadline.budget(stage))
    raise StageDeadline(stage)


@dataclass
class Parts:
    """All that an answer is made from. Each part that is in `hanging` never answers."""

    hanging: frozenset[str] = frozenset()
    generators: Sequence[Slot[Generator]] = ()
    entered: list[str] = field(default_factory=list)

    async def enter(self, part: str, deadline: Deadline | None = None) -> None:
        self.entered.append(part)
        if part in self.hanging:
            await (asyncio.Event().wait() if deadline is None else hang(deadline, part))

    def answering(self, options: AnswerOptions | None = None) -> AnswerQuestion:
        parts = self

        class Embedder(ScriptedEmbedder):
            async def embed(self, texts: Sequence[str], kind: EmbeddingKind, deadline: Deadline) -> Embeddings:
                await parts.enter("embed", deadline)
                return await super().embed(texts, kind, deadline)

        class Reranker(ScriptedReranker):
            async def rerank(self, query: str, texts: Sequence[str], deadline: Deadline) -> npt.NDArray[np.float32]:
                await parts.enter("rerank", deadline)
                return await super().rerank(query, texts, deadline)

        class Reader(ScriptedReader):
            async def read(self, question: str, texts: Sequence[str], deadline: Deadline) -> list[tuple[ReadSpan, ...]]:
                await parts.enter("reader", deadline)
                return await super().read(question, texts, deadline)

        class Index(ScriptedIndex):
            async def search(
                self, query: IndexQuery, vector: npt.NDArray[np.float32] | None, deadline: Deadline
            ) -> IndexResult:
                await parts.enter("search", deadline)
                return await super().search(query, vector, deadline)

        class Store(ScriptedStore):
            async def passages(
                self, principal: Principal, chunk_ids: Sequence[str], position: int
            ) -> dict[str, Passage]:
                await parts.enter("fetch")
                return await super().passages(principal, chunk_ids, position)

            async def beside(self, principal: Principal, chunk_ids: Sequence[str], reach: int) -> list[str]:
                await parts.enter("context")
                return await super().beside(principal, chunk_ids, reach)

        class Names(ScriptedNames):
            async def named(self, principal: Principal, names: Sequence[str], most: int) -> dict[str, tuple[str, ...]]:
                await parts.enter("understand")
                return await super().named(principal, names, most)

        class Highlighter(ScriptedHighlighter):
            async def snippets(self, query: str, texts: Sequence[str], deadline: Deadline) -> list[Snippet | None]:
                await parts.enter("highlight", deadline)
                return await super().snippets(query, texts, deadline)

        texts = {"ferry": passage("ferry", TEXT), "tug": passage("tug", "The tug is red.")}
        search = SearchPassages(
            OneModel(Embedder()),
            OneModel(Reranker("610")),
            Index((hit("ferry", 1), hit("tug", 2))),
            Store(texts),
            Names(),
            Highlighter(),
            SearchOptions(),
        )
        chain = chain_of(*(self.generators or (OneModel(ScriptedGenerator(DRAFT)),)))
        return AnswerQuestion(search, chain, OneModel(Reader({})), options or AnswerOptions())


async def told(
    parts: Parts, deadline: Deadline, question: str = QUESTION, **command: Any
) -> tuple[list[AnswerEvent], PinakesError | None]:
    """The events that came, and what ended them."""
    settings = RetrievalSettings(neighbours=1)
    events: list[AnswerEvent] = []
    try:
        async with aclosing(
            parts.answering().run(PRINCIPAL, AnswerCommand(question, retrieval=settings, **command), deadline)
        ) as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - what came before an error counts
    except PinakesError as error:
        return events, error
    return events, None


# --- a deadline passes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["understand", "embed", "search", "fetch", "context"])
@pytest.mark.parametrize("narrowed", [False, True])
async def test_without_these_stages_there_is_no_answer_and_the_caller_learns_which_was_late(
    stage: str, narrowed: bool
) -> None:
    parts = Parts(frozenset({stage}))
    events, error = await told(parts, ExpiringAt(stage), NAMED, apply_proposed_filters=narrowed)
    assert isinstance(error, StageDeadline) and error.stage == stage
    assert events == []
    assert stage in parts.entered


async def test_a_late_reranker_is_left_out_and_that_is_told() -> None:
    events, error = await told(Parts(frozenset({"rerank"})), ExpiringAt("rerank"))
    assert error is None
    assert completion(events).degradations == (Degradation.RERANK_SKIPPED,)
    assert text_of(events) == DRAFT.rstrip()


async def test_a_late_reader_is_left_out_and_that_is_told() -> None:
    events, error = await told(Parts(frozenset({"reader"})), ExpiringAt("reader"))
    assert error is None
    assert completion(events).degradations == (Degradation.READ_SKIPPED,)
    assert completion(events).reader == ""
    assert text_of(events) == DRAFT.rstrip()


async def test_late_highlights_are_left_out() -> None:
    events, error = await told(Parts(frozenset({"highlight"})), ExpiringAt("highlight"))
    assert error is None
    assert isinstance(events[0], Sources)
    assert [ranked.snippet for ranked in events[0].passages] == [None, None]
    assert completion(events).degradations == ()


@dataclass
class LateGenerator(ScriptedGenerator):
    """Writes `begun`, and then nothing."""

    begun: str = ""
    counting_hangs: bool = False
    closed: int = 0

    async def token_counts(self, texts: Sequence[str], deadline: Deadline) -> tuple[int, ...] | None:
        if self.counting_hangs:
            await hang(ExpiringAt("count"), "count")
        return None

    async def stream(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
        self.requests.append(request)
        try:
            if self.begun:
                yield GeneratedText(self.begun)
            await hang(deadline, "generate")
        finally:
            self.closed += 1


async def test_a_generator_that_is_late_to_count_is_estimated() -> None:
    generator = LateGenerator(DRAFT, counting_hangs=True)
    events, _ = await told(Parts(generators=[OneModel(generator)]), ExpiringAt("generate"))
    assert isinstance(events[0], Sources) and len(events[0].passages) == 2


@pytest.mark.parametrize("question", [QUESTION, PHRASE_QUESTION])
async def test_before_any_text_is_shown_a_late_generator_gives_way_to_a_sentence(question: str) -> None:
    for begun in ("", "The fer"):
        generator = LateGenerator("", begun=begun)
        events, error = await told(Parts(generators=[OneModel(generator)]), ExpiringAt("generate"), question)
        assert error is None, begun
        end = completion(events)
        assert Degradation.EXTRACTIVE in end.degradations
        assert text_of(events) in TEXT and text_of(events)
        assert generator.closed == 1
        expected = () if begun else (PassedOver("1", PassedOverReason.TOO_SLOW),)
        assert end.passed_over == expected


async def test_a_text_that_was_shown_is_not_replaced_when_its_generator_is_late() -> None:
    generator = LateGenerator("", begun="The ferry carries 610 passengers. It was")
    events, error = await told(Parts(generators=[OneModel(generator)]), ExpiringAt("generate"))
    assert isinstance(error, StageDeadline) and error.stage == "generate"
    assert text_of(events) == "The ferry carries 610 passengers."
    assert not isinstance(events[-1], Completion)
    assert generator.closed == 1


@contextmanager
def stuck(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> Iterator[None]:
    """What runs in a thread does not return until the test is over."""
    over = threading.Event()
    work: Callable[..., Any] = getattr(owner, name)

    def late(*arguments: Any, **named: Any) -> Any:
        over.wait(PATIENT_S)
        return work(*arguments, **named)

    monkeypatch.setattr(owner, name, late)
    try:
        yield
    finally:
        over.set()


@pytest.mark.parametrize(
    ("owner", "name", "stage", "question"),
    [
        (answer_question, "Reading", "read", QUESTION),
        (Reading, "phrase", "read", QUESTION),
        (Attribution, "is_foreign", "attribute", QUESTION),
        (Attribution, "support", "attribute", QUESTION),
        (Reading, "found", "attribute", PHRASE_QUESTION),
    ],
)
async def test_reading_and_checking_end_with_the_deadline(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, stage: str, question: str
) -> None:
    class Passing(ExpiringAt):
        """Once the stage was late nothing is left for anything else, either."""

        def budget(self, wanted: str) -> float:
            if wanted == stage:
                object.__setattr__(self, "stage", "over")
                return 0.02
            return super().budget(wanted)

        def remaining(self) -> float:
            return 0.0 if self.stage == "over" and name != "Reading" and name != "phrase" else PATIENT_S

    with stuck(monkeypatch, owner, name):
        events, error = await told(Parts(), Passing("none"), question)
        assert isinstance(error, StageDeadline) and error.stage == stage
        assert text_of(events) == "", "what was not checked is not shown"
        assert isinstance(events[0], Sources)


async def test_a_late_check_after_shown_text_ends_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Attribution.is_foreign
    over = threading.Event()

    def late_for_the_second(self: Attribution, sentence: str) -> bool:
        if "2009" in sentence:
            over.wait(PATIENT_S)
        return checked(self, sentence)

    monkeypatch.setattr(Attribution, "is_foreign", late_for_the_second)

    class SecondCheck(ExpiringAt):
        def budget(self, wanted: str) -> float:
            if wanted != "attribute":
                return PATIENT_S
            object.__setattr__(self, "stage", self.stage + "+")
            return PATIENT_S if self.stage == "+" else 0.02

    try:
        events, error = await told(Parts(), SecondCheck(""))
    finally:
        over.set()
    assert isinstance(error, StageDeadline) and error.stage == "attribute"
    assert text_of(events) == "The ferry carries 610 passengers."


# --- providers fail ----------------------------------------------------------------------------------------------

FAILURES: list[tuple[PinakesError, PassedOverReason]] = [
    (DependencyUnavailable("the model", "it crashed"), PassedOverReason.UNAVAILABLE),
    (Overloaded("generation", 2.0), PassedOverReason.OVERLOADED),
    (StageDeadline("generate"), PassedOverReason.TOO_SLOW),
    (InvalidField("prompt", "too long"), PassedOverReason.REFUSED),
    (ModelNotInstalled("generate"), PassedOverReason.NOT_SET_UP),
    (SlotMisconfigured("generate", "refused key"), PassedOverReason.NOT_SET_UP),
]


@dataclass
class Failing(ScriptedGenerator):
    """Fails before its text, or after `begun`."""

    problem: Exception = field(default_factory=lambda: DependencyUnavailable("the model", "down"))
    begun: str = ""

    async def stream(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
        if self.begun:
            yield GeneratedText(self.begun)
        raise self.problem


@pytest.mark.parametrize("first", FAILURES, ids=lambda failure: type(failure[0]).__name__)
@pytest.mark.parametrize("second", FAILURES, ids=lambda failure: type(failure[0]).__name__)
async def test_when_every_provider_fails_the_answer_is_a_sentence_and_says_who_failed_how(
    first: tuple[PinakesError, PassedOverReason], second: tuple[PinakesError, PassedOverReason]
) -> None:
    generators = [OneModel(Failing("", problem=problem)) for problem, _ in (first, second)]
    events, error = await told(Parts(generators=generators), Deadline.after(PATIENT_S))
    assert error is None
    end = completion(events)
    assert end.status is AnswerStatus.ANSWERED
    assert end.degradations == (Degradation.EXTRACTIVE,)
    assert end.passed_over == (PassedOver("1", first[1]), PassedOver("2", second[1]))
    assert (end.generator, end.usage) == ("", None)
    assert text_of(events) in TEXT


@pytest.mark.parametrize(("problem", "reason"), FAILURES, ids=lambda value: type(value).__name__)
async def test_the_next_provider_writes_when_one_fails(problem: PinakesError, reason: PassedOverReason) -> None:
    generators: list[Slot[Generator]] = [OneModel(Failing("", problem=problem)), OneModel(ScriptedGenerator(DRAFT))]
    events, _ = await told(Parts(generators=generators), Deadline.after(PATIENT_S))
    end = completion(events)
    assert end.degradations == (Degradation.OTHER_GENERATOR,)
    assert end.passed_over == (PassedOver("1", reason),)
    assert text_of(events) == DRAFT.rstrip()


@pytest.mark.parametrize("problem", [failure for failure, _ in FAILURES], ids=lambda error: type(error).__name__)
async def test_what_fails_in_the_middle_of_a_shown_text_fails_as_a_whole(problem: PinakesError) -> None:
    """Nothing is put together from two generators."""
    other = ScriptedGenerator("The ferry is white.")
    begun = "The ferry carries 610 passengers. It was"
    generators: list[Slot[Generator]] = [OneModel(Failing("", problem=problem, begun=begun)), OneModel(other)]
    events, error = await told(Parts(generators=generators), Deadline.after(PATIENT_S))
    assert error is problem
    assert text_of(events) == "The ferry carries 610 passengers."
    assert other.requests == []


class Counting:
    """A breaker that counts what it is told."""

    state = BreakerState.CLOSED

    def __init__(self) -> None:
        self.verdicts: list[str] = []

    def admit(self) -> Counting:
        return self

    def succeeded(self) -> None:
        self.verdicts.append("succeeded")

    def failed(self) -> None:
        self.verdicts.append("failed")

    def undecided(self) -> None:
        self.verdicts.append("undecided")


@settings(max_examples=20)
@given(st.floats(0.001, 0.03), st.floats(0.0, 0.5))
def test_a_short_deadline_teaches_a_breaker_nothing(seconds: float, reserve: float) -> None:
    async def ask() -> list[str]:
        breaker = Counting()
        provider = Provider("1", OneModel(LateGenerator("")), breaker)
        chain = GenerationChain([provider], ChainOptions(first_text_s=30.0, reserve_s=reserve))
        with pytest.raises(NoGenerator):
            async with chain.writing(GenerationRequest("x"), Deadline.after(seconds)):
                pass
        return breaker.verdicts

    assert set(asyncio.run(ask())) <= {"undecided"}


async def test_whoever_leaves_frees_the_generator_and_teaches_the_breaker_nothing_bad() -> None:
    for begun in ("", "The ferry carries 610 passengers. It"):
        generator, breaker = LateGenerator("", begun=begun), Counting()
        chain = GenerationChain([Provider("1", OneModel(generator), breaker)], ChainOptions())
        search = Parts().answering()._search
        answering = AnswerQuestion(search, chain, OneModel(ScriptedReader({})), AnswerOptions())
        events = answering.run(PRINCIPAL, AnswerCommand(QUESTION), Deadline.after(PATIENT_S))
        task = asyncio.ensure_future(_consumed(events))
        while not generator.requests:  # noqa: ASYNC110 - bounded by the test's own time
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert generator.closed == 1
        assert breaker.verdicts in (["undecided"], ["succeeded"])


async def _consumed(events: AsyncGenerator[AnswerEvent, None]) -> None:
    async with aclosing(events):
        async for _ in events:
            pass


# --- a model says nonsense ---------------------------------------------------------------------------------------

NONSENSE = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(["\0", "\n\n\n", "610", "。", "The ferry carries 610 passengers.", " \u202e", "{", "「", "|"]),
        st.text(st.characters(categories=["Cc", "Cf", "Zs", "Po"]), max_size=10),
    ),
    max_size=12,
)


@given(NONSENSE, st.sampled_from(["stop", "length"]), st.sampled_from([QUESTION, PHRASE_QUESTION]))
def test_whatever_a_model_writes_the_answer_keeps_its_form(pieces: list[str], reason: str, question: str) -> None:
    @dataclass
    class Nonsense(ScriptedGenerator):
        async def stream(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
            for piece in pieces:
                yield GeneratedText(piece)
            yield GeneratedText("", reason, 1, 1)

    parts = Parts(generators=[OneModel(Nonsense(""))])
    events, error = asyncio.run(told(parts, Deadline.after(PATIENT_S), question))
    assert error is None
    assert [type(event) for event in events].count(Completion) == 1
    end, text = completion(events), text_of(events)
    assert isinstance(events[0], Sources)
    assert text.strip()
    spans = [event.sentence for event in events if isinstance(event, Citation)]
    spans += [TextSpan(part.start, part.end) for part in end.unsupported]
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    for event in events:
        if isinstance(event, Citation):
            assert 0 <= event.support.start < event.support.end <= len(event.passage.text)


async def test_a_model_that_never_ends_a_phrase_is_stopped() -> None:
    @dataclass
    class Endless(ScriptedGenerator):
        async def stream(self, request: GenerationRequest, deadline: Deadline) -> AsyncGenerator[GeneratedText, None]:
            try:
                while True:
                    self.sent += 1
                    yield GeneratedText("blue ")
            finally:
                self.closed_early = True

    endless = Endless("")
    events, error = await told(Parts(generators=[OneModel(endless)]), Deadline.after(PATIENT_S), PHRASE_QUESTION)
    assert error is None
    assert text_of(events) in TEXT
    assert endless.closed_early and endless.sent < 100


async def test_an_unforeseen_defect_is_not_taken_for_an_answer() -> None:
    parts = Parts(generators=[OneModel(Failing("", problem=ZeroDivisionError()))])
    with pytest.raises(ZeroDivisionError):
        await told(parts, Deadline.after(PATIENT_S))
