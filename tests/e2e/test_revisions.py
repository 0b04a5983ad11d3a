"""A document that changes, on the whole stack: searches and citations keep to one revision."""

from __future__ import annotations

import asyncio
import random

import pytest

from pinakes import AsyncClient, where
from pinakes.errors import DocumentExists
from pinakes.results import IngestionStage, JobState
from tests.whole_stack import WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models, pytest.mark.timeout(300)]


def timetable(season: str, hour: str) -> bytes:
    """Several chunks; each names its season."""
    parts = (
        f"# {season} {number}\n\nIn the {season} timetable of the ferry, boat {number} leaves Okinami at {hour}. "
        + f"The {season} crew of boat {number} checks its ropes, lamps and papers before every crossing. " * 6
        for number in range(1, 9)
    )
    return "\n\n".join(parts).encode()


async def test_every_search_sees_one_whole_revision_and_citations_name_it(stack: WholeStack) -> None:
    name = f"timetable {random.randrange(10**9)}.md"
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        first = await client.documents.upload(timetable("winter", "seven"), name=name)
        document_id = first.document.document_id
        token = (await client.documents.wait(first.job)).consistency_token
        chunks = {1: (await client.documents.get(document_id)).chunk_count}
        seen: list[dict[int, int]] = []

        async def look() -> None:
            found = await client.search(
                "ferry", limit=100, filter=where.documents(document_id), consistency_token=token, rerank=False
            )
            revisions = [ranked.passage.revision for ranked in found.passages]
            seen.append({revision: revisions.count(revision) for revision in revisions})

        async def look_on() -> None:
            while True:
                await look()

        looking = asyncio.create_task(look_on())
        second = await client.documents.upload(timetable("summer", "nine"), name=name, replace=True)
        assert (second.document.document_id, second.job.revision) == (document_id, 2)
        done = await client.documents.wait(second.job)
        again = await client.documents.reindex(document_id, first_stage=IngestionStage.EXTRACT)
        last = await client.documents.wait(again)
        looking.cancel()
        await asyncio.wait((looking,))
        assert not looking.done() or looking.cancelled(), looking.exception()
        token = last.consistency_token
        await look()
        chunks[2] = chunks[3] = done.success.chunk_count if done.success else 0
        assert all(len(revisions) == 1 for revisions in seen), seen
        assert all(chunks[revision] == count for revisions in seen for revision, count in revisions.items()), seen
        assert seen[-1] == {3: chunks[3]}
        answer = await client.answer_text(
            "When does boat 3 leave?", filter=where.documents(document_id), consistency_token=token
        )
        assert answer.citations and {citation.revision for citation in answer.citations} == {3}
        assert (await client.documents.cancel(again)).state is JobState.SUCCEEDED, "it had ended before"
        assert document_id not in [letter.job.document_id async for letter in client.documents.dead_letters()]
        with pytest.raises(DocumentExists):
            await client.documents.upload(timetable("summer", "nine"), name="a copy")
        await client.documents.delete(document_id)


async def test_a_repeated_search_is_kept_until_something_changes_and_never_shows_what_is_gone(
    stack: WholeStack,
) -> None:
    name = f"notice {random.randrange(10**9)}.md"
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        upload = await client.documents.upload(b"The pilot boat Gannet leaves at six.", name=name)
        document_id = upload.document.document_id
        token = (await client.documents.wait(upload.job)).consistency_token

        async def look() -> tuple[bool, list[int]]:
            found = await client.search(
                "pilot boat Gannet", filter=where.documents(document_id), consistency_token=token, rerank=False
            )
            return found.cached, [ranked.passage.revision for ranked in found.passages]

        assert await look() == (False, [1])
        # Others use this stack: their documents move the index on at times.
        assert (True, [1]) in [await look() for _ in range(20)]
        second = await client.documents.upload(b"The pilot boat Gannet leaves at five.", name=name, replace=True)
        token = (await client.documents.wait(second.job)).consistency_token
        assert await look() == (False, [2])
        assert (True, [2]) in [await look() for _ in range(20)]
        await client.documents.delete(document_id)
        assert await look() == (False, [])
