"""What of the passages found is read: good enough, within the tokens, and with what stands beside it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from server.application.answer_question import AnswerCommand, AnswerOptions, AnswerQuestion
from server.application.chunking import ChunkingOptions, chunk_pages, estimate_tokens
from server.application.context import (
    ContextOptions,
    Place,
    good_enough,
    join,
    place_of,
    shown,
    within_budget,
)
from server.application.search_passages import SearchOptions, SearchPassages
from server.application.token_counts import TokenCountOptions, TokenCounts
from server.domain.answers import AnswerEvent, AnswerStatus, Citation, Completion, Sources
from server.domain.deadline import Deadline
from server.domain.documents import Block, BlockKind, Box, Line, Page
from server.domain.errors import DependencyUnavailable, PinakesError, StageDeadline
from server.domain.passages import Passage, RankedPassage
from server.domain.retrieval import RetrievalSettings
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

WORDS = ContextOptions(max_passages=3, max_tokens=100, relative_score=0.5)


def words(passage: Passage) -> int:
    return len(shown(passage).split())


def of_words(number: int, score: float = 1.0) -> RankedPassage:
    return RankedPassage(passage("x", "word " * number), score, None, None)


def chosen(ranked: Sequence[RankedPassage], options: ContextOptions = WORDS) -> tuple[RankedPassage, ...]:
    return within_budget(good_enough(ranked, options.max_passages, options), {}, words, options)


def test_the_context_keeps_to_its_budget() -> None:
    assert chosen([]) == ()
    assert len(chosen([of_words(10)] * 5)) == 3
    assert len(chosen([of_words(10)] * 5, replace(WORDS, max_passages=2))) == 2
    assert len(chosen([of_words(10), of_words(10, score=0.4)])) == 1
    assert len(chosen([of_words(60), of_words(60)])) == 1
    assert len(chosen([of_words(60), of_words(40), of_words(1)])) == 2, "to the last token"
    assert len(chosen([of_words(500)])) == 1, "at least one, however long"


def reranked(*scores: float) -> list[RankedPassage]:
    return [replace(of_words(10, score=2.0 - place / 10), rerank_score=each) for place, each in enumerate(scores)]


def test_a_rerankers_scores_are_not_cut_by_their_ratio() -> None:
    assert len(chosen(reranked(-1.0, -1.0, -1.1))) == 3


def test_what_the_reranker_gave_too_little_is_not_read() -> None:
    least = replace(WORDS, least_rerank_score=0.5)
    assert [each.rerank_score for each in chosen(reranked(0.6, 0.4, 0.5, 0.7, 0.9), least)] == [0.6, 0.5, 0.7]
    assert chosen(reranked(0.4, 0.3), least) == ()
    assert len(chosen([of_words(10)], least)) == 1, "nothing was reranked"


def chunks(*texts: str, document: str = "d", headings: Sequence[tuple[str, ...]] = ()) -> list[Passage]:
    paths = headings or [()] * len(texts)
    return [
        replace(
            passage(f"{document}{ordinal}", text), document_id=document, ordinal=ordinal, heading_path=paths[ordinal]
        )
        for ordinal, text in enumerate(texts)
    ]


def by_place(passages: Sequence[Passage]) -> dict[Place, Passage]:
    return {place_of(each): each for each in passages}


def read(hits: Sequence[Passage], beside: Sequence[Passage], **changes: int) -> list[tuple[str, str, tuple[str, ...]]]:
    options = replace(WORDS, relative_score=0.0, **changes)
    ranked = [RankedPassage(each, 1.0 - place / 10, None, None) for place, each in enumerate(hits)]
    found = within_budget(ranked, by_place(beside), words, options)
    return [(each.passage.chunk_id, each.passage.text, each.passage.joined) for each in found]


def test_what_stands_beside_a_passage_is_read_with_it() -> None:
    all_ = chunks("One.", "Two.", "Three.", "Four.", "Five.")
    assert read([all_[2]], all_, neighbours=0) == [("d2", "Three.", ())]
    assert read([all_[2]], all_, neighbours=1) == [("d2", "Two.\nThree.\nFour.", ("d1", "d3"))]
    assert read([all_[0]], all_, neighbours=2) == [("d0", "One.\nTwo.\nThree.", ("d1", "d2"))]
    assert read([all_[2]], all_, neighbours=2, max_tokens=3) == [("d2", "Two.\nThree.\nFour.", ("d1", "d3"))]
    assert read([all_[2]], all_, neighbours=2, max_tokens=2) == [("d2", "Three.\nFour.", ("d3",))]
    assert read([all_[2]], all_, neighbours=2, max_tokens=1) == [("d2", "Three.", ())]


def test_nothing_is_skipped_between_neighbours() -> None:
    all_ = chunks("One.", "Two is much longer.", "Three.")
    assert read([all_[0]], all_, neighbours=2, max_tokens=3) == [("d0", "One.", ())]
    assert read([all_[0]], [all_[2]], neighbours=2) == [("d0", "One.", ())]


def test_neighbours_that_were_found_become_one_passage() -> None:
    all_ = chunks("One.", "Two.", "Three.", "Four.")
    assert read([all_[2], all_[0]], all_, neighbours=1) == [("d2", "One.\nTwo.\nThree.\nFour.", ("d0", "d1", "d3"))]
    assert read([all_[1], all_[0]], [], neighbours=1) == [("d1", "One.\nTwo.", ("d0",))]
    assert [each[0] for each in read([all_[1], all_[0]], [], neighbours=0)] == ["d1", "d0"]


def test_only_the_same_section_and_revision_is_joined() -> None:
    one, two, three = chunks("One.", "Two.", "Three.", headings=[("A",), ("A",), ("B",)])
    assert read([two], [one, three], neighbours=1) == [("d1", "One.\nTwo.", ("d0",))]
    assert [each[0] for each in read([two, three], [], neighbours=1)] == ["d1", "d2"]
    assert read([two], [replace(one, revision=2)], neighbours=1) == [("d1", "Two.", ())]
    [other] = chunks("Other.", document="e")
    assert read([two], [other], neighbours=1) == [("d1", "Two.", ())]
    unknown = replace(two, ordinal=-1)
    assert read([unknown], [one], neighbours=1) == [("d1", "Two.", ())]


SENTENCES = st.lists(
    st.tuples(st.sampled_from(["The ferry carries", "It was built for", "Nobody counted the"]), st.integers(0, 9_999)),
    min_size=1,
    max_size=40,
    unique_by=lambda pair: pair[1],
)


@given(SENTENCES, st.integers(20, 60))
def test_joined_again_a_document_says_each_sentence_once_and_knows_where(
    sentences: list[tuple[str, int]], most: int
) -> None:
    lines = tuple(
        Line(f"{words} {number} people.", Box(0.0, float(place), 9.0, place + 1.0))
        for place, (words, number) in enumerate(sentences)
    )
    page = Page(1, 10.0, 100.0, (Block(BlockKind.PARAGRAPH, lines),))
    options = ChunkingOptions(target_tokens=most * 3 // 4, max_tokens=most, overlap_tokens=12)
    made = chunk_pages([page], options, str)
    parts = [
        Passage(each.chunk_id, "d", "d", 1, each.text, each.heading_path, "en", each.line_spans, (), each.ordinal)
        for each in made
    ]
    whole = join(parts[-1], parts)
    assert whole.text.split() == " ".join(line.text for line in lines).split()
    assert whole.joined == tuple(part.chunk_id for part in parts[:-1])
    assert all(before.end <= after.start for before, after in itertools.pairwise(whole.line_spans))
    told = [(whole.text[span.start : span.end].strip(), span.box) for span in whole.line_spans]
    assert [text for text, box in told if text] == [line.text for line in lines]
    assert [box for text, box in told if text] == [line.box for line in lines]


def test_a_table_that_goes_on_has_its_head_once() -> None:
    head = "Fares in crowns\n| Route | Fare |\n| --- | --- |"
    first, second = chunks(f"{head}\n| Lindholm | 12 |", f"{head}\n| Marstrand | 18 |")
    assert join(first, [first, second]).text == f"{head}\n| Lindholm | 12 |\n| Marstrand | 18 |"


# --- counted by the generator ------------------------------------------------------------------------------------


async def test_tokens_are_counted_once_by_who_writes() -> None:
    generator = ScriptedGenerator("", counts=True)
    counts = TokenCounts(chain_of(generator), TokenCountOptions())
    assert await counts.of(["one two three", "four"], Deadline.after(9)) == [3, 1]
    assert await counts.of(["four", "five six", "four"], Deadline.after(9)) == [1, 2, 1]
    assert generator.counted == [["one two three", "four"], ["five six"]]
    generator.fingerprint = "generator@2"
    assert await counts.of(["four"], Deadline.after(9)) == [1]
    assert generator.counted[2:] == [["four"]], "another model may cut words otherwise"


@dataclass
class FailingCounter(ScriptedGenerator):
    problem: PinakesError | None = None
    asked: int = field(default=0)

    async def token_counts(self, texts: Sequence[str], deadline: Deadline) -> tuple[int, ...] | None:
        self.asked += 1
        if self.problem is not None:
            raise self.problem
        return await super().token_counts(texts, deadline)


async def test_where_nobody_counts_tokens_are_estimated() -> None:
    text = "a text of some length"
    for nobody in (chain_of(), chain_of(OneModel[ScriptedGenerator]()), chain_of(ScriptedGenerator(""))):
        assert await TokenCounts(nobody, TokenCountOptions()).of([text], Deadline.after(9)) == [estimate_tokens(text)]


async def test_a_generator_that_cannot_count_now_is_left_alone_for_a_while() -> None:
    now = 0.0
    generator = FailingCounter("", counts=True, problem=DependencyUnavailable("generation", "down"))
    counts = TokenCounts(chain_of(generator), TokenCountOptions(rest_s=5.0), lambda: now)
    for _ in range(3):
        assert await counts.of(["a b c d e f"], Deadline.after(9)) == [estimate_tokens("a b c d e f")]
    assert generator.asked == 1
    generator.problem, now = None, 6.0
    assert await counts.of(["a b c d e f"], Deadline.after(9)) == [6]


async def test_a_caller_without_time_does_not_keep_others_from_counting() -> None:
    generator = FailingCounter("", counts=True, problem=StageDeadline("count"))
    counts = TokenCounts(chain_of(generator), TokenCountOptions(), lambda: 0.0)
    assert await counts.of(["a b c d e f"], Deadline.after(-1)) == [estimate_tokens("a b c d e f")]
    generator.problem = None
    assert await counts.of(["a b c d e f"], Deadline.after(9)) == [6]


# --- through an answer -------------------------------------------------------------------------------------------

TEXTS = ("The ferry Sanderling was built in 2009.", "The ferry carries 610 passengers.", "The ferry is white.")


async def answered(
    settings: RetrievalSettings,
    generator: ScriptedGenerator,
    withheld: frozenset[str] = frozenset(),
    favourite: str = "",
) -> list[AnswerEvent]:
    known = {each.chunk_id: each for each in chunks(*TEXTS)}
    search = SearchPassages(
        OneModel(ScriptedEmbedder()),
        OneModel(ScriptedReranker(favourite) if favourite else None),
        ScriptedIndex((hit("d1", 1),)),
        ScriptedStore(known, {(PRINCIPAL.user, chunk_id) for chunk_id in withheld}),
        ScriptedNames(),
        ScriptedHighlighter(),
        SearchOptions(),
    )
    answering = AnswerQuestion(search, chain_of(generator), OneModel(ScriptedReader({})), AnswerOptions())
    command = AnswerCommand("Describe how many passengers the ferry carries.", retrieval=settings)
    async with aclosing(answering.run(PRINCIPAL, command, Deadline.after(30))) as stream:
        return [event async for event in stream]


async def test_an_answer_reads_and_cites_what_stands_beside_a_passage() -> None:
    generator = ScriptedGenerator("The ferry Sanderling was built in 2009.", counts=True)
    sources, *_, citation, completion = await answered(RetrievalSettings(neighbours=1), generator)
    assert isinstance(sources, Sources) and isinstance(completion, Completion) and isinstance(citation, Citation)
    [found] = sources.passages
    assert (found.passage.chunk_id, found.passage.joined) == ("d1", ("d0", "d2"))
    assert citation.passage.text[citation.support.start : citation.support.end] == TEXTS[0]
    assert "built in 2009" in generator.requests[0].prompt
    assert {timing.stage for timing in completion.timings} >= {"context", "search"}


async def test_what_the_caller_may_not_see_is_not_joined() -> None:
    generator = ScriptedGenerator("It carries 610 passengers.", counts=True)
    sources = (await answered(RetrievalSettings(neighbours=1), generator, frozenset({"d0"})))[0]
    assert isinstance(sources, Sources)
    assert [each.passage.joined for each in sources.passages] == [("d2",)]
    assert "2009" not in generator.requests[0].prompt


async def test_the_generators_count_bounds_what_is_read() -> None:
    for tokens, joined in ((8, ()), (9, ("d2",)), (16, ("d0", "d2"))):
        generator = ScriptedGenerator("It carries 610 passengers.", counts=True)
        sources = (await answered(RetrievalSettings(neighbours=1, context_tokens=tokens), generator))[0]
        assert isinstance(sources, Sources)
        assert sources.passages[0].passage.joined == joined, tokens


async def test_with_nothing_good_enough_the_documents_have_no_answer() -> None:
    stream = await answered(RetrievalSettings(least_rerank_score=0.5), ScriptedGenerator("610."), favourite="nowhere")
    assert isinstance(stream[0], Sources) and stream[0].passages == ()
    assert isinstance(stream[-1], Completion) and stream[-1].status is AnswerStatus.NOT_IN_DOCUMENTS
