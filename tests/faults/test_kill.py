"""`kill -9` at random moments loses nothing, does nothing twice and leaves nothing stuck."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from pinakes import AsyncClient
from pinakes.options import SearchFilter
from pinakes.results import JobState
from tests.faults.campaign import PARTS, Plan, run
from tests.whole_stack import WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models, pytest.mark.timeout(600)]


def test_documents_survive_the_death_of_every_part(stack: WholeStack) -> None:
    """The short version of `make faults`: each part dies once while documents go in, change and go."""
    seed = random.randrange(10**6)
    report = run(stack, Plan(seed, kills=len(PARTS), documents=6, longest_pause_s=2.0))
    assert set(report.killed) == set(PARTS)
    assert report.documents >= 6
    assert report.sound, report.as_json()


async def test_the_index_continues_from_disk_after_a_kill(stack: WholeStack) -> None:
    name = f"kept {random.randrange(10**9)}"
    async with AsyncClient(stack.endpoints.server) as client:
        text = "\n\n".join(f"# {name} section {number}\n\nEntry {number} of {name}." for number in range(3))
        upload = await client.documents.upload(text.encode(), name=f"{name}.md")
        assert (await client.documents.wait(upload.job, timeout_s=240)).state is JobState.SUCCEEDED
        document = await client.documents.get(upload.document.document_id)
    stack.kill("server")
    began = time.monotonic()
    await asyncio.to_thread(stack.wait_until_serving)
    assert time.monotonic() - began < 60
    async with AsyncClient(stack.endpoints.server) as client:
        results = await client.search(f"{name} section", filter=SearchFilter(document_ids=[document.document_id]))
        assert len(results.passages) == document.chunk_count
