"""Office files and slides through the whole stack: found by what their tables say, and looked at."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from pinakes import AsyncClient
from pinakes.errors import DocumentNotFound, NoPageImage
from pinakes.results import Passage, Upload
from tests.server.reading.conftest import draw, put
from tests.server.reading.office_files import docx_file, pptx_file, put_text
from tests.whole_stack import WholeStack

pytestmark = [pytest.mark.stack, pytest.mark.models, pytest.mark.timeout(300)]


def write_docx(document: Any) -> None:
    document.add_heading("Tariffs of the Quillon shipyard", 1)
    document.add_paragraph("All prices are for one night.")
    table = document.add_table(3, 2)
    for row, cells in enumerate((("Berth", "Price"), ("Quillon east", "71 crowns"), ("Quillon west", "64 crowns"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text


async def found(client: AsyncClient, data: bytes, name: str, query: str) -> tuple[Upload, Passage]:
    """The first passage of the document that a search finds."""
    upload = await client.documents.upload(data, name=name)
    job = await client.documents.wait(upload.job, timeout_s=120)
    assert job.success is not None
    results = await client.search(query, consistency_token=job.success.consistency_token)
    own = [ranked.passage for ranked in results.passages if ranked.passage.document_id == upload.document.document_id]
    return upload, own[0]


def size(image: bytes) -> tuple[int, int]:
    opened = Image.open(io.BytesIO(image))
    opened.load()
    return opened.size


async def test_a_word_file_is_found_by_its_table(stack: WholeStack) -> None:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        upload, passage = await found(client, docx_file(write_docx), "tariffs", "price of a berth at Quillon west")
        assert upload.document.media_type.endswith("wordprocessingml.document")
        assert "| Quillon west | 64 crowns |" in passage.text
        assert passage.heading_path == ("Tariffs of the Quillon shipyard",)
        with pytest.raises(NoPageImage):
            await client.documents.page_image(upload.document.document_id, 1)
        assert size((await client.documents.thumbnail(upload.document.document_id)).image) == (200, 300)
        await client.documents.delete(upload.document.document_id)
        with pytest.raises(DocumentNotFound):
            await client.documents.thumbnail(upload.document.document_id)


async def test_a_slide_is_found_on_its_page_with_its_box(stack: WholeStack) -> None:
    slides = [
        lambda slide: put_text(slide, 1, 1, "An opening slide."),
        lambda s: put_text(s, 100, 200, "Quillon dredge"),
    ]
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        _, passage = await found(client, pptx_file(*slides), "slides", "Quillon dredge")
        regions = {region.page: region for region in passage.regions}
        assert (regions[2].page_width, regions[2].page_height) == (720, 540)
        [box] = regions[2].boxes
        assert (box.x0, box.y0) == (100, 200)


async def test_a_passage_is_shown_on_its_page(stack: WholeStack) -> None:
    async with AsyncClient(stack.endpoints.server, api_key=stack.api_key) as client:
        data = draw(lambda canvas: put(canvas, 50, 100, "The Quillon lighthouse was lit in 1871."))
        upload, passage = await found(client, data, "lighthouse.pdf", "when was the Quillon lighthouse lit")
        [region] = passage.regions
        document_id = upload.document.document_id
        plain = await client.documents.page_image(document_id, region.page, scale=2.0)
        marked = await client.documents.page_image(document_id, region.page, scale=2.0, boxes=region.boxes)
        assert size(marked.image) == (800, 1000) == (plain.width, plain.height)
        assert marked.image != plain.image
        first, again = [(await client.documents.thumbnail(document_id)).image for _ in range(2)]
        assert first == again and size(first) == (200, 300)
