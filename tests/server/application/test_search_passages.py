from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from server.application.model_ports import EmbeddingKind
from server.application.search_passages import SearchCommand, SearchOptions, SearchOutcome, SearchPassages
from server.application.timing import StageClock
from server.domain.answers import Degradation
from server.domain.conditions import AllOf, Created, Not, OfDocuments, OnPages, Tagged
from server.domain.deadline import Deadline
from server.domain.errors import DependencyUnavailable, EmbeddingMismatch, IndexBehind, InvalidField, Overloaded
from server.domain.passages import ConvexFusion, DistributionFusion, Passage, SearchFilter, SearchMode, TextSpan
from server.domain.principals import Principal
from tests.server.application.doubles import (
    PRINCIPAL,
    OneModel,
    ScriptedEmbedder,
    ScriptedHighlighter,
    ScriptedIndex,
    ScriptedNames,
    ScriptedReranker,
    ScriptedStore,
    hit,
    passage,
)

STORE = ScriptedStore({name: passage(name, f"text of {name}") for name in "abcdefghij"})
HITS = tuple(hit(name, rank) for rank, name in enumerate("abcdefghij", start=1))


class Searching:
    def __init__(self, reranker: ScriptedReranker | None = None, options: SearchOptions | None = None) -> None:
        self.embedder = ScriptedEmbedder()
        self.index = ScriptedIndex(HITS, position=5)
        self.highlighter = ScriptedHighlighter()
        self.names = ScriptedNames()
        self.use_case = SearchPassages(
            OneModel(self.embedder),
            OneModel(reranker),
            self.index,
            STORE,
            self.names,
            self.highlighter,
            options or SearchOptions(),
        )
        self.clock = StageClock()

    async def run(self, command: SearchCommand, seconds: float = 10.0) -> SearchOutcome:
        return await self.use_case.run(PRINCIPAL, command, Deadline.after(seconds), self.clock)


def ids(outcome: SearchOutcome) -> str:
    return "".join(ranked.passage.chunk_id for ranked in outcome.passages)


async def test_the_query_is_normalized_and_embedded_as_a_query() -> None:
    searching = Searching()
    outcome = await searching.run(SearchCommand("  ＡＢＣ  ", limit=3))
    assert ids(outcome) == "abc"
    assert searching.embedder.asked == [(["ABC"], EmbeddingKind.QUERY)]
    [asked] = searching.index.asked
    assert (asked.principal, asked.text, asked.fusion) == (PRINCIPAL, "ABC", ConvexFusion(0.5))
    assert [timing.stage for timing in searching.clock.timings()] == [
        "embed",
        "understand",
        "search",
        "fetch",
        "highlight",
        "total",
    ]


async def test_vectors_of_another_model_are_never_compared() -> None:
    searching = Searching()
    searching.index.fingerprint = "embedder@2"
    with pytest.raises(EmbeddingMismatch, match="embedder@2"):
        await searching.run(SearchCommand("abc"))
    assert searching.index.asked == []
    assert ids(await searching.run(SearchCommand("abc", limit=1, mode=SearchMode.LEXICAL))) == "a"


async def test_the_models_that_were_asked_are_told() -> None:
    outcome = await Searching(ScriptedReranker("of j")).run(SearchCommand("abc"))
    assert (outcome.embedder, outcome.reranker) == ("embedder@1", "reranker@1")
    failing = ScriptedReranker("of j", DependencyUnavailable("Triton", "it is down"))
    assert (await Searching(failing).run(SearchCommand("abc"))).reranker == ""
    outcome = await Searching().run(SearchCommand("abc", mode=SearchMode.LEXICAL))
    assert (outcome.embedder, outcome.reranker) == ("", "")


async def test_a_lexical_search_embeds_nothing() -> None:
    searching = Searching()
    await searching.run(SearchCommand("abc", mode=SearchMode.LEXICAL))
    assert searching.embedder.asked == []


async def test_what_the_store_no_longer_shows_is_dropped_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[list[str]] = []
    passages = STORE.passages

    async def counted(principal: Principal, chunk_ids: Sequence[str], position: int) -> dict[str, Passage]:
        fetched.append(list(chunk_ids))
        return await passages(principal, chunk_ids, position)

    monkeypatch.setattr(STORE, "passages", counted)
    searching = Searching()
    searching.index.hits = (hit("gone", 1), *HITS)
    assert ids(await searching.run(SearchCommand("abc", limit=3))) == "abc"
    assert fetched == [["gone", "a", "b"], list("cdefghij")]
    searching.index.hits = HITS
    assert ids(await searching.run(SearchCommand("other", limit=3))) == "abc"
    assert fetched[2:] == [["a", "b", "c"]], "what takes nobody's place is not fetched"


async def test_without_a_reranker_the_outcome_says_so() -> None:
    assert (await Searching().run(SearchCommand("abc"))).degradations == (Degradation.NO_RERANKER,)
    assert (await Searching().run(SearchCommand("abc", rerank=False))).degradations == ()


async def test_the_reranker_reorders_more_than_it_returns() -> None:
    outcome = await Searching(ScriptedReranker("of j")).run(SearchCommand("abc", limit=2))
    assert ids(outcome) == "ja"
    assert outcome.passages[0].rerank_score == 1.0
    assert outcome.passages[0].dense is not None
    assert outcome.degradations == ()


@pytest.mark.parametrize(
    ("reranker", "seconds"),
    [
        (ScriptedReranker("of j", DependencyUnavailable("Triton", "it is down")), 10.0),
        (ScriptedReranker("of j"), 0.1),
    ],
)
async def test_a_reranker_that_cannot_run_is_skipped(reranker: ScriptedReranker, seconds: float) -> None:
    outcome = await Searching(reranker).run(SearchCommand("abc", limit=2), seconds)
    assert ids(outcome) == "ab"
    assert outcome.degradations == (Degradation.RERANK_SKIPPED,)


@pytest.mark.parametrize(
    ("of_the_model", "of_the_search", "weight", "order"),
    [(4.0, None, 4.0, "bac"), (0.25, None, 0.25, "abc"), (0.25, 2.0, 2.0, "bac"), (4.0, 0.0, 0.0, "abc")],
)
async def test_scores_of_search_and_reranker_count_together(
    of_the_model: float, of_the_search: float | None, weight: float, order: str
) -> None:
    """What stands far above the others in the search is not moved by a little of the reranker's."""
    reranker = ScriptedReranker("of b", score_weight=of_the_model)
    searching = Searching(reranker, SearchOptions(rerank_weight=of_the_search))
    searching.index.hits = (replace(HITS[0], score=9.0), replace(HITS[1], score=0.9), replace(HITS[2], score=0.5))
    outcome = await searching.run(SearchCommand("abc"))
    assert ids(outcome) == order
    scores = {"a": 1.0, "b": 0.1 + weight, "c": 0.5 / 9}
    assert [ranked.score for ranked in outcome.passages] == pytest.approx([scores[name] for name in order])
    assert {ranked.passage.chunk_id: ranked.rerank_score for ranked in outcome.passages} == {"a": 0, "b": 1, "c": 0}


async def test_near_the_deadline_fewer_are_reranked_and_the_others_stay_behind_them() -> None:
    outcome = await Searching(ScriptedReranker("of j")).run(SearchCommand("abc"), seconds=0.9)
    assert ids(outcome) == "abcdefghij"
    assert [ranked.rerank_score is None for ranked in outcome.passages] == [False] * 8 + [True] * 2
    scores = [ranked.score for ranked in outcome.passages]
    assert scores == sorted(scores, reverse=True)
    assert (outcome.degradations, outcome.reranker) == ((Degradation.RERANK_REDUCED,), "reranker@1")


async def test_no_more_are_reranked_than_the_budget_allows() -> None:
    names = [f"{number:02}" for number in range(30)]
    store = ScriptedStore({name: passage(name, f"text of {name}") for name in names})
    index = ScriptedIndex(tuple(hit(name, rank) for rank, name in enumerate(names, start=1)))
    use_case = SearchPassages(
        OneModel(ScriptedEmbedder()),
        OneModel(ScriptedReranker("of 29")),
        index,
        store,
        ScriptedNames(),
        ScriptedHighlighter(),
        SearchOptions(),
    )
    outcome = await use_case.run(PRINCIPAL, SearchCommand("abc", limit=30), Deadline.after(10), StageClock())
    assert sum(ranked.rerank_score is not None for ranked in outcome.passages) == SearchOptions().rerank_depth
    assert outcome.degradations == ()


async def test_only_what_is_returned_is_highlighted() -> None:
    searching = Searching(ScriptedReranker("of j"))
    outcome = await searching.run(SearchCommand("of j", limit=2))
    assert searching.highlighter.asked == [("of j", ["text of j", "text of a"])]
    first, second = (ranked.snippet for ranked in outcome.passages)
    assert first is not None and first.highlights == (TextSpan(5, 9),)
    assert second is None


async def test_a_search_without_words_highlights_nothing() -> None:
    searching = Searching()
    await searching.run(SearchCommand("abc", mode=SearchMode.DENSE))
    await searching.run(SearchCommand("abc", snippets=False))
    assert searching.highlighter.asked == []


async def test_without_room_for_highlighting_the_passages_come_all_the_same() -> None:
    searching = Searching()
    searching.highlighter.failure = Overloaded("highlighting", 0.5)
    outcome = await searching.run(SearchCommand("text", limit=2))
    assert ids(outcome) == "ab"
    assert [ranked.snippet for ranked in outcome.passages] == [None, None]


async def test_diversity_reaches_the_index_and_is_not_undone_by_the_reranker() -> None:
    searching = Searching(ScriptedReranker("of j"))
    outcome = await searching.run(SearchCommand("abc", limit=2, diversity=0.25))
    assert ids(outcome) == "ab"
    assert (outcome.degradations, outcome.passages[0].rerank_score) == ((), None)
    assert searching.index.asked[0].diversity == 0.25


async def test_a_consistency_token_waits_for_the_index() -> None:
    await Searching().run(SearchCommand("abc", consistency_token="log-5"))
    with pytest.raises(IndexBehind):
        await Searching().run(SearchCommand("abc", consistency_token="log-6"))


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (SearchCommand(""), "query"),
        (SearchCommand("x" * 10_001), "query"),
        (SearchCommand("x", limit=101), "limit"),
        (SearchCommand("x", limit=-1), "limit"),
        (SearchCommand("x", filter=SearchFilter(tags=("",))), "filter.tags"),
        (SearchCommand("x", filter=SearchFilter(condition=Not(OnPages(-1)))), "filter.condition.not.pages.first"),
        (SearchCommand("x", fusion=ConvexFusion(2.0)), "convex.dense_weight"),
        (SearchCommand("x", fusion=DistributionFusion(-0.1)), "distribution.dense_weight"),
        (SearchCommand("x", diversity=float("nan")), "diversity.relevance_weight"),
        (SearchCommand("x", consistency_token="nonsense"), "consistency_token"),
    ],
)
async def test_bad_input_is_refused_before_anything_runs(command: SearchCommand, field: str) -> None:
    searching = Searching()
    with pytest.raises(InvalidField) as refusal:
        await searching.run(command)
    assert refusal.value.field == field
    assert searching.embedder.asked == []
    assert searching.index.asked == []


async def test_what_the_query_says_of_documents_is_told_and_applied_only_if_the_caller_wants() -> None:
    searching = Searching()
    query = "#finance files from 2024 about travel"
    told = await searching.run(SearchCommand(query, filter=SearchFilter(tags=("a",))))
    assert told.understanding is not None
    said = [each.condition for each in told.understanding.proposed]
    assert said == [Tagged(("finance",)), Created(1_704_067_200, 1_735_689_600)]
    applied = await searching.run(SearchCommand(query, filter=SearchFilter(tags=("a",)), apply_proposed_filters=True))
    first, second = searching.index.asked
    assert (first.text, first.filter) == (query, SearchFilter(tags=("a",)))
    assert second.filter == SearchFilter(tags=("a",), condition=AllOf(tuple(said)))
    assert second.text == searching.embedder.asked[-1][0][0] == "files from 2024 about travel"
    assert (told.narrowed, applied.narrowed) == (False, True)
    assert not (await searching.run(SearchCommand("travel", apply_proposed_filters=True))).narrowed


async def test_the_callers_own_condition_holds_beside_what_the_query_says() -> None:
    searching = Searching()
    own = SearchFilter(condition=OnPages(1, 2))
    await searching.run(SearchCommand("#a", filter=own, apply_proposed_filters=True))
    [asked] = searching.index.asked
    assert asked.filter.condition == AllOf((OnPages(1, 2), Tagged(("a",))))
    assert asked.text == "#a", "where nothing else is left, the tag is searched for"


async def test_documents_that_the_query_names_are_proposed_and_applied_together() -> None:
    searching = Searching()
    searching.names.known = {"Safety Manual": ("m2", "m1"), "fire plan": ("p",), "Manual": ("x",), "of the": ("y",)}
    query = 'What do "Safety Manual" and the fire plan say? #a'
    told = await searching.run(SearchCommand(query))
    assert told.understanding is not None
    assert [(query[each.span.start : each.span.end], each.condition) for each in told.understanding.proposed] == [
        ("Safety Manual", OfDocuments(("m2", "m1"))),
        ("fire plan", OfDocuments(("p",))),
        ("#a", Tagged(("a",))),
    ]
    await searching.run(SearchCommand(query, apply_proposed_filters=True))
    assert searching.index.asked[1].filter.condition == AllOf((Tagged(("a",)), OfDocuments(("m2", "m1", "p"))))


async def test_a_name_that_very_many_have_is_no_filter() -> None:
    searching = Searching()
    searching.names.known = {"board minutes": tuple(str(number) for number in range(100))}
    told = await searching.run(SearchCommand("decisions in the board minutes", apply_proposed_filters=True))
    assert told.understanding is not None
    assert (told.understanding.proposed, told.narrowed) == ((), False)


async def test_nothing_is_looked_up_where_nothing_can_be_a_name() -> None:
    searching = Searching()
    await searching.run(SearchCommand("handbook"))
    assert searching.names.asked == []
