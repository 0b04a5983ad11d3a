"""How many documents with text can be made searchable in a minute."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import JsonValue, TypeAdapter
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate

from bench.loadgen import Bounds, OperationFailed, open_loop
from bench.record import Findings, Sample, Series, SummaryRow
from bench.suites.base import counted
from bench.suites.ingestion.workload import BornDigitalPlan
from bench.suites.models.typeset import texts_of
from bench.targets import Endpoints
from pinakes import AsyncClient, PinakesError

SERIES = "born-digital documents"
_FACTS = "born_digital"
_LETTERS_A_PAGE = 2_600
"""A full page of 10-point text, headings included."""


def written(texts: Iterator[str], pages: int, title: str) -> bytes:
    """A PDF of that many pages, each with a heading and paragraphs that fill it."""
    styles = getSampleStyleSheet()
    body = ParagraphStyle("body", parent=styles["BodyText"], fontSize=10, leading=13, spaceAfter=6)
    story: list[Flowable] = []
    for number in range(pages):
        story.append(Paragraph(f"{title}, part {number + 1}", styles["Heading2"]))
        letters = 0
        while letters < _LETTERS_A_PAGE:
            text = next(texts)[: _LETTERS_A_PAGE - letters]
            letters += len(text)
            story.append(Paragraph(text, body))
        story.append(PageBreak())
    out = io.BytesIO()
    SimpleDocTemplate(out, pagesize=A4, title=title).build(story[:-1])
    return out.getvalue()


async def measure_born_digital(endpoints: Endpoints, plan: BornDigitalPlan, sets: Path, seed: int) -> Findings:
    """A sample for each document, from the common start until it can be searched. Raises NoDataSets; ValueError if the
    set has too little text."""
    documents = await asyncio.to_thread(_documents, plan, sets, seed)
    pages: list[int] = []
    async with AsyncClient(endpoints.server, api_key=endpoints.api_key) as client:

        async def operation(number: int) -> Mapping[str, float]:
            try:
                upload = await client.documents.upload(
                    documents[number], name=f"born-digital-{number}.pdf", timeout_s=plan.deadline_s
                )
                await client.documents.wait(upload.job, timeout_s=plan.deadline_s)
                pages.append((await client.documents.get(upload.document.document_id)).page_count)
            except PinakesError as error:
                raise OperationFailed(error.reason or type(error).__name__) from error
            return {}

        # The first document finds what every other one finds warm.
        warm_up = await asyncio.to_thread(written, texts_of(sets, plan.text_set, seed + 1, wide=False), 1, "Warm-up")
        upload = await client.documents.upload(warm_up, name="warm-up.pdf", timeout_s=plan.deadline_s)
        await client.documents.wait(upload.job, timeout_s=plan.deadline_s)
        bounds = Bounds(plan.deadline_s, plan.parallel, plan.deadline_s)
        samples = await open_loop(operation, [0.0] * len(documents), bounds)
    facts: dict[str, JsonValue] = {"pages": sum(pages)}
    return Findings((Series(SERIES, "open_loop", samples, warm_up=1),), {_FACTS: facts})


def _documents(plan: BornDigitalPlan, sets: Path, seed: int) -> list[bytes]:
    """No two share a paragraph, as long as the set has enough of them; then the set is read again in another order."""

    def texts() -> Iterator[str]:
        for again in range(1_000):
            yield from texts_of(sets, plan.text_set, seed + again, wide=False)

    source = texts()
    return [written(source, plan.pages, f"Report {number}") for number in range(plan.documents)]


def born_digital_rows(findings: Findings) -> list[SummaryRow]:
    """None for a rate if one of the documents failed: they are not searchable."""
    shown = next((one for one in findings.series if one.name == SERIES), None)
    if shown is None:
        return []
    facts = TypeAdapter(dict[str, int]).validate_python(findings.facts[_FACTS])
    count, minutes = len(shown.samples), _elapsed_s(shown.samples) / 60
    whole = shown.failures() == 0 and minutes > 0
    documents, pages = (number / minutes if whole else None for number in (count, facts["pages"]))
    return [
        counted("born-digital: documents a minute", "documents/min", documents, count, better="higher"),
        counted("born-digital: pages a minute", "pages/min", pages, count, better="higher"),
        counted("born-digital: failures", "calls", shown.failures(), count),
    ]


def _elapsed_s(samples: tuple[Sample, ...]) -> float:
    return max(sample.scheduled_s + sample.latency_s for sample in samples)
