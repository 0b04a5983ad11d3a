"""`pinakes search` and what it has in common with `pinakes ask`; `pinakes profiles`."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from pinakes import mapping
from pinakes.cli.search import shown_text
from pinakes.v1 import passage_pb2, query_pb2, search_service_pb2
from tests.contract import scripted_server as server
from tests.contract.cli.runner import Pinakes
from tests.contract.cli.wire import answer, region, timing
from tests.contract.scripted_server import Script


async def test_search_shows_a_table_or_json(pinakes: Pinakes, script: Script) -> None:
    passage = passage_pb2.Passage(document_name="rivers.pdf", text="The river\nis long. " * 30, regions=[region(3, 1)])
    response = search_service_pb2.SearchResponse(
        passages=[passage_pb2.RankedPassage(passage=passage, score=0.75)], timings=[timing("total", 0.0123)]
    )
    script.on("Search", server.returns(response))
    result = await pinakes("search", "river", "--limit", "3", "--mode", "lexical", "--no-rerank")
    assert result.exit_code == 0, result.output
    assert "1  0.750  rivers.pdf  3     The river is long." in result.output
    assert "…" in result.output
    assert result.output.splitlines()[-1] == "total 12 ms"
    request = script.seen("Search")[0].request
    assert (request.limit, request.mode, request.rerank) == (3, search_service_pb2.SEARCH_MODE_LEXICAL, False)
    shown = json.loads((await pinakes("search", "river", "--json")).stdout)
    assert shown["passages"][0]["passage"]["regions"][0]["page"] == 3


@pytest.mark.parametrize(("command", "method"), [("search", "Search"), ("ask", "Answer")])
async def test_options_narrow_what_is_looked_at(pinakes: Pinakes, script: Script, command: str, method: str) -> None:
    script.on("Search", server.returns(search_service_pb2.SearchResponse()))
    script.on("Answer", server.streams(*answer()))
    narrowed = ("--tag", "t", "--any-tag", "a", "--any-tag", "b", "--not-tag", "c", "--pages", "3-7")
    times = ("--created-after", "2026-01-31T09:00+09:00", "--created-before", "2026-02-01T00:00Z")
    result = await pinakes(command, "q", *narrowed, *times)
    assert result.exit_code == 0, result.output
    wanted = script.seen(method)[0].request.filter
    either, neither, created, pages = wanted.condition.all_of.conditions
    assert (wanted.tags, either.tags.values, getattr(neither, "not").tags.values) == (["t"], ["a", "b"], ["c"])
    assert created.created.not_before.ToDatetime(tzinfo=UTC) == datetime(2026, 1, 31, tzinfo=UTC)
    assert created.created.before.ToDatetime(tzinfo=UTC) == datetime(2026, 2, 1, tzinfo=UTC)
    assert (pages.pages.first, pages.pages.last) == (3, 7)


@pytest.mark.parametrize(("given", "first", "last"), [("3", 3, 3), ("3-", 3, 0), ("-7", 0, 7)])
async def test_ranges_of_pages(pinakes: Pinakes, script: Script, given: str, first: int, last: int) -> None:
    script.on("Search", server.returns(search_service_pb2.SearchResponse()))
    await pinakes("search", "q", f"--pages={given}")
    [condition] = script.seen("Search")[0].request.filter.condition.all_of.conditions
    assert (condition.pages.first, condition.pages.last) == (first, last)


@pytest.mark.parametrize("option", ["--pages=x", "--pages=-", "--created-after=yesterday"])
async def test_what_cannot_be_read_is_not_asked(pinakes: Pinakes, script: Script, option: str) -> None:
    result = await pinakes("search", "q", option)
    assert result.exit_code == 2
    assert option.split("=")[0] in result.stderr
    assert script.calls == []


@pytest.mark.parametrize(("command", "method"), [("search", "Search"), ("ask", "Answer")])
async def test_profiles_caches_and_what_the_query_says(
    pinakes: Pinakes, script: Script, command: str, method: str
) -> None:
    script.on("Search", server.returns(search_service_pb2.SearchResponse()))
    script.on("Answer", server.streams(*answer()))
    for given in ((), ("--profile", "quick", "--no-cache", "--apply-filters")):
        assert (await pinakes(command, "q", *given)).exit_code == 0
    plain, other = (call.request for call in script.seen(method))
    assert (plain.profile, plain.no_cache, plain.apply_proposed_filters) == ("", False, False)
    assert (other.profile, other.no_cache, other.apply_proposed_filters) == ("quick", True, True)
    if method == "Search":
        assert not plain.HasField("rerank")
        assert plain.mode == search_service_pb2.SEARCH_MODE_UNSPECIFIED


async def test_search_tells_what_the_query_says_and_what_was_kept(pinakes: Pinakes, script: Script) -> None:
    said = query_pb2.ProposedFilter(range=passage_pb2.TextRange(start=0, end=2))
    understanding = query_pb2.QueryUnderstanding(query="#a river", proposed_filters=[said])
    response = search_service_pb2.SearchResponse(
        timings=[timing("total", 0.0012)], cached=True, understanding=understanding
    )
    script.on("Search", server.returns(response))
    output = (await pinakes("search", "#a river")).output
    assert "“#a” could narrow the search: --apply-filters" in output
    assert output.splitlines()[-1] == "total 1 ms · from the cache"
    understanding.applied = True
    response.understanding.CopyFrom(understanding)
    script.on("Search", server.returns(response))
    assert "“#a” narrowed the search" in (await pinakes("search", "#a river", "--apply-filters")).output


async def test_profiles_are_listed(pinakes: Pinakes, script: Script) -> None:
    quick = search_service_pb2.RetrievalProfile(
        name="quick",
        description="No reranker.",
        settings=search_service_pb2.RetrievalSettings(rerank=False, candidates=20, least_share=0.4),
    )
    script.on(
        "ListRetrievalProfiles", server.returns(search_service_pb2.ListRetrievalProfilesResponse(profiles=[quick]))
    )
    assert "quick    No reranker.  rerank False, candidates 20, least_share 0.4" in (await pinakes("profiles")).output
    [line] = (await pinakes("profiles", "--json")).stdout.splitlines()
    assert json.loads(line)["settings"]["candidates"] == 20


async def test_search_marks_the_querys_words(script: Script, pinakes: Pinakes) -> None:
    text = "Before.\nThe ferry\nleaves [at] noon. After."
    snippet = passage_pb2.Snippet(
        range=passage_pb2.TextRange(start=8, end=35), highlights=[passage_pb2.TextRange(start=12, end=17)]
    )
    ranked = passage_pb2.RankedPassage(
        passage=passage_pb2.Passage(document_name="a.pdf", text=text), score=0.5, snippet=snippet
    )
    marked = shown_text(mapping.ranked_passage(ranked))
    assert marked.plain == "…The ferry leaves [at] noon.…"
    assert [marked.plain[span.start : span.end] for span in marked.spans] == ["ferry"]
    script.on("Search", server.returns(search_service_pb2.SearchResponse(passages=[ranked])))
    assert "…The ferry leaves [at] noon.…" in (await pinakes("search", "ferry")).output


async def test_search_explains_itself(pinakes: Pinakes, script: Script) -> None:
    debug = search_service_pb2.SearchDebug(
        segments=[
            search_service_pb2.SegmentPlan(
                segment="segment-00000003", plan="cells", allowed=12_000, distances=1_500, visited=300
            )
        ],
        lexical_candidates=41,
        generation="generation-2",
    )
    ranked = passage_pb2.RankedPassage(score=0.5, dense=passage_pb2.BranchScore(rank=3, score=0.875))
    script.on("Search", server.returns(search_service_pb2.SearchResponse(passages=[ranked], debug=debug)))
    result = await pinakes("search", "q", "--explain", "--fusion", "distribution", "--diversity", "0.5")
    assert "3 (0.875)" in result.output
    assert "segment-00000003  cells  12,000   1,500      300" in result.output
    assert "generation generation-2, 41 found by words" in result.output
    request = script.seen("Search")[0].request
    assert request.debug
    assert (request.distribution.dense_weight, request.diversity.relevance_weight) == (0.5, 0.5)
    await pinakes("search", "q", "--fusion", "rrf", "--dense-weight", "0.25")
    assert script.seen("Search")[1].request.reciprocal_rank.dense_weight == 0.25
