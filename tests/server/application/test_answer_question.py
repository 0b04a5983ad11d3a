from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from server.application.answer_ports import PassageReader
from server.application.answer_question import AnswerCommand, AnswerOptions, AnswerQuestion
from server.application.generation_chain import GenerationChain
from server.application.model_ports import Slot
from server.application.search_passages import SearchOptions, SearchPassages
from server.domain.answers import AnswerEvent, AnswerStatus, Citation, Completion, Degradation, Delta, Sources
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, InvalidField, Overloaded
from server.domain.generation import PassedOver, PassedOverReason
from server.domain.passages import IndexHit
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

TEXTS = {
    "ferry": "The ferry Sanderling carries 610 passengers. It was built in 2009.",
    "ticket": "A ticket for the ferry costs 47 crowns.",
    "crew": "The ferry Sanderling is small. Her master is Ida Brandt of Okinami. Ida Brandt came in 2012.",
    "inspection": "Inspection Report: Sanderling\nThe ferry Sanderling was inspected on 9 October. The inspector was"
    " Ida Brandt.\n\nThe keeper\nThe last keeper was Edmund Farrow.",
    "port": "沖波港のターミナル長は榊原直樹である。駐車料金は1日700円で、入口の機械で払う。",
}
QUESTION = "Tell me about the ferry Sanderling and its passengers."
MASTER = "Who is the master of the ferry Sanderling?"


def answering(
    generator: ScriptedGenerator | OneModel[ScriptedGenerator] | GenerationChain,
    hits: Sequence[IndexHit] = (hit("ferry", 1), hit("ticket", 2, 0.8)),
    reader: Slot[PassageReader] | None = None,
) -> AnswerQuestion:
    store = ScriptedStore({name: passage(name, text) for name, text in TEXTS.items()})
    search = SearchPassages(
        OneModel(ScriptedEmbedder()),
        OneModel(),
        ScriptedIndex(tuple(hits)),
        store,
        ScriptedNames(),
        ScriptedHighlighter(),
        SearchOptions(),
    )
    generation = generator if isinstance(generator, GenerationChain) else chain_of(generator)
    return AnswerQuestion(search, generation, reader or OneModel(ScriptedReader({})), AnswerOptions())


async def events(answer: AnswerQuestion, command: AnswerCommand, seconds: float = 30.0) -> list[AnswerEvent]:
    return [event async for event in answer.run(PRINCIPAL, command, Deadline.after(seconds))]


def completion(stream: list[AnswerEvent]) -> Completion:
    [last] = [event for event in stream if isinstance(event, Completion)]
    assert stream[-1] is last
    return last


def text(stream: list[AnswerEvent]) -> str:
    return "".join(event.text for event in stream if isinstance(event, Delta))


async def test_sources_then_text_and_citations_then_one_completion() -> None:
    generator = ScriptedGenerator("It carries 610 passengers. It was built in 2009.", log_probability=-0.5)
    stream = await events(answering(generator), AnswerCommand(QUESTION))
    assert isinstance(stream[0], Sources)
    assert stream[0].passages[0].passage.chunk_id == "ferry"
    said = text(stream)
    citations = [event for event in stream if isinstance(event, Citation)]
    assert [said[c.sentence.start : c.sentence.end] for c in citations] == [
        "It carries 610 passengers.",
        "It was built in 2009.",
    ]
    first, second = (stream.index(citation) for citation in citations)
    assert first < second - 1, "a sentence is cited when it closes, not at the end"
    end = completion(stream)
    assert end.status is AnswerStatus.ANSWERED
    assert end.unsupported == ()
    assert (end.generator, end.embedder, end.reranker) == ("generator@1", "embedder@1", "")
    assert end.usage is not None and end.usage.prompt_tokens == 30
    assert end.mean_log_probability == -0.5
    assert end.degradations == (Degradation.NO_RERANKER,)
    assert {"embed", "search", "fetch", "first_token", "generate", "attribute", "total"} <= {
        timing.stage for timing in end.timings
    }


async def test_an_answer_is_finished_and_named_by_the_model_that_began_it() -> None:
    slot = OneModel(ScriptedGenerator("It carries 610 passengers."))
    later = ScriptedGenerator("Never said.", fingerprint="generator@2")
    stream: list[AnswerEvent] = []
    async for event in answering(slot).run(PRINCIPAL, AnswerCommand(QUESTION), Deadline.after(30)):
        stream.append(event)
        if isinstance(event, Delta):
            slot.filled = later
    assert (text(stream).strip(), completion(stream).generator) == ("It carries 610 passengers.", "generator@1")
    assert later.requests == []


async def test_a_sentence_that_no_passage_supports_is_marked_and_not_cited() -> None:
    said = "It carries 610 passengers. Everybody likes it very much indeed."
    stream = await events(answering(ScriptedGenerator(said)), AnswerCommand(QUESTION))
    [citation] = [event for event in stream if isinstance(event, Citation)]
    [span] = completion(stream).unsupported
    assert text(stream)[span.start : span.end] == "Everybody likes it very much indeed."
    assert citation.sentence.end <= span.start


async def test_foreign_numbers_and_names_are_never_shown() -> None:
    said = "It carries 999 passengers. It was built in 2009. Its owner is Karl Lindqvist."
    stream = await events(answering(ScriptedGenerator(said)), AnswerCommand(QUESTION))
    assert text(stream).strip() == "It was built in 2009."
    assert completion(stream).unsupported == ()
    assert Degradation.DRAFT_REPLACED in completion(stream).degradations


async def test_a_wholly_foreign_answer_is_replaced_by_the_passages_own_sentence() -> None:
    stream = await events(answering(ScriptedGenerator("It carries 999 passengers.")), AnswerCommand(QUESTION))
    assert text(stream) == "The ferry Sanderling carries 610 passengers."
    assert Degradation.DRAFT_REPLACED in completion(stream).degradations
    assert completion(stream).status is AnswerStatus.ANSWERED


async def test_a_phrase_is_shown_in_the_passages_own_words_with_its_sentence() -> None:
    generator = ScriptedGenerator("ida brandt.")
    stream = await events(answering(generator, [hit("crew", 1)]), AnswerCommand(MASTER))
    [citation] = [event for event in stream if isinstance(event, Citation)]
    assert text(stream) == "Ida Brandt"
    quoted = citation.passage.text[citation.support.start : citation.support.end]
    assert quoted == "Her master is Ida Brandt of Okinami.", "of the sentences that have the phrase, the likeliest"
    assert generator.requests[0].stop == ("\n",)
    assert 0.0 < completion(stream).confidence < 1.0


@pytest.mark.parametrize("draft", ["the inspector", "keeper"])
async def test_a_person_without_a_name_is_told_by_the_sentence_that_names_one(draft: str) -> None:
    """Where another sentence is nearer to the question."""
    asked = AnswerCommand("Who inspected the ferry Sanderling?")
    stream = await events(answering(ScriptedGenerator(draft), [hit("inspection", 1)]), asked)
    [citation] = [event for event in stream if isinstance(event, Citation)]
    assert text(stream) == "The inspector was Ida Brandt."
    assert citation.passage.text[citation.support.start : citation.support.end] == text(stream)


@pytest.mark.parametrize("draft", ["Karl Lindqvist", "the ferry Sanderling", "2012", "small", ""])
async def test_a_phrase_that_cannot_be_the_answer_gives_way_to_a_sentence(draft: str) -> None:
    """Not in the passages, a repetition of the question, a number where a person is asked for, nothing."""
    stream = await events(answering(ScriptedGenerator(draft), [hit("crew", 1)]), AnswerCommand(MASTER))
    assert text(stream) in TEXTS["crew"]
    assert text(stream).endswith(".")
    end = completion(stream)
    assert {Degradation.DRAFT_REPLACED, Degradation.EXTRACTIVE} & set(end.degradations)
    assert end.status is AnswerStatus.ANSWERED


async def test_a_model_that_goes_on_and_on_is_stopped() -> None:
    generator = ScriptedGenerator("Ida Brandt\nQuestion:Who/else/is/on/board/of/it? " + "word " * 500)
    stream = await events(answering(generator, [hit("crew", 1)]), AnswerCommand(MASTER))
    assert generator.closed_early
    assert text(stream) == "Ida Brandt", "what stands on the first line"


@pytest.mark.parametrize(
    ("question", "chunk", "answer"),
    [
        ("How many passengers does the ferry Sanderling carry?", "ferry", "610"),
        ("When was the ferry Sanderling built?", "ferry", "2009"),
        ("沖波港のターミナル長は誰ですか。", "port", "榊原直樹"),
        ("沖波港の駐車料金は1日いくらですか。", "port", "700円"),
    ],
)
async def test_a_phrase_that_the_passages_tell_needs_no_generator(question: str, chunk: str, answer: str) -> None:
    generator = ScriptedGenerator("Never said.")
    stream = await events(answering(generator, [hit(chunk, 1)]), AnswerCommand(question))
    assert text(stream).endswith(answer)
    assert [type(event) for event in stream] == [Sources, Delta, Citation, Completion]
    assert generator.requests == []
    assert (completion(stream).usage, completion(stream).mean_log_probability) == (None, None)


@pytest.mark.parametrize(
    ("question", "hits"),
    [
        ("How many passengers does the ferry Sanderling carry?", ()),
        ("What is the capital of the moon?", (hit("ticket", 1, 0.72),)),
    ],
)
async def test_what_is_not_in_the_documents_is_not_generated(question: str, hits: tuple[IndexHit, ...]) -> None:
    generator = ScriptedGenerator("Something.")
    stream = await events(answering(generator, hits), AnswerCommand(question))
    assert completion(stream).status is AnswerStatus.NOT_IN_DOCUMENTS
    assert text(stream)
    assert generator.requests == []


async def test_the_token_limit_is_told() -> None:
    generator = ScriptedGenerator("It carries 610", finish_reason="length")
    stream = await events(answering(generator), AnswerCommand(QUESTION, max_tokens=3))
    assert completion(stream).status is AnswerStatus.TRUNCATED
    assert generator.requests[0].max_tokens == 3


async def test_a_near_deadline_gives_the_passages_own_sentence() -> None:
    generator = ScriptedGenerator("Never said.")
    stream = await events(answering(generator), AnswerCommand(QUESTION), seconds=1.0)
    assert text(stream) == "The ferry Sanderling carries 610 passengers."
    assert Degradation.EXTRACTIVE in completion(stream).degradations
    assert generator.requests == []


async def test_another_generator_writes_where_the_first_one_cannot() -> None:
    away = ScriptedGenerator("", failure=DependencyUnavailable("it", "it is away"))
    other = ScriptedGenerator("The ferry Sanderling carries 610 passengers.", fingerprint="other@1")
    stream = await events(answering(chain_of(OneModel(), away, other)), AnswerCommand(QUESTION))
    end = completion(stream)
    assert text(stream).strip() == "The ferry Sanderling carries 610 passengers."
    assert (end.status, end.generator) == (AnswerStatus.ANSWERED, "other@1")
    assert Degradation.OTHER_GENERATOR in end.degradations
    assert end.passed_over == (
        PassedOver("1", PassedOverReason.NOT_SET_UP),
        PassedOver("2", PassedOverReason.UNAVAILABLE),
    )


async def test_without_a_generator_the_passages_own_sentence_is_the_answer() -> None:
    full = ScriptedGenerator("", failure=Overloaded("it", 1.0))
    stream = await events(answering(chain_of(full)), AnswerCommand(QUESTION))
    end = completion(stream)
    assert text(stream) == "The ferry Sanderling carries 610 passengers."
    assert (end.status, end.generator) == (AnswerStatus.ANSWERED, "")
    assert Degradation.EXTRACTIVE in end.degradations
    assert end.passed_over == (PassedOver("1", PassedOverReason.OVERLOADED),)


async def test_a_text_that_is_withheld_before_any_of_it_was_shown_gives_way_to_the_passages() -> None:
    withheld = ScriptedGenerator("It carries", failure=InvalidField("prompt", "the endpoint withholds the text"))
    stream = await events(answering(chain_of(withheld)), AnswerCommand(QUESTION))
    assert text(stream) == "The ferry Sanderling carries 610 passengers."
    assert Degradation.EXTRACTIVE in completion(stream).degradations


async def test_nobody_else_goes_on_with_a_text_that_was_shown() -> None:
    broken = ScriptedGenerator(
        "The ferry Sanderling carries 610 passengers. It was built in 2009. It",
        failure=DependencyUnavailable("it", "it ended before the text did"),
    )
    other = ScriptedGenerator("It was built in 1709.")
    seen: list[AnswerEvent] = []
    run = answering(chain_of(broken, other)).run(PRINCIPAL, AnswerCommand(QUESTION), Deadline.after(30))
    with pytest.raises(DependencyUnavailable):
        while True:
            seen.append(await anext(run))
    assert text(seen).startswith("The ferry Sanderling carries 610 passengers.")
    assert not [event for event in seen if isinstance(event, Completion)]
    assert other.requests == []


async def test_leaving_the_stream_stops_the_generator() -> None:
    generator = ScriptedGenerator("It carries 610 passengers. It was built in 2009. It is fast. It is blue.")
    async with aclosing(answering(generator).run(PRINCIPAL, AnswerCommand(QUESTION), Deadline.after(30))) as stream:
        async for event in stream:
            if isinstance(event, Delta):
                break
    assert generator.closed_early
    assert generator.sent == 5, "a sentence is shown when the next one has begun"


@pytest.mark.parametrize(
    "command",
    [
        AnswerCommand(""),
        AnswerCommand("x" * 501),
        AnswerCommand("x", max_passages=11),
        AnswerCommand("x", max_tokens=1_025),
        AnswerCommand("x", seed=-1),
    ],
)
async def test_bad_input_is_refused(command: AnswerCommand) -> None:
    with pytest.raises(InvalidField):
        await events(answering(ScriptedGenerator("")), command)


@pytest.mark.parametrize(
    "said",
    [
        "The ferry belongs to Acme Inc. Annual sales rose. It carries 610 passengers.",
        "彼は「はい。そうです。」と答えた。フェリーは610人を運ぶ。",
        "It carries (in summer. Not in winter) 610 passengers. It was built in 2009.",
        "It was built (so they say in 2009. It carries 610 passengers. It is fast.",
    ],
)
async def test_no_part_of_an_answer_is_told_of_twice(said: str) -> None:
    stream = await events(answering(ScriptedGenerator(said)), AnswerCommand(QUESTION))
    spans = [event.sentence for event in stream if isinstance(event, Citation)] + list(completion(stream).unsupported)
    spans.sort(key=lambda span: span.start)
    assert all(before.end <= after.start for before, after in itertools.pairwise(spans))
    told = "".join(text(stream)[span.start : span.end] for span in spans)
    assert told.replace(" ", "") == text(stream).replace(" ", "") != ""


async def test_a_question_is_measured_as_it_came() -> None:
    """NFKC makes some characters longer; that is no fault of the caller's."""
    stream = await events(answering(ScriptedGenerator("610.")), AnswerCommand("㍿" * 200))
    assert completion(stream) is stream[-1]


async def test_nothing_to_extract_is_said() -> None:
    hits = (hit("ferry", 1, 1.0),)
    stream = await events(answering(ScriptedGenerator(""), hits), AnswerCommand("それはどうですか"), seconds=1.0)
    assert completion(stream).status is AnswerStatus.NOT_IN_DOCUMENTS
    assert text(stream)


# --- a reader -------------------------------------------------------------------------------------------------------


async def test_what_a_reader_finds_is_told_in_the_passages_words_and_no_generator_is_asked() -> None:
    generator, reader = ScriptedGenerator("Never said."), ScriptedReader({"610 passengers": 8.0, "2009": 2.0})
    stream = await events(answering(generator, reader=OneModel(reader)), AnswerCommand("What does the ferry carry?"))
    assert text(stream) == "610 passengers"
    [citation] = [event for event in stream if isinstance(event, Citation)]
    support = citation.passage.text[citation.support.start : citation.support.end]
    assert support == "The ferry Sanderling carries 610 passengers."
    end = completion(stream)
    assert (end.status, end.reader, end.generator) == (AnswerStatus.ANSWERED, "reader@1", "")
    assert reader.asked == [("What does the ferry carry?", [TEXTS["ferry"]])]
    assert generator.requests == []


async def test_a_reader_that_finds_nothing_likely_speaks_for_a_refusal() -> None:
    command = AnswerCommand("What does the ferry Sanderling carry?")
    answers = {}
    for score in (-15.0, 15.0):
        reader = OneModel(ScriptedReader({"610 passengers": score}))
        answers[score] = completion(await events(answering(ScriptedGenerator("It."), reader=reader), command))
    assert [answers[score].status for score in sorted(answers)] == [
        AnswerStatus.NOT_IN_DOCUMENTS,
        AnswerStatus.ANSWERED,
    ]


async def test_without_a_reader_or_with_a_failing_one_answers_go_on_and_say_so() -> None:
    failing = ScriptedReader({"610": 9.0}, failure=DependencyUnavailable("the model read", "it broke"))
    for slot, told in (
        (OneModel[ScriptedReader](), Degradation.NO_READER),
        (OneModel(failing), Degradation.READ_SKIPPED),
    ):
        generator = ScriptedGenerator("It carries 610 passengers.")
        stream = await events(answering(generator, reader=slot), AnswerCommand(QUESTION))
        assert text(stream) == "It carries 610 passengers."
        assert (completion(stream).degradations[-1], completion(stream).reader) == (told, "")


async def test_a_reader_is_not_asked_when_the_time_is_short() -> None:
    reader = ScriptedReader({"610": 9.0})
    stream = await events(answering(ScriptedGenerator("Late."), reader=OneModel(reader)), AnswerCommand(QUESTION), 0.4)
    assert Degradation.READ_SKIPPED in completion(stream).degradations
    assert reader.asked == []
