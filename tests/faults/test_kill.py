"""`kill -9` at random moments loses nothing, does nothing twice and leaves nothing stuck."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from pinakes import AsyncClient
from pinakes.errors import DependencyUnavailable
from pinakes.options import SearchFilter
from pinakes.results import Degradation, GenerateDelta, JobState, PassedOverReason
from server.adapters.triton_client import TritonConnection
from server.adapters.triton_generator import TritonGenerator
from server.domain.deadline import Deadline
from tests.faults.campaign import PARTS, Plan, run
from tests.triton.small_catalogue import default_model
from tests.whole_stack import WholeStack

NARRATION = (
    "The ferry Heron was launched in 1988 at the yard of Vessel Bay. The ferry Heron carries 212 passengers and 40"
    " cars. The ferry Heron crosses the sound four times a day, and twice on Sundays."
)

pytestmark = [pytest.mark.stack, pytest.mark.models, pytest.mark.timeout(600)]


def test_documents_survive_the_death_of_every_part(stack: WholeStack) -> None:
    """The short version of `make faults`: each part dies once while documents go in, change and go. Triton is the
    first, in the middle of a text; it comes back while the others die."""
    asyncio.run(lose_the_model_in_a_text(stack))
    others = tuple(part for part in PARTS if part != "triton")
    seed = random.randrange(10**6)
    report = run(stack, Plan(seed, kills=len(others), documents=6, parts=others, longest_pause_s=2.0))
    assert set(report.killed) == set(others)
    assert report.documents >= 6
    assert report.sound, report.as_json()


async def lose_the_model_in_a_text(stack: WholeStack) -> None:
    """What was written of it was sent, and then the call ends with a status. An answer that it was writing, and of
    which nothing was shown, becomes a sentence of the documents, and says why."""
    async with (
        AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client,
        TritonConnection(stack.endpoints.triton) as triton,
    ):
        model = await TritonGenerator.connect(triton, default_model("generate"), Deadline.after(60))
        upload = await client.documents.upload(NARRATION.encode(), name="heron.md")
        token = (await client.documents.wait(upload.job, timeout_s=240)).consistency_token
        own = SearchFilter(document_ids=[upload.document.document_id])
        written = 0
        with pytest.raises(DependencyUnavailable):
            async with client.generate("Tell a very long story about a lighthouse.", max_tokens=1_000) as events:
                async for event in events:
                    written += 1
                    assert isinstance(event, GenerateDelta), "it ended before its model died"
                    if written > 1:
                        continue
                    answering = asyncio.create_task(
                        client.answer_text(
                            "Describe the ferry Heron.", filter=own, consistency_token=token, timeout_s=120
                        )
                    )
                    async with asyncio.timeout(60):
                        while (await model.statistics(Deadline.after(30))).running < 2:  # noqa: ASYNC110 - it tells nobody
                            await asyncio.sleep(0.005)
                    stack.kill("triton")
        assert written
        answer = await answering
    assert Degradation.EXTRACTIVE in answer.completion.degradations
    assert [each.reason for each in answer.completion.passed_over] == [PassedOverReason.UNAVAILABLE]
    assert answer.text in NARRATION and answer.citations


async def test_the_index_and_answers_are_there_after_a_kill(stack: WholeStack) -> None:
    name = f"kept {random.randrange(10**9)}"
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        text = "\n\n".join(f"# {name} section {number}\n\nEntry {number} of {name}." for number in range(3))
        upload = await client.documents.upload(text.encode(), name=f"{name}.md")
        assert (await client.documents.wait(upload.job, timeout_s=240)).state is JobState.SUCCEEDED
        document = await client.documents.get(upload.document.document_id)
        own = SearchFilter(document_ids=[document.document_id])
        given = await client.answer_text(f"What is {name} section 1?", filter=own, timeout_s=1.5)
        kept = await client.answers.get(given.answer_id)
        assert [(cited.quote, cited.regions) for cited in kept.citations] == [
            (cited.quote, cited.regions) for cited in given.citations
        ]
    stack.kill("server")
    began = time.monotonic()
    await asyncio.to_thread(stack.wait_until_serving)
    assert time.monotonic() - began < 60
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        results = await client.search(f"{name} section", filter=own)
        assert len(results.passages) == document.chunk_count
        assert await client.answers.get(given.answer_id) == kept
