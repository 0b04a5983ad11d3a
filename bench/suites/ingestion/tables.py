"""How much of a table arrives: cells whose exact text stands in the right row and column of a passage's Markdown."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pypdfium2
from PIL import Image
from pydantic import TypeAdapter
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from bench.record import Findings, SummaryRow
from bench.suites.base import counted
from bench.suites.ingestion.workload import TablesPlan
from bench.suites.models.typeset import TypesetPage, scanned
from bench.targets import Endpoints
from pinakes import AsyncClient, SearchFilter

KINDS: Final = ("ruled", "open", "scanned", "open, scanned")
"""With a grid; with white space between columns; scans of both."""
_FACTS = "tables"
_SCALE = 300 / 72
_THINGS = (
    "harbour",
    "ferry",
    "lantern",
    "anchor",
    "rudder",
    "compass",
    "sail",
    "rope",
    "barrel",
    "pump",
    "winch",
    "buoy",
)
_MEASURES = ("Weight (kg)", "Price", "Stock", "Since", "Length (m)", "Share", "Orders", "Delay (d)")


@dataclass(frozen=True, slots=True)
class Sheet:
    """The first row is the head; the first cell of each other row is like no other."""

    rows: tuple[tuple[str, ...], ...]


def sheets(plan: TablesPlan, seed: int) -> list[Sheet]:
    rng = np.random.default_rng(seed)
    return [_sheet(plan, rng) for _ in range(plan.tables)]


def _sheet(plan: TablesPlan, rng: np.random.Generator) -> Sheet:
    measures = rng.permutation(_MEASURES)[: plan.columns - 1]
    rows = [("Article", *measures.tolist())]
    for number in range(plan.rows):
        name = f"{_THINGS[number % len(_THINGS)]} {rng.integers(100, 1000)}{chr(65 + number % 26)}"
        rows.append((name, *(_figure(rng) for _ in measures)))
    return Sheet(tuple(rows))


def _figure(rng: np.random.Generator) -> str:
    value = rng.integers(1, 100_000)
    return (f"{value:,}", f"{value / 100:.2f}", str(value), f"{value % 100}%")[rng.integers(4)]


def typeset(sheet: Sheet, title: str, *, ruled: bool) -> bytes:
    """A page with the table between two paragraphs."""
    styles = getSampleStyleSheet()
    grid = ("GRID", (0, 0), (-1, -1), 0.5, colors.black)
    below_the_head = ("LINEBELOW", (0, 0), (-1, 0), 1, colors.black)
    bold_head = ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold")
    style = TableStyle([grid if ruled else below_the_head, bold_head])
    table = Table([list(row) for row in sheet.rows], style=style)
    story = [
        Paragraph(title, styles["Heading1"]),
        Paragraph("What the stores of the harbour hold is counted at the end of each month.", styles["BodyText"]),
        Spacer(1, 12),
        table,
        Spacer(1, 12),
        Paragraph("Whoever takes something writes it into the book beside the door.", styles["BodyText"]),
    ]
    out = io.BytesIO()
    SimpleDocTemplate(out, pagesize=A4, title=title).build(story)
    return out.getvalue()


def scan_of(pdf: bytes, seed: int) -> bytes:
    document = pypdfium2.PdfDocument(pdf)
    try:
        image = document[0].render(scale=_SCALE).to_pil().convert("L")
    finally:
        document.close()
    out = io.BytesIO()
    image.save(out, "PNG")
    poor = scanned(TypesetPage(out.getvalue(), ""), seed, dpi=300)
    sheet = io.BytesIO()
    Image.open(io.BytesIO(poor.image)).save(sheet, "PDF", resolution=300)
    return sheet.getvalue()


async def measure_tables(endpoints: Endpoints, plan: TablesPlan, seed: int) -> Findings:
    """Raises PinakesError: a document of ours that cannot be read is no figure."""
    recovered = dict.fromkeys(KINDS, 0)
    cells = 0
    async with AsyncClient(endpoints.server, api_key=endpoints.api_key) as client:
        for number, sheet in enumerate(sheets(plan, seed)):
            cells += sum(map(len, sheet.rows))
            for kind in KINDS:
                title = f"Stores {number} {kind}"
                pdf = await asyncio.to_thread(typeset, sheet, title, ruled=not kind.startswith("open"))
                file = await asyncio.to_thread(scan_of, pdf, seed + number) if kind.endswith("scanned") else pdf
                recovered[kind] += found_cells(sheet, await _passages(client, file, title, plan))
    return Findings((), {_FACTS: {"cells": cells, **recovered}})


async def _passages(client: AsyncClient, file: bytes, title: str, plan: TablesPlan) -> list[str]:
    upload = await client.documents.upload(file, name=f"{title}.pdf", timeout_s=plan.deadline_s)
    job = await client.documents.wait(upload.job, timeout_s=plan.deadline_s)
    token = "" if job.success is None else job.success.consistency_token
    filter_ = SearchFilter(document_ids=(upload.document.document_id,))
    results = await client.search("Article", filter=filter_, limit=100, consistency_token=token, rerank=False)
    return [each.passage.text for each in results.passages]


def found_cells(sheet: Sheet, passages: Iterable[str]) -> int:
    """Of each row of the sheet, the row of a passage that begins with the same cell counts, and the one with most cells
    in their places if there are several."""
    read = [cells for passage in passages for line in passage.splitlines() if (cells := cells_of(line))]
    found = 0
    for row in sheet.rows:
        alike = [cells for cells in read if cells[0] == row[0]]
        found += max((sum(map(str.__eq__, row, cells)) for cells in alike), default=0)
    return found


def cells_of(line: str) -> tuple[str, ...]:
    """Of a row of a Markdown table; none of other lines."""
    line = line.strip()
    if len(line) < 2 or not (line.startswith("|") and line.endswith("|")):
        return ()
    return tuple(cell.strip() for cell in line[1:-1].split("|"))


def tables_rows(findings: Findings) -> list[SummaryRow]:
    if _FACTS not in findings.facts:
        return []
    facts = TypeAdapter(dict[str, int]).validate_python(findings.facts[_FACTS])
    cells = facts["cells"]
    return [
        counted(f"tables, {kind}: cells recovered", "share", facts[kind] / cells, cells, better="higher")
        for kind in KINDS
    ]
