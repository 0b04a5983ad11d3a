"""Conditions, snippets and generations, on the whole stack."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pinakes import AsyncClient, DistributionFusion, GenerationOptions, GenerationState, SearchMode, where
from pinakes.errors import DocumentExists, InvalidField, SnapshotExists
from pinakes.results import SearchResults
from tests.whole_stack import SAMPLES, WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models, pytest.mark.timeout(600)]

HANDBOOK = "staff-handbook.pdf"
CANTEEN = "okinami-canteen.txt"


@pytest.fixture
async def client(stack: WholeStack) -> Any:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as opened:
        for name, tag in ((HANDBOOK, "english"), (CANTEEN, "japanese")):
            try:
                upload = await opened.documents.upload(SAMPLES / name, tags=["samples", tag])
            except DocumentExists:
                continue
            job = await opened.documents.wait(upload.job, timeout_s=240)
            assert job.success is not None
            await opened.search("seen", consistency_token=job.success.consistency_token, timeout_s=60)
        yield opened


def names(results: SearchResults) -> set[str]:
    return {ranked.passage.document_name for ranked in results.passages}


async def test_conditions_hold_for_search_and_answer(client: AsyncClient) -> None:
    listed = {document.name: document.document_id async for document in client.documents.list()}
    handbook, canteen = where.documents(listed[HANDBOOK]), where.documents(listed[CANTEEN])
    either = await client.search("lunch 食堂", filter=handbook | canteen, limit=20)
    assert names(either) == {HANDBOOK, CANTEEN}
    assert names(await client.search("lunch 食堂", filter=(handbook | canteen) & ~canteen)) == {HANDBOOK}
    now = datetime.now(UTC)
    assert names(await client.search("lunch", filter=handbook & where.created(before=now - timedelta(days=1)))) == set()
    first_page = await client.search("officer", filter=handbook & where.pages(1, 1), limit=50)
    assert first_page.passages
    for ranked in first_page.passages:
        assert 1 in [region.page for region in ranked.passage.regions]
    answer = await client.answer_text("Who is the safety officer?", filter=canteen)
    assert {ranked.passage.document_name for ranked in answer.sources} <= {CANTEEN}
    with pytest.raises(InvalidField) as refusal:
        await client.search("x", filter=where.all_of(handbook, where.pages(3, 2)))
    assert refusal.value.field_violations[0].field == "filter.condition.all_of.conditions[1].pages.last"


async def test_snippets_mark_the_querys_words(client: AsyncClient) -> None:
    found = await client.search("safety officer", mode=SearchMode.LEXICAL, limit=3, debug=True)
    best = found.passages[0]
    assert best.snippet is not None
    marked = [best.passage.text[mark.start : mark.end].lower() for mark in best.snippet.highlights]
    assert "officer" in " ".join(marked)
    assert found.debug is not None and found.debug.generation
    assert any(timing.stage == "highlight" for timing in found.timings)
    assert all(ranked.snippet is None for ranked in (await client.search("safety", mode=SearchMode.DENSE)).passages)
    diverse = await client.search("safety", fusion=DistributionFusion(0.5), diversity=0.3, limit=5)
    assert len(diverse.passages) == 5
    assert all(ranked.rerank_score is None for ranked in diverse.passages)


async def test_a_generation_is_built_swapped_and_swapped_back_while_searches_go_on(
    client: AsyncClient, stack: WholeStack
) -> None:
    before = await client.index.get()
    [serving] = [each for each in before.generations if each.state is GenerationState.SERVING]
    begun = await client.index.build(GenerationOptions(graph_degree=16, build_effort=64))
    answered: set[str] = set()
    swapped = False

    async def ask() -> None:
        while not swapped:
            results = await client.search("safety officer", limit=3, debug=True)
            assert results.passages and results.debug
            answered.add(results.debug.generation)

    asking = asyncio.create_task(ask())

    async def until_ready() -> None:
        async with asyncio.timeout(120):
            while True:
                states = {each.name: each.state for each in (await client.index.get()).generations}
                if states[begun.name] is GenerationState.READY:
                    return
                await asyncio.sleep(0.1)

    await until_ready()
    compared = await client.index.compare(begun.name, samples=20)
    assert compared.other_recall >= 0.99 and compared.samples > 0
    assert (await client.index.activate(begun.name)).previous == serving.name
    upload = await client.documents.upload(b"# Zephyrine\n\nThe zephyrine valve is blue.", name="valve.md")
    job = await client.documents.wait(upload.job, timeout_s=240)
    assert job.success is not None
    fresh = await client.search("zephyrine valve", consistency_token=job.success.consistency_token, debug=True)
    assert fresh.debug is not None
    assert (fresh.passages[0].passage.document_name, fresh.debug.generation) == ("valve.md", begun.name)
    await client.index.activate(serving.name)
    back = await client.search("zephyrine valve", consistency_token=job.success.consistency_token)
    assert back.passages[0].passage.document_name == "valve.md", "the way back loses nothing"
    swapped = True
    await asking
    assert answered == {serving.name, begun.name}
    copy = await client.index.snapshot("before-the-end")
    assert copy.path == str(stack.data / "snapshots" / "before-the-end") and copy.size_bytes > 0
    with pytest.raises(SnapshotExists):
        await client.index.snapshot("before-the-end")
    await client.index.delete(begun.name)
    await client.documents.delete(upload.document.document_id)
    assert [each.name for each in (await client.index.get()).generations] == [serving.name]


async def test_a_generation_under_way_goes_on_after_a_crash(client: AsyncClient, stack: WholeStack) -> None:
    begun = await client.index.build()
    stack.kill("server")
    await asyncio.sleep(1)
    await asyncio.to_thread(stack.wait_until_serving)
    async with asyncio.timeout(120):
        while True:
            found = {each.name: each for each in (await client.index.get()).generations}
            if found[begun.name].state is GenerationState.READY:
                break
            await asyncio.sleep(0.1)
    # What its follower has begun in a thread is waited for.
    await client.index.delete(begun.name, timeout_s=60.0)
