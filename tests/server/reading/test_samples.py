"""The samples: every question's answer stands on the page that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from server.adapters.document_reader import FileDocumentReader
from server.application.reading_ports import PageImage
from server.domain.documents import Page
from tests.server.reading.conftest import SHARED_LOOP

SAMPLES = Path(__file__).parents[3] / "samples"
QUESTIONS: list[dict[str, Any]] = json.loads((SAMPLES / "questions.json").read_text(encoding="utf-8"))
ANSWERABLE = [question for question in QUESTIONS if not question.get("unanswerable")]
SCANNED = {"lighthouse-inspection.pdf", "okinami-terminal.jpg"}


async def pages_of(reader: FileDocumentReader, name: str) -> list[Page | PageImage]:
    probe = await reader.probe(SAMPLES / name, name)
    return [page async for page in reader.pages(SAMPLES / name, probe, 1)]


@SHARED_LOOP
@pytest.mark.parametrize("question", ANSWERABLE, ids=[question["question"][:30] for question in ANSWERABLE])
async def test_the_page_holds_the_answer(reader: FileDocumentReader, question: dict[str, Any]) -> None:
    page = (await pages_of(reader, question["document"]))[question["page"] - 1]
    assert page.number == question["page"]
    if question["document"] in SCANNED:
        assert isinstance(page, PageImage)
        return
    assert isinstance(page, Page)
    text = "".join("".join(line.text for block in page.blocks for line in block.lines).split())
    assert any("".join(accepted.split()) in text for accepted in question["answer_contains"])


def test_every_sample_is_asked_about_and_some_questions_have_no_answer() -> None:
    documents = {path.name for path in SAMPLES.iterdir()} - {"README.md", "questions.json", "make_samples.py"}
    assert {question["document"] for question in ANSWERABLE} == {name for name in documents if "." in name}
    assert [question["answer_contains"] for question in QUESTIONS if question.get("unanswerable")] == [[]] * 3
