from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace

import pytest

from server.application.answer_question import AnswerCommand, AnswerOptions, AnswerQuestion
from server.application.retrieval_profiles import BUILT_IN, ProfileOptions, RetrievalProfiles, checked_settings
from server.application.search_passages import SearchCommand, SearchOptions, SearchPassages
from server.application.timing import StageClock
from server.domain.answers import Sources
from server.domain.deadline import Deadline
from server.domain.errors import InvalidField, InvalidPageToken
from server.domain.passages import ConvexFusion, DistributionFusion, ReciprocalRankFusion, SearchMode
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
from tests.server.application.test_reuse import QUESTION, System

OWN = {
    "words": ProfileOptions(mode="lexical", fusion="reciprocal_rank", dense_weight=0.25, rank_constant=7, rerank=False),
    "default": ProfileOptions("Our own.", rerank_depth=3),
}


class Searching:
    """Thirty passages, and a reranker that prefers the last."""

    def __init__(self) -> None:
        names = [f"{number:02}" for number in range(30)]
        self.index = ScriptedIndex(tuple(hit(name, rank) for rank, name in enumerate(names, 1)))
        self.search = SearchPassages(
            OneModel(ScriptedEmbedder()),
            OneModel(ScriptedReranker("of 29")),
            self.index,
            ScriptedStore({name: passage(name, f"text of {name}") for name in names}),
            ScriptedNames(),
            ScriptedHighlighter(),
            SearchOptions(profiles=OWN),
        )

    async def reranked(self, command: SearchCommand) -> int:
        found = await self.search.run(PRINCIPAL, replace(command, limit=30), Deadline.after(30), StageClock())
        return sum(ranked.rerank_score is not None for ranked in found.passages)


async def test_a_profile_holds_where_the_request_says_nothing() -> None:
    searching = Searching()
    assert await searching.reranked(SearchCommand("q", profile="words")) == 0
    assert await searching.reranked(SearchCommand("q", profile="words", mode=SearchMode.DENSE, rerank=True)) == 20
    first, second = searching.index.asked
    assert (first.mode, first.fusion) == (SearchMode.LEXICAL, ReciprocalRankFusion(7, 0.25))
    assert (second.mode, second.fusion) == (SearchMode.DENSE, ReciprocalRankFusion(7, 0.25))


async def test_the_default_profile_can_be_set_and_others_do_not_build_on_it() -> None:
    searching = Searching()
    assert await searching.reranked(SearchCommand("q")) == 3
    assert await searching.reranked(SearchCommand("q", profile="default")) == 3
    assert await searching.reranked(SearchCommand("q", rerank_depth=5)) == 5
    assert await searching.reranked(SearchCommand("q", profile="quick")) == 0
    assert await searching.reranked(SearchCommand("q", profile="thorough")) == 30


async def test_what_a_profile_leaves_open_is_the_servers_choice_for_answers_too() -> None:
    searching = Searching()
    answering = AnswerQuestion(
        searching.search,
        chain_of(OneModel(ScriptedGenerator("It says so."))),
        OneModel(ScriptedReader({})),
        AnswerOptions(),
    )
    for profile in ("words", "default"):
        command = AnswerCommand("text of 29", profile=profile, retrieval=RetrievalSettings(candidates=2, rerank=True))
        async with aclosing(answering.run(PRINCIPAL, command, Deadline.after(30))) as events:
            await anext(events)
    assert [asked.limit for asked in searching.index.asked] == [SearchOptions().rerank_depth, 3]


async def test_diversity_of_a_profile_goes_before_the_reranker() -> None:
    searching = Searching()
    assert await searching.reranked(SearchCommand("q", profile="varied")) == 0
    assert searching.index.asked[0].diversity == BUILT_IN["varied"].diversity


async def test_an_unknown_profile_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidField, match="profile: must be one of default, quick, thorough, varied, words"):
        await Searching().reranked(SearchCommand("q", profile="best"))
    with pytest.raises(InvalidField, match="profile"):
        await System().ask(AnswerCommand(QUESTION, profile="best"))


async def test_an_answer_reads_what_its_settings_say() -> None:
    system = System()
    system.index.hits = tuple(
        replace(hit(name, rank), score=1.0 - rank / 10) for rank, name in enumerate(("ferry", "ticket", "secret"), 1)
    )

    async def read(**changes: object) -> int:
        settings = RetrievalSettings(**changes)  # type: ignore[arg-type]
        sources = (await system.ask(AnswerCommand(QUESTION, retrieval=settings)))[0]
        assert isinstance(sources, Sources)
        return len(sources.passages)

    assert await read() == 3
    assert await read(max_passages=2) == 2
    assert await read(context_tokens=1) == 1
    assert await read(least_share=0.95) == 1
    assert await read(candidates=2, rerank=False) == 2
    asked = system.index.asked[-1]
    assert asked.limit == 2 + SearchOptions().fetch_surplus
    await read(mode=SearchMode.LEXICAL, fusion=DistributionFusion(0.3), diversity=0.5)
    asked = system.index.asked[-1]
    assert (asked.mode, asked.fusion, asked.diversity) == (SearchMode.LEXICAL, DistributionFusion(0.3), 0.5)


async def test_what_was_read_under_other_settings_is_not_used_again() -> None:
    system = System()
    await system.ask()
    await system.ask(AnswerCommand(QUESTION, retrieval=RetrievalSettings(max_passages=1)))
    await system.ask(AnswerCommand(QUESTION, profile="thorough"))
    assert system.answers.kept.use.misses == 3


def test_settings_stand_above_each_other() -> None:
    above = RetrievalSettings(rerank=False, candidates=5, least_share=0.0)
    below = RetrievalSettings(SearchMode.DENSE, ConvexFusion(0.1), rerank=True, candidates=50, least_share=0.5)
    assert above.over(below) == RetrievalSettings(
        SearchMode.DENSE, ConvexFusion(0.1), rerank=False, candidates=5, least_share=0.0
    )
    assert RetrievalSettings().over(below) == below.over(RetrievalSettings()) == below


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (RetrievalSettings(candidates=0), "candidates"),
        (RetrievalSettings(candidates=101), "candidates"),
        (RetrievalSettings(rerank_depth=0), "rerank_depth"),
        (RetrievalSettings(max_passages=11), "max_passages"),
        (RetrievalSettings(context_tokens=10_000), "context_tokens"),
        (RetrievalSettings(least_share=1.5), "least_share"),
        (RetrievalSettings(least_share=float("nan")), "least_share"),
        (RetrievalSettings(diversity=-0.1), "diversity"),
        (RetrievalSettings(fusion=ConvexFusion(2.0)), "dense_weight"),
    ],
)
async def test_settings_that_cannot_be_are_refused(settings: RetrievalSettings, field: str) -> None:
    with pytest.raises(InvalidField, match=field):
        checked_settings("retrieval", settings)
    with pytest.raises(InvalidField, match=field):
        await System().ask(AnswerCommand(QUESTION, retrieval=settings))


def test_profiles_are_listed_by_name_and_page_by_page() -> None:
    profiles = RetrievalProfiles(OWN)
    names, token = [], ""
    while True:
        page = profiles.page(2, token)
        assert len(page.profiles) <= 2
        names += [profile.name for profile in page.profiles]
        token = page.next_page_token
        if not token:
            break
    assert names == sorted({*BUILT_IN, *OWN})
    assert profiles.get("").description == "Our own."
    with pytest.raises(InvalidPageToken):
        profiles.page(2, "x")


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"Bad name": ProfileOptions()}, "Bad name"),
        ({"a": ProfileOptions(candidates=1_000)}, r"profiles\.a\.candidates"),
    ],
)
def test_mistakes_in_profiles_are_named(own: dict[str, ProfileOptions], named: str) -> None:
    with pytest.raises(InvalidField, match=named):
        RetrievalProfiles(own)
