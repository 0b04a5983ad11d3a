"""`kill -9` in the middle of an ingestion loses nothing and does nothing twice."""

from __future__ import annotations

import asyncio
import io
import random
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from pinakes import AsyncClient
from pinakes.options import SearchFilter
from pinakes.results import Document, DocumentState, JobState, SearchMode
from tests.whole_stack import WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models, pytest.mark.timeout(600)]

READY_S = 240.0


def scanned(name: str, pages: int) -> tuple[str, bytes]:
    """A file of images with text: its OCR takes long enough to be interrupted. `name` makes its text unique."""
    images = []
    for number in range(1, pages + 1):
        image = Image.new("L", (1240, 1000), 255)
        draw = ImageDraw.Draw(image)
        for line in range(12):
            draw.text((80, 60 + 70 * line), f"{name} page {number} line {line} of the register", fill=0, font_size=36)
        images.append(image)
    out = io.BytesIO()
    images[0].save(out, format="PDF", save_all=True, append_images=images[1:], resolution=150)
    return f"{name}.pdf", out.getvalue()


def written(name: str, sections: int) -> tuple[str, bytes]:
    text = "\n\n".join(
        f"# {name} section {number}\n\nThe entry {name}-{number} was made by clerk {number % 7} on day {number}."
        for number in range(sections)
    )
    return f"{name}.md", text.encode()


def documents(batch: str) -> list[tuple[str, bytes]]:
    return [
        scanned(f"{batch} scan", pages=4),
        written(f"{batch} register", sections=40),
        written(f"{batch} ledger", sections=10),
    ]


async def ingest(client: AsyncClient, files: list[tuple[str, bytes]]) -> list[str]:
    uploads = [await client.documents.upload(data, name=name) for name, data in files]
    return [upload.document.document_id for upload in uploads]


async def finished(client: AsyncClient, document_ids: list[str]) -> list[Document]:
    async with asyncio.timeout(READY_S):
        while True:
            found = [await client.documents.get(document_id) for document_id in document_ids]
            if all(document.state is not DocumentState.PROCESSING for document in found):
                return found
            await asyncio.sleep(0.25)


def only(document: Document) -> SearchFilter:
    return SearchFilter(document_ids=[document.document_id])


async def reading_has_begun(client: AsyncClient, job_id: str) -> None:
    """Until the scan's first page has been read, so that a kill hits the middle."""
    async for job in client.documents.watch(job_id):
        if job.pages_done >= 1 or job.state is JobState.SUCCEEDED:
            return


async def test_what_was_accepted_before_a_kill_is_ready_after_it(stack: WholeStack, killed_part: str) -> None:
    batch = f"{killed_part} {random.randrange(10**9)}"
    async with AsyncClient(stack.endpoints.server) as client:
        undisturbed = await finished(client, await ingest(client, documents(f"{batch} calm")))
        ids = await ingest(client, documents(f"{batch} kill"))
        scan = await client.documents.get(ids[0])
        await asyncio.wait_for(reading_has_begun(client, scan.job_id), READY_S)
    stack.kill(killed_part)
    await asyncio.to_thread(stack.wait_until_serving)
    async with AsyncClient(stack.endpoints.server) as client:
        disturbed = await finished(client, ids)
        assert [document.state for document in disturbed] == [DocumentState.READY] * len(ids)
        expected = [document.chunk_count for document in undisturbed]
        assert [document.chunk_count for document in disturbed] == expected
        # Exactly once: a chunk that were there twice would be found twice.
        for document in disturbed:
            listed = [found async for found in client.documents.list() if found.name == document.name]
            assert len(listed) == 1
            results = await client.search(
                Path(document.name).stem, limit=100, filter=only(document), mode=SearchMode.LEXICAL
            )
            texts = [ranked.passage.text for ranked in results.passages]
            assert len(texts) == len(set(texts)) == document.chunk_count


@pytest.fixture(params=["server", "worker", "triton", "nats"])
def killed_part(request: pytest.FixtureRequest) -> str:
    part: str = request.param
    return part


async def test_the_index_continues_from_disk_after_a_kill(stack: WholeStack) -> None:
    name = f"kept {random.randrange(10**9)}"
    async with AsyncClient(stack.endpoints.server) as client:
        [document_id] = await ingest(client, [written(name, sections=3)])
        [document] = await finished(client, [document_id])
        assert document.state is DocumentState.READY
    stack.kill("server")
    began = time.monotonic()
    await asyncio.to_thread(stack.wait_until_serving)
    assert time.monotonic() - began < 60
    async with AsyncClient(stack.endpoints.server) as client:
        results = await client.search(f"{name} section", filter=only(document))
        assert len(results.passages) == document.chunk_count
